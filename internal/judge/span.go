package judge

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/tracing"
)

// SpanName is the name of the span of an analysis.
const SpanName = "canary.analysis"

// TraceLinks are links of a span to the traces that explain it.
func TraceLinks(samples []tracing.Sample) []trace.Link {
	var links []trace.Link
	for _, s := range samples {
		traceID, err1 := trace.TraceIDFromHex(s.TraceID)
		spanID, err2 := trace.SpanIDFromHex(s.SpanID)
		if err1 != nil || err2 != nil {
			continue
		}
		c := trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true}
		links = append(links, trace.Link{SpanContext: trace.NewSpanContext(c), Attributes: []attribute.KeyValue{
			attribute.String("http.route", s.Route), attribute.String("canary.failure.message", s.Message),
		}})
	}
	return links
}

// Record writes the span of an analysis that ran from start to now: the
// attributes that the specification names, and an event per check. What there
// is no data for is left out: never 0.
func Record(ctx context.Context, tracer trace.Tracer, subject Subject, v Report, start, now time.Time) {
	attrs := []attribute.KeyValue{
		attribute.String("canary.service", subject.Service),
		attribute.String("canary.version", subject.CanaryVersion),
		attribute.String("canary.stable_version", subject.StableVersion),
		attribute.String("canary.decision", string(v.Decision)),
		attribute.String("canary.reason", string(v.Reason)),
		attribute.String("canary.message", v.Message),
		attribute.String("canary.rule", string(v.Rule)),
		attribute.Int("canary.step", v.Step.Index),
		attribute.Float64("canary.analysis_duration_min", v.DurationMinutes),
	}
	if r := v.Results.ErrorRate; r != nil {
		attrs = append(attrs, attribute.Float64("canary.error_rate.canary", r.Canary),
			attribute.Float64("canary.error_rate.stable", r.Stable), attribute.Bool("canary.error_rate.passed", r.Passed))
	}
	if r := v.Results.P99Latency; r != nil {
		attrs = append(attrs, attribute.Float64("canary.p99.canary_ms", r.CanaryMS),
			attribute.Float64("canary.p99.stable_ms", r.StableMS), attribute.Bool("canary.p99.passed", r.Passed))
	}
	if e := v.Evidence; e != nil {
		attrs = append(attrs, attribute.Float64("canary.evidence", e.E), attribute.Float64("canary.evidence.limit", e.Limit),
			attribute.Float64("canary.traffic_share", e.TrafficShare))
	}
	if len(v.Attributed) > 0 {
		attrs = append(attrs, attribute.StringSlice("canary.attributed", v.Attributed))
	}
	var links []trace.Link
	if v.Explanation != nil {
		attrs = append(attrs, attribute.String("canary.explanation", v.Explanation.Summary))
		links = TraceLinks(v.Explanation.Traces)
	}
	_, span := tracer.Start(ctx, SpanName, trace.WithTimestamp(start), trace.WithAttributes(attrs...), trace.WithLinks(links...))
	for i, c := range v.Checks {
		if i == maxEvents {
			break // sorted: what failed is first
		}
		span.AddEvent("canary.check", trace.WithTimestamp(now), trace.WithAttributes(checkAttributes(c)...))
	}
	span.End(trace.WithTimestamp(now))
}

// maxEvents is the SDK's default limit of a span's events.
const maxEvents = 128

func checkAttributes(c analysis.Check) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("canary.check.metric", c.Metric),
		attribute.String("canary.check.state", string(c.State)),
		attribute.Bool("canary.check.passed", c.Passed),
		attribute.Float64("canary.check.canary.events", c.Counts.Canary.Events),
		attribute.Float64("canary.check.canary.n", c.Counts.Canary.Units),
		attribute.Float64("canary.check.stable.events", c.Counts.Stable.Events),
		attribute.Float64("canary.check.stable.n", c.Counts.Stable.Units),
		attribute.Float64("canary.check.margin.relative", c.Margin.Relative),
		attribute.Float64("canary.check.margin.absolute", c.Margin.Absolute),
	}
	if c.Route != "" {
		attrs = append(attrs, attribute.String("http.route", c.Route))
	}
	if c.Estimate != nil {
		attrs = append(attrs, attribute.Float64("canary.check.diff", c.Estimate.Diff))
	}
	if c.Interval != nil {
		attrs = append(attrs, attribute.Float64("canary.check.interval.low", c.Interval.Low), attribute.Float64("canary.check.interval.high", c.Interval.High))
	}
	if c.Query != "" {
		attrs = append(attrs, attribute.String("canary.check.query", c.Query))
	}
	if c.Note != "" {
		attrs = append(attrs, attribute.String("canary.check.note", c.Note))
	}
	return attrs
}
