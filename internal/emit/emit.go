// Package emit puts operations on the wire: it sets the OpenTelemetry SDK up
// from the standard OTEL_* variables and exports spans, log records and metrics
// of Helm operations.
//
// Start with [Open]; every method of [Emitter] works, and does nothing, when
// telemetry is off. [Emitter.Close] flushes within a bound and returns the one
// error worth telling the user.
package emit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/release"
)

// DefaultTimeout bounds the flush at exit. A pipeline that waits longer for its
// telemetry than this is a pipeline whose telemetry hurts.
const DefaultTimeout = 5 * time.Second

// logInterval is how long a log record waits for company before it is sent.
// Running operations show on screens from these records, so it is far below
// the SDK's default of a second; sending is in the background either way.
const logInterval = 100 * time.Millisecond

// Options are the optional parts of [Open].
type Options struct {
	// Version of fairlead, for telemetry.distro.version.
	Version string
	// ServiceName is service.name when the environment gives none; default
	// [release.ServiceName].
	ServiceName string
	// Resource attributes of everything that is exported, under those of
	// OTEL_RESOURCE_ATTRIBUTES.
	Resource []attribute.KeyValue
	// Timeout bounds Close; default [DefaultTimeout].
	Timeout time.Duration
	// Sinks get a copy of everything, also when nothing is exported.
	Sinks []Sink
	// SinksOnly leaves the environment's destinations alone: a long-lived
	// process that queues on disk sends by itself what its sink was given. Each
	// span and record is with the sinks when the call that made it returns.
	SinksOnly bool
}

// Emitter exports telemetry. It is safe for concurrent use.
type Emitter struct {
	traces  *sdktrace.TracerProvider
	logs    *sdklog.LoggerProvider
	metrics []metricExporter
	tracer  trace.Tracer
	logger  log.Logger

	propagator      propagation.TextMapPropagator
	resource        *resource.Resource
	metricsResource *resource.Resource
	logProcessors   []sdklog.Processor
	temporality     metricdata.Temporality
	started         time.Time

	timeout     time.Duration
	failures    *failures
	destination string
	notes       []string

	mu            sync.Mutex
	counted       []release.Operation
	measured      []metricdata.ScopeMetrics
	objectLoggers map[string]log.Logger
}

// Open reads the environment and returns an Emitter. It does no network I/O but
// one probe of the loopback interface when no endpoint is configured. Settings
// that cannot be honoured (an unknown exporter, an unreadable certificate) turn
// that signal off and are reported by Close.
func Open(ctx context.Context, opts Options) *Emitter {
	e := &Emitter{
		propagator: newPropagator(),
		timeout:    opts.Timeout,
		failures:   &failures{},
		started:    time.Now(),
	}
	if e.timeout <= 0 {
		e.timeout = DefaultTimeout
	}
	routeSDKErrors(e.failures)

	var plan plan
	if !opts.SinksOnly {
		plan = planFromEnv(ctx)
	}
	e.destination, e.notes = plan.destination(), plan.notes
	res := newResource(ctx, opts)
	e.resource, e.metricsResource = res, stableResource(res)
	e.temporality = temporalityFromEnv()

	traceOpts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res), sdktrace.WithIDGenerator(idGenerator{})}
	for _, exp := range plan.spanExporters(ctx, e.failures, opts.Sinks) {
		if opts.SinksOnly {
			traceOpts = append(traceOpts, sdktrace.WithSyncer(exp), sdktrace.WithSampler(sdktrace.AlwaysSample()))
			continue
		}
		traceOpts = append(traceOpts, sdktrace.WithBatcher(exp))
	}
	e.traces = sdktrace.NewTracerProvider(traceOpts...)

	logOpts := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	for _, exp := range plan.logExporters(ctx, e.failures, opts.Sinks) {
		if opts.SinksOnly {
			p := sdklog.NewSimpleProcessor(exp)
			e.logProcessors = append(e.logProcessors, p)
			logOpts = append(logOpts, sdklog.WithProcessor(p))
			continue
		}
		var batch []sdklog.BatchProcessorOption
		if os.Getenv("OTEL_BLRP_SCHEDULE_DELAY") == "" {
			batch = append(batch, sdklog.WithExportInterval(logInterval))
		}
		p := sdklog.NewBatchProcessor(exp, batch...)
		e.logProcessors = append(e.logProcessors, p)
		logOpts = append(logOpts, sdklog.WithProcessor(p))
	}
	e.logs = sdklog.NewLoggerProvider(logOpts...)
	e.metrics = plan.metricExporters(ctx, e.failures, opts.Sinks)

	// The scope has no version: a pipeline on the next version of fairlead
	// would otherwise be another series to whatever adds deltas up.
	e.tracer = e.traces.Tracer(release.Scope)
	e.logger = e.logs.Logger(release.Scope)
	return e
}

// Destination says where telemetry goes, for people; "" when it goes nowhere.
func (e *Emitter) Destination() string { return e.destination }

// Tracer returns the tracer of [release.Scope].
func (e *Emitter) Tracer() trace.Tracer { return e.tracer }

// recordsFirst is how long the metrics wait for spans and logs to be delivered: a
// receiver that derives metrics from the records of operations must have those
// before it decides whether a metric tells the same once more.
const recordsFirst = 500 * time.Millisecond

// Close exports what is left, metrics last, and returns within the
// timeout whatever the other side does. The error, one line, says what was not
// delivered; nil when all was, or telemetry is off.
func (e *Emitter) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var records sync.WaitGroup
		records.Go(func() { _ = e.traces.Shutdown(ctx) })
		records.Go(func() { _ = e.logs.Shutdown(ctx) })
		delivered := make(chan struct{})
		go func() {
			records.Wait()
			close(delivered)
		}()
		late := time.NewTimer(recordsFirst)
		defer late.Stop()
		select {
		case <-delivered:
		case <-late.C:
		}
		e.exportMetrics(ctx)
		<-delivered
	}()
	select {
	case <-done:
	case <-ctx.Done():
		// They all hold ctx, too, but an exporter that does not listen to it
		// must not hold up the pipeline.
		e.failures.add("", fmt.Errorf("no answer within %s", e.timeout))
	}
	return e.problem()
}

func (e *Emitter) problem() error {
	what := e.failures.summary()
	if what == "" && len(e.notes) == 0 {
		return nil
	}
	parts := append([]string{}, e.notes...)
	if what != "" {
		to := ""
		if e.destination != "" {
			to = " to " + e.destination
		}
		parts = append(parts, "not delivered"+to+": "+what)
	}
	return errors.New("telemetry: " + strings.Join(parts, "; "))
}

// Disabled reports whether the standard OTEL_SDK_DISABLED turns telemetry off.
func Disabled() bool {
	return strings.EqualFold(strings.TrimSpace(os.Getenv("OTEL_SDK_DISABLED")), "true")
}

func newPropagator() propagation.TextMapPropagator {
	// Unknown names in OTEL_PROPAGATORS leave the others working.
	return autoprop.NewTextMapPropagator()
}
