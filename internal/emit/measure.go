package emit

import (
	"context"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

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
