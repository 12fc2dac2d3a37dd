package web

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
)

// TestJudgedBy reads metrics of any name back from the checks' queries, as
// package prom writes them.
func TestJudgedBy(t *testing.T) {
	r := rollout.Record{Service: "checkout", CanaryVersion: "2.0.0", StableVersion: "1.9.0"}
	for _, tc := range []struct {
		reason   string
		checks   []analysis.Check
		metrics  *analysis.Metrics
		matchers [2]string
		business [2]string
	}{
		{
			reason: "a histogram of one's own, errors by a label of one's own",
			checks: []analysis.Check{
				{Metric: "error_rate", Query: `{__name__="edge_ms_count",app="checkout",code=~"500|503",version=~"1\\.9\\.0|2\\.0\\.0"}`},
				{Metric: "p99_latency", Query: `{__name__="edge_ms_bucket",app="checkout",version=~"1\\.9\\.0|2\\.0\\.0"}`},
			},
			metrics:  &analysis.Metrics{Requests: "edge_ms_count", Latency: "edge_ms", LatencyUnit: "ms", ErrorMatch: `code=~"500|503"`},
			matchers: [2]string{`app="checkout",version=~"2\\.0\\.0"`, `app="checkout",version=~"1\\.9\\.0"`},
		},
		{
			reason: "a counter of errors beside the histogram, and a business check",
			checks: []analysis.Check{
				{Metric: "error_rate", Query: `{__name__="edge_errors_total",deployment_track=~"canary|stable"}`},
				{Metric: "p99_latency", Query: `{__name__="edge_seconds_bucket",deployment_track=~"canary|stable"}`},
				{Metric: "conversion", Query: `{__name__="orders_total",deployment_track=~"canary|stable"} / {__name__="sessions_total",deployment_track=~"canary|stable"}`},
			},
			metrics:  &analysis.Metrics{Requests: "edge_seconds_count", Latency: "edge_seconds", LatencyUnit: "s", Errors: "edge_errors_total"},
			matchers: [2]string{`deployment_track=~"canary"`, `deployment_track=~"stable"`},
			business: [2]string{
				`sum(rate({__name__="orders_total",deployment_track=~"canary"}[1m])) / sum(rate({__name__="sessions_total",deployment_track=~"canary"}[1m]))`,
				`sum(rate({__name__="orders_total",deployment_track=~"stable"}[1m])) / sum(rate({__name__="sessions_total",deployment_track=~"stable"}[1m]))`,
			},
		},
		{reason: "a query that is none", checks: []analysis.Check{{Metric: "error_rate", Query: `{`}, {Metric: "p99_latency", Query: `sum(x)`}}},
		{reason: "no checks"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			got := judgedBy(&analysis.Verdict{Checks: tc.checks}, r)
			if diff := cmp.Diff(tc.metrics, got.metrics); diff != "" {
				t.Errorf("metrics: %s", diff)
			}
			for i, want := range tc.matchers {
				if want != "" && got.arms[i].matcher != want {
					t.Errorf("arm %d: %s, want %s", i, got.arms[i].matcher, want)
				}
			}
			for i, want := range tc.business {
				if want != "" && got.business[0].expr(i, "1m") != want {
					t.Errorf("business %d: %s, want %s", i, got.business[0].expr(i, "1m"), want)
				}
			}
		})
	}
	if got := judgedBy(nil, r); got.metrics != nil {
		t.Error("no verdict has metrics")
	}
}
