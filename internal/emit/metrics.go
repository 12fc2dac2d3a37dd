package emit

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/release"
)

// zeroBefore is how far before a value its series' zero stands. Prometheus
// keeps milliseconds, so it is the least that stays apart there.
const zeroBefore = time.Millisecond

// Count adds a finished operation to the metrics that Close exports: installs
// and upgrades to the deploys, rollbacks to the rollbacks. Others, and running
// ones, count nowhere.
func (e *Emitter) Count(op release.Operation) {
	if !op.State.Done() || !(op.Kind.Deploy() || op.Kind == release.KindRollback) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counted = append(e.counted, op)
}

func (e *Emitter) exportMetrics(ctx context.Context) {
	e.mu.Lock()
	ops := e.counted
	e.counted = nil
	measured := e.measured
	e.measured = nil
	e.mu.Unlock()
	for _, exp := range e.metrics {
		if len(ops) > 0 {
			_ = exp.Export(ctx, e.metricData(ops, time.Now()))
		}
		e.exportMeasured(ctx, exp, measured)
		_ = exp.Shutdown(ctx)
	}
}

// metricData makes the three instruments' data at the instant now.
//
// It is made by hand and not by the SDK's instruments, because of what adds
// separate processes up downstream (Prometheus' OTLP endpoint, the Collector's
// deltatocumulative): a series must first be seen at 0, or increase() never
// sees its first run; and a point must not begin before another process's point
// ended, or it is dropped as older. So each value comes as two points, a zero
// and the value a millisecond later, both stamped with the moment of export:
// the order in which processes export is then the order of their times.
func (e *Emitter) metricData(ops []release.Operation, now time.Time) *metricdata.ResourceMetrics {
	start := now.Add(-zeroBefore)
	if e.temporality == metricdata.CumulativeTemporality {
		start = e.started
	}
	var deploys, rollbacks []metricdata.DataPoint[int64]
	var durations []metricdata.HistogramDataPoint[float64]
	count := func(points *[]metricdata.DataPoint[int64], op release.Operation, success string, n int64) {
		attrs := metricAttributes(op, success)
		for i, p := range *points {
			if p.Attributes.Equals(&attrs) && p.Time.Equal(now) {
				(*points)[i].Value += n
				(*points)[i].Exemplars = append(p.Exemplars, exemplars(op, n, now)...)
				return
			}
		}
		*points = append(*points,
			metricdata.DataPoint[int64]{Attributes: attrs, StartTime: start, Time: now.Add(-zeroBefore)},
			metricdata.DataPoint[int64]{Attributes: attrs, StartTime: start, Time: now, Value: n, Exemplars: exemplars(op, n, now)})
	}
	for _, op := range ops {
		ended := success(op)
		if op.Kind.Deploy() {
			count(&deploys, op, ended, 1)
			durations = appendDuration(durations, op, ended, start, now)
		} else {
			count(&rollbacks, op, ended, 1)
		}
		// A ratio of rollbacks to deploys is 0, not "no data", before the first
		// rollback, and likewise for failures.
		for _, s := range []string{"true", "false"} {
			count(&deploys, op, s, 0)
			count(&rollbacks, op, s, 0)
		}
	}
	metrics := []metricdata.Metrics{
		{Name: release.MetricDeployCount, Description: "Installs and upgrades that ended.",
			Data: metricdata.Sum[int64]{DataPoints: deploys, Temporality: e.temporality, IsMonotonic: true}},
		{Name: release.MetricRollbackCount, Description: "Rollbacks that ended, automatic or by hand.",
			Data: metricdata.Sum[int64]{DataPoints: rollbacks, Temporality: e.temporality, IsMonotonic: true}},
	}
	if len(durations) > 0 {
		metrics = append(metrics, metricdata.Metrics{
			Name: release.MetricDeployDuration, Unit: "s",
			Description: "How long Helm took for installs and upgrades, without a rollback after it.",
			Data:        metricdata.Histogram[float64]{DataPoints: durations, Temporality: e.temporality}})
	}
	return &metricdata.ResourceMetrics{
		Resource: e.metricsResource,
		ScopeMetrics: []metricdata.ScopeMetrics{{
			Scope: instrumentation.Scope{Name: release.Scope}, Metrics: metrics,
		}},
	}
}

func appendDuration(points []metricdata.HistogramDataPoint[float64], op release.Operation, success string, start, now time.Time) []metricdata.HistogramDataPoint[float64] {
	seconds := op.Duration().Seconds()
	zero := metricdata.HistogramDataPoint[float64]{
		Attributes: metricAttributes(op, success), StartTime: start, Time: now.Add(-zeroBefore),
		Bounds: release.DurationBounds, BucketCounts: make([]uint64, len(release.DurationBounds)+1),
	}
	p := zero
	p.Time = now
	p.Count, p.Sum = 1, seconds
	p.Min, p.Max = metricdata.NewExtrema(seconds), metricdata.NewExtrema(seconds)
	p.BucketCounts = slices.Clone(zero.BucketCounts)
	bucket, _ := slices.BinarySearch(release.DurationBounds, seconds) // upper bounds are inclusive
	p.BucketCounts[bucket] = 1
	p.Exemplars = exemplars(op, seconds, now)
	return append(points, zero, p)
}

// exemplars names the operation that counted: by it a receiver that has the
// operation's record, too, knows the point for the same thing told twice. A
// point of 0 counts nothing.
func exemplars[N int64 | float64](op release.Operation, value N, now time.Time) []metricdata.Exemplar[N] {
	traceID, err := trace.TraceIDFromHex(op.TraceID)
	if err != nil || value == 0 {
		return nil
	}
	spanID, err := trace.SpanIDFromHex(op.SpanID)
	if err != nil {
		return nil
	}
	return []metricdata.Exemplar[N]{{Time: now, Value: value, TraceID: traceID[:], SpanID: spanID[:]}}
}

// metricAttributes holds no revision, trace or pod: each would be a series.
func metricAttributes(op release.Operation, success string) attribute.Set {
	kvs := []attribute.KeyValue{
		attribute.String(release.AttrRelease, op.Release),
		attribute.String(release.AttrNamespace, op.Namespace),
		attribute.String(release.AttrSuccess, success),
	}
	if op.Cluster != "" {
		kvs = append(kvs, attribute.String(release.AttrCluster, op.Cluster))
	}
	return attribute.NewSet(kvs...)
}

func success(op release.Operation) string {
	if op.Succeeded() {
		return "true"
	}
	return "false"
}
