package judge_test

import (
	"context"
	"slices"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/tracing"
)

// The attributes' names are an interface: dashboards are built on them.
func TestRecord(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	verdict := analysis.Verdict{
		Decision: analysis.Rollback, Reason: analysis.ReasonHarm, DurationMinutes: 3,
		Results: analysis.Results{
			ErrorRate:  &analysis.ErrorRateResult{Canary: 0.2, Stable: 0.1},
			P99Latency: &analysis.LatencyResult{CanaryMS: 200, StableMS: 100},
		},
		Checks: []analysis.Check{{Metric: "error_rate", Route: "/a", State: analysis.CheckFailed}, {Metric: "p99_latency"}},
	}
	subject := judge.Subject{Service: "shop", CanaryVersion: "2", StableVersion: "1"}
	judge.Record(context.Background(), provider.Tracer("t"), subject, judge.Report{Verdict: verdict}, began, began.Add(time.Second))
	verdict.Results = analysis.Results{}
	judge.Record(context.Background(), provider.Tracer("t"), subject, judge.Report{Verdict: verdict}, began, began.Add(time.Second))
	got := spans.GetSpans()
	if len(got) != 2 || got[0].Name != "canary.analysis" || len(got[0].Events) != 2 {
		t.Fatalf("spans %+v, want two canary.analysis with an event per check", got)
	}
	names := func(i int) []string {
		var names []string
		for _, a := range got[i].Attributes {
			names = append(names, string(a.Key))
		}
		return names
	}
	always := []string{"canary.service", "canary.version", "canary.stable_version", "canary.decision", "canary.analysis_duration_min"}
	withData := []string{"canary.error_rate.canary", "canary.error_rate.stable", "canary.error_rate.passed", "canary.p99.canary_ms", "canary.p99.stable_ms", "canary.p99.passed"}
	for _, name := range append(always, withData...) {
		if !slices.Contains(names(0), name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range withData {
		if slices.Contains(names(1), name) {
			t.Errorf("%s is there without data: it would read as 0", name)
		}
	}
	gauges := judge.Metrics(subject, verdict, began)
	if len(gauges) != 2 {
		t.Errorf("%d gauges without data, want the decision and the duration", len(gauges))
	}
}

// The span of a rollback leads to the traces that explain it.
func TestRecordLinksTheFailedTraces(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	report := judge.Report{Verdict: analysis.Verdict{Decision: analysis.Rollback}, Explanation: &tracing.Explanation{
		Summary: "20 of 30 have http.route=/pay",
		Traces:  []tracing.Sample{{TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331", Route: "/pay"}, {TraceID: "no id"}},
	}}
	judge.Record(context.Background(), provider.Tracer("t"), judge.Subject{Service: "shop"}, report, began, began.Add(time.Second))
	links := spans.GetSpans()[0].Links
	if len(links) != 1 || links[0].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("links %+v, want the one trace with an id", links)
	}
}
