package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log/global"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Shutdown flushes what has not been exported yet and stops the exporters. It
// returns when all is sent or ctx ends, whichever is first, and is safe to
// call more than once.
type Shutdown func(ctx context.Context) error

// Option changes what [Start] sets up.
type Option func(*config)

type config struct {
	attributes []attribute.KeyValue
}

// WithServiceName names the service unless OTEL_SERVICE_NAME (or
// service.name in OTEL_RESOURCE_ATTRIBUTES) does.
func WithServiceName(name string) Option {
	return WithAttributes(ServiceName.String(name))
}

// WithServiceVersion gives the version that is used when APP_VERSION is not
// set, one that was linked into the binary for example.
func WithServiceVersion(version string) Option {
	return WithAttributes(ServiceVersion.String(version))
}

// WithAttributes adds resource attributes; the environment overrides them.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attrs...) }
}

// Start sets the global tracer, meter and logger providers and the global
// propagators, and returns the function that flushes and stops them. Call it
// first thing in main, and Shutdown last.
//
// Exporters connect in the background: a backend that is away is no error.
// What is an error is a setting that cannot be honoured. Then nothing is set
// up, the globals stay as they were, and the returned Shutdown does nothing,
// so an application may log the error and serve without telemetry.
//
// With OTEL_SDK_DISABLED=true only the propagators are set.
func Start(ctx context.Context, opts ...Option) (Shutdown, error) {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	propagator, err := propagatorFromEnv()
	if err != nil {
		return nothing, fmt.Errorf("start telemetry: %w", err)
	}
	if strings.EqualFold(strings.TrimSpace(os.Getenv("OTEL_SDK_DISABLED")), "true") {
		otel.SetTextMapPropagator(propagator)
		return nothing, nil
	}
	res, err := newResource(ctx, c)
	if err != nil {
		return nothing, fmt.Errorf("start telemetry: %w", err)
	}
	p, err := newProviders(ctx, res)
	if err != nil {
		return nothing, fmt.Errorf("start telemetry: %w", errors.Join(err, p.shutdown(ctx)))
	}
	otel.SetTextMapPropagator(propagator)
	otel.SetTracerProvider(p.tracer)
	otel.SetMeterProvider(p.meter)
	global.SetLoggerProvider(p.logger)
	// A second Shutdown of a provider is an error; of this function it is not.
	var once sync.Once
	return func(ctx context.Context) (err error) {
		once.Do(func() { err = p.shutdown(ctx) })
		return err
	}, nil
}

// Logger returns a logger whose records are exported as OpenTelemetry logs,
// with the trace and span of the context given to its *Context methods. It
// writes to whatever [Start] set up, also when called before Start.
func Logger(name string) *slog.Logger { return otelslog.NewLogger(name) }

func nothing(context.Context) error { return nil }

// propagatorFromEnv returns the propagators that OTEL_PROPAGATORS names, by
// default W3C trace context and baggage.
func propagatorFromEnv() (propagation.TextMapPropagator, error) {
	value := os.Getenv("OTEL_PROPAGATORS")
	if strings.TrimSpace(value) == "" {
		value = "tracecontext,baggage"
	}
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	p, err := autoprop.TextMapPropagator(names...)
	if err != nil {
		return nil, fmt.Errorf("OTEL_PROPAGATORS=%q: %w", value, err)
	}
	return p, nil
}

// providers are the three signals; a nil one was not started.
type providers struct {
	tracer *trace.TracerProvider
	meter  *metric.MeterProvider
	logger *sdklog.LoggerProvider
}

func newProviders(ctx context.Context, res *resource.Resource) (providers, error) {
	var p providers
	spans, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return p, fmt.Errorf("traces (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL): %w", err)
	}
	p.tracer = trace.NewTracerProvider(trace.WithResource(res), trace.WithBatcher(spans))

	reader, err := newMetricReader(ctx)
	if err != nil {
		return p, fmt.Errorf("metrics (OTEL_METRICS_EXPORTER): %w", err)
	}
	p.meter = metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(reader),
		metric.WithView(httpServerView()))

	records, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return p, fmt.Errorf("logs (OTEL_LOGS_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL): %w", err)
	}
	p.logger = sdklog.NewLoggerProvider(sdklog.WithResource(res),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(records)))
	return p, nil
}

// shutdown flushes and stops the signals that were started, side by side: they
// share the time of ctx, and one that hangs must not keep the others back.
func (p providers) shutdown(ctx context.Context) error {
	stops := map[string]func(context.Context) error{}
	if p.tracer != nil {
		stops["traces"] = p.tracer.Shutdown
	}
	if p.meter != nil {
		stops["metrics"] = p.meter.Shutdown
	}
	if p.logger != nil {
		stops["logs"] = p.logger.Shutdown
	}
	results := make(chan error, len(stops))
	for name, stop := range stops {
		go func() {
			if err := stop(ctx); err != nil {
				results <- fmt.Errorf("flush %s: %w", name, err)
				return
			}
			results <- nil
		}()
	}
	var errs []error
	for range stops {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}
