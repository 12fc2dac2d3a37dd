package emit

import (
	"context"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Retrying is for the collector that restarts just now; it must fit the flush.
const (
	retryFirst = 200 * time.Millisecond
	retryMax   = time.Second
	retryTotal = 2 * time.Second
)

type metricExporter interface {
	Export(ctx context.Context, rm *metricdata.ResourceMetrics) error
	Shutdown(ctx context.Context) error
}

func (p plan) spanExporters(ctx context.Context, f *failures, sinks []Sink) []sdktrace.SpanExporter {
	var out []sdktrace.SpanExporter
	add := func(exp sdktrace.SpanExporter, err error) {
		if err != nil {
			f.add("traces", err)
			return
		}
		out = append(out, guardedSpans{exp, f})
	}
	r := p.routes[signalTraces]
	switch {
	case r.otlp && r.grpc:
		opts := []otlptracegrpc.Option{otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{})}
		if r.endpoint != "" {
			opts = append(opts, otlptracegrpc.WithEndpoint(r.endpoint), otlptracegrpc.WithInsecure())
		}
		add(otlptracegrpc.New(ctx, opts...))
	case r.otlp:
		opts := []otlptracehttp.Option{otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMax, MaxElapsedTime: retryTotal})}
		if r.endpoint != "" {
			opts = append(opts, otlptracehttp.WithEndpoint(r.endpoint), otlptracehttp.WithInsecure())
		}
		add(otlptracehttp.New(ctx, opts...))
	}
	if r.console {
		add(stdouttrace.New(stdouttrace.WithWriter(os.Stderr)))
	}
	if client := sinkClient(sinks); client != nil {
		add(otlptrace.New(ctx, otlptracehttp.NewClient(otlptracehttp.WithEndpoint(sinkHost), otlptracehttp.WithHTTPClient(client),
			otlptracehttp.WithCompression(otlptracehttp.NoCompression), otlptracehttp.WithURLPath(sinkTraces))))
	}
	return out
}

func (p plan) logExporters(ctx context.Context, f *failures, sinks []Sink) []sdklog.Exporter {
	var out []sdklog.Exporter
	add := func(exp sdklog.Exporter, err error) {
		if err != nil {
			f.add("logs", err)
			return
		}
		out = append(out, guardedLogs{exp, f})
	}
	r := p.routes[signalLogs]
	switch {
	case r.otlp && r.grpc:
		opts := []otlploggrpc.Option{otlploggrpc.WithRetry(otlploggrpc.RetryConfig{})}
		if r.endpoint != "" {
			opts = append(opts, otlploggrpc.WithEndpoint(r.endpoint), otlploggrpc.WithInsecure())
		}
		exp, err := otlploggrpc.New(ctx, opts...)
		add(exp, err)
	case r.otlp:
		opts := []otlploghttp.Option{otlploghttp.WithRetry(otlploghttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMax, MaxElapsedTime: retryTotal})}
		if r.endpoint != "" {
			opts = append(opts, otlploghttp.WithEndpoint(r.endpoint), otlploghttp.WithInsecure())
		}
		exp, err := otlploghttp.New(ctx, opts...)
		add(exp, err)
	}
	if r.console {
		exp, err := stdoutlog.New(stdoutlog.WithWriter(os.Stderr))
		add(exp, err)
	}
	if client := sinkClient(sinks); client != nil {
		exp, err := otlploghttp.New(ctx, otlploghttp.WithEndpoint(sinkHost), otlploghttp.WithHTTPClient(client),
			otlploghttp.WithCompression(otlploghttp.NoCompression), otlploghttp.WithURLPath(sinkLogs))
		add(exp, err)
	}
	return out
}

func (p plan) metricExporters(ctx context.Context, f *failures, sinks []Sink) []metricExporter {
	var out []metricExporter
	add := func(exp sdkmetric.Exporter, err error) {
		if err != nil {
			f.add("metrics", err)
			return
		}
		out = append(out, guardedMetrics{exp, f})
	}
	r := p.routes[signalMetrics]
	switch {
	case r.otlp && r.grpc:
		opts := []otlpmetricgrpc.Option{otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{})}
		if r.endpoint != "" {
			opts = append(opts, otlpmetricgrpc.WithEndpoint(r.endpoint), otlpmetricgrpc.WithInsecure())
		}
		exp, err := otlpmetricgrpc.New(ctx, opts...)
		add(exp, err)
	case r.otlp:
		opts := []otlpmetrichttp.Option{otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMax, MaxElapsedTime: retryTotal})}
		if r.endpoint != "" {
			opts = append(opts, otlpmetrichttp.WithEndpoint(r.endpoint), otlpmetrichttp.WithInsecure())
		}
		exp, err := otlpmetrichttp.New(ctx, opts...)
		add(exp, err)
	}
	if r.console {
		exp, err := stdoutmetric.New(stdoutmetric.WithWriter(os.Stderr))
		add(exp, err)
	}
	if client := sinkClient(sinks); client != nil {
		exp, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(sinkHost), otlpmetrichttp.WithHTTPClient(client),
			otlpmetrichttp.WithCompression(otlpmetrichttp.NoCompression), otlpmetrichttp.WithURLPath(sinkMetrics))
		add(exp, err)
	}
	return out
}

// The guarded exporters record what fails instead of returning it, and try a
// gRPC export a second time when the other side was there but not ready: the
// gRPC exporters' own retry cannot tell that from a refused connection, for
// which it would wait out the whole flush.

type guardedSpans struct {
	sdktrace.SpanExporter
	f *failures
}

func (g guardedSpans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	g.f.guard(ctx, "traces", func() error { return g.SpanExporter.ExportSpans(ctx, spans) })
	return nil
}

type guardedLogs struct {
	sdklog.Exporter
	f *failures
}

func (g guardedLogs) Export(ctx context.Context, records []sdklog.Record) error {
	g.f.guard(ctx, "logs", func() error { return g.Exporter.Export(ctx, records) })
	return nil
}

type guardedMetrics struct {
	sdkmetric.Exporter
	f *failures
}

func (g guardedMetrics) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	g.f.guard(ctx, "metrics", func() error { return g.Exporter.Export(ctx, rm) })
	return nil
}

func (f *failures) guard(ctx context.Context, signal string, export func() error) {
	err := export()
	if err != nil && grpcNotReady(err) {
		select {
		case <-ctx.Done():
		case <-time.After(retryFirst):
			err = export()
		}
	}
	if err != nil {
		f.add(signal, err)
	}
}

func grpcNotReady(err error) bool {
	text := err.Error()
	return strings.Contains(text, "code = Unavailable") && !strings.Contains(text, "connection refused")
}
