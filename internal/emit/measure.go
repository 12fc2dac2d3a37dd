package emit

import (
	"context"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// produceEvery is how often metrics are exported: detection time depends on it,
// as it does for applications (spec B1).
const produceEvery = 15 * time.Second

// Produce exports what the producer has until ctx ends, and once more then:
// every 15 seconds, or as OTEL_METRIC_EXPORT_INTERVAL (milliseconds) says.
func (e *Emitter) Produce(ctx context.Context, from sdkmetric.Producer) {
	if len(e.metrics) == 0 {
		return
	}
	every := produceEvery
	if ms, err := strconv.Atoi(os.Getenv("OTEL_METRIC_EXPORT_INTERVAL")); err == nil && ms > 0 {
		every = time.Duration(ms) * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.timeout)
			e.produce(last, from)
			cancel()
			return
		case <-tick.C:
			e.produce(ctx, from)
		}
	}
}

func (e *Emitter) produce(ctx context.Context, from sdkmetric.Producer) {
	scopes, err := from.Produce(ctx)
	if err != nil {
		e.failures.add("metrics", err)
	}
	if len(scopes) == 0 {
		return
	}
	for _, exp := range e.metrics {
		// What fails is recorded by the exporter.
		_ = exp.Export(ctx, &metricdata.ResourceMetrics{Resource: e.metricsResource, ScopeMetrics: scopes})
	}
}

// Measure adds metrics of another subject to what Close exports, under that
// scope's name.
func (e *Emitter) Measure(scope string, metrics ...metricdata.Metrics) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.measured = append(e.measured, metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: scope}, Metrics: metrics})
}

// exportMeasured hands what Measure was given to one exporter; its failures are
// recorded by the exporter.
func (e *Emitter) exportMeasured(ctx context.Context, exp metricExporter, measured []metricdata.ScopeMetrics) {
	if len(measured) > 0 {
		_ = exp.Export(ctx, &metricdata.ResourceMetrics{Resource: e.metricsResource, ScopeMetrics: measured})
	}
}
