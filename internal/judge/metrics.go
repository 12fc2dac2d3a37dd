package judge

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"fairlead.dev/fairlead/internal/analysis"
)

// Scope is the instrumentation scope of the metrics of an analysis.
const Scope = "fairlead.canary"

// Metrics are gauges of a verdict, by service and version: canary.decision is 1
// for the decision and 0 for the two others; what there is no data for is left
// out.
func Metrics(subject Subject, v analysis.Verdict, now time.Time) []metricdata.Metrics {
	base := []attribute.KeyValue{attribute.String("canary.service", subject.Service), attribute.String("canary.version", subject.CanaryVersion)}
	point := func(value float64, more ...attribute.KeyValue) metricdata.DataPoint[float64] {
		return metricdata.DataPoint[float64]{Time: now, Value: value, Attributes: attribute.NewSet(append(more, base...)...)}
	}
	track := func(t analysis.Track) attribute.KeyValue { return attribute.String("deployment.track", t.String()) }
	gauge := func(name, unit, description string, points ...metricdata.DataPoint[float64]) metricdata.Metrics {
		return metricdata.Metrics{Name: name, Unit: unit, Description: description, Data: metricdata.Gauge[float64]{DataPoints: points}}
	}
	var decisions []metricdata.DataPoint[float64]
	for _, d := range []analysis.Decision{analysis.Promote, analysis.Rollback, analysis.Continue} {
		value := 0.0
		if d == v.Decision {
			value = 1
		}
		decisions = append(decisions, point(value, attribute.String("canary.decision", string(d))))
	}
	out := []metricdata.Metrics{
		gauge("canary.decision", "1", "1 for the decision of the newest analysis, 0 for the others.", decisions...),
		gauge("canary.analysis.duration", "s", "How long the canary has been analysed.", point(v.DurationMinutes*60)),
	}
	if r := v.Results.ErrorRate; r != nil {
		out = append(out, gauge("canary.error_rate", "1", "Failed requests of all requests.", point(r.Canary, track(analysis.Canary)), point(r.Stable, track(analysis.Stable))))
	}
	if r := v.Results.P99Latency; r != nil {
		out = append(out, gauge("canary.p99", "ms", "The 99th percentile of the latency.", point(r.CanaryMS, track(analysis.Canary)), point(r.StableMS, track(analysis.Stable))))
	}
	if e := v.Evidence; e != nil {
		out = append(out, gauge("canary.evidence", "1", "Evidence of harm, as odds to one.", point(e.E)),
			gauge("canary.traffic_share", "1", "The canary's share of the step's requests.", point(e.TrafficShare)))
	}
	return out
}
