package metrics

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// The names and labels of the comparison dashboard come out as they are written.
func TestNamesOfTheComparisonDashboard(t *testing.T) {
	st := openStore(t, t.TempDir())
	r := newRequest("service.name", "checkout-service", "service.version", "1.1.0", "service.instance.id", "i1",
		"deployment.track", "canary", "deployment.environment", "prod", "deployment.environment.name", "prod",
		"k8s.pod.name", "p1", "k8s.namespace.name", "shop", "k8s.cluster.name", "c1", "host.name", "not promoted")
	r.counter("http.server.request", cumulative, 0, 15*s, 200).counter("http.server.request.errors", cumulative, 0, 15*s, 10)
	for _, unit := range []string{"", "s"} {
		h := r.metric("http.server.request.duration", unit).SetEmptyHistogram()
		h.SetAggregationTemporality(cumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(t0))
		p.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(15 * s)))
		p.SetCount(4)
		p.SetSum(10)
		p.ExplicitBounds().FromRaw([]float64{1, 5})
		p.BucketCounts().FromRaw([]uint64{1, 2, 1})
		p.Attributes().PutInt("http.response.status_code", 500)
	}
	st.mustConsume(t, r)
	sel := `{service_name="checkout-service", deployment_track="canary", service_version="1.1.0", k8s_pod_name="p1"}`
	for expr, want := range map[string]float64{
		"http_server_request_total" + sel:        200,
		"http_server_request_errors_total" + sel: 10,
		`sum(rate(http_server_request_errors_total` + sel + `[5m])) / sum(rate(http_server_request_total` + sel + `[5m]))`: 0.05,
		`sum(http_server_request_duration_bucket{le="5"})`:                                                                 3,
		`sum(http_server_request_duration_seconds_bucket{le="5"})`:                                                         3,
		`http_server_request_duration_seconds_count{http_response_status_code=~"5.."}`:                                     4,
		`histogram_quantile(0.5, sum(rate(http_server_request_duration_bucket[5m])) by (le))`:                              3,
	} {
		if got := st.value(t, expr, 15*s); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %v, want %v", expr, got, want)
		}
	}
	for _, v := range st.vector(t, "http_server_request_total", 15*s) {
		if v.Metric.Get("host_name") != "" {
			t.Errorf("host.name was promoted: %s", v.Metric)
		}
		for _, name := range Promoted {
			if v.Metric.Get(strings.ReplaceAll(name, ".", "_")) == "" {
				t.Errorf("%s was not promoted: %s", name, v.Metric)
			}
		}
	}
}

func TestTwoPodsAreTwoSeries(t *testing.T) {
	st := openStore(t, t.TempDir(), func(o *Options) { o.Promote = []string{"team"} })
	for _, pod := range []string{"a", "b"} {
		st.mustConsume(t, newRequest("service.name", "x", "k8s.pod.name", pod, "team", "red").counter("c", cumulative, 0, 15*s, 3))
	}
	if got := st.value(t, `sum(c_total{team="red"})`, 15*s); got != 6 {
		t.Errorf("sum = %v, want 6", got)
	}
}

// A process that reports once has an increase, because its start is a 0.
func TestCumulativeCounterStartsAtZero(t *testing.T) {
	st := openStore(t, t.TempDir())
	st.mustConsume(t, newRequest("service.instance.id", "one").counter("c", cumulative, 0, 15*s, 1))
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 0, 15 * s: 1})
	st.mustConsume(t, newRequest("service.instance.id", "one").counter("c", cumulative, 0, 30*s, 2))
	// Restarted: a new start time.
	st.mustConsume(t, newRequest("service.instance.id", "one").counter("c", cumulative, 40*s, 60*s, 2))
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 0, 15 * s: 1, 30 * s: 2, 40 * s: 0, 60 * s: 2})
}

func TestOneBadMetricDoesNotTakeTheOthersAlong(t *testing.T) {
	bad := map[string]func(*request){
		"no temporality": func(r *request) {
			r.counter("bad", pmetric.AggregationTemporalityUnspecified, 0, 15*s, 1)
		},
		"no data":     func(r *request) { r.metric("bad", "").SetEmptyGauge().DataPoints().AppendEmpty() },
		"future":      func(r *request) { r.counter("bad", cumulative, 0, 3*time.Hour, 1) },
		"too old":     func(r *request) { r.counter("bad", cumulative, -1, -400*time.Hour, 1) },
		"bad buckets": func(r *request) { exponential(r, "bad", 15*s, 99, 1) },
		"scale":       func(r *request) { exponential(r, "bad", 15*s, 1, -9) },
		"delta NaN":   func(r *request) { r.counter("bad", delta, 0, 15*s, math.NaN()) },
	}
	for name, add := range bad {
		t.Run(name, func(t *testing.T) {
			st := openStore(t, t.TempDir())
			st.mustConsume(t, newRequest().counter("before", cumulative, 0, 10*s, 1))
			r := newRequest().counter("first", cumulative, 0, 15*s, 5)
			add(r)
			r.counter("last", cumulative, 0, 15*s, 7).counter("last_delta", delta, 0, 15*s, 9)
			err := st.ConsumeMetrics(t.Context(), r.md)
			var partial *PartialError
			if !errors.As(err, &partial) {
				t.Fatalf("got %v, want a PartialError", err)
			}
			if partial.Points != 1 || partial.Message == "" {
				t.Errorf("got %d points, message %q; want 1 point and a message", partial.Points, partial.Message)
			}
			for expr, want := range map[string]float64{"first_total": 5, "last_total": 7, "last_delta_total": 9} {
				if got := st.value(t, expr, 15*s); got != want {
					t.Errorf("%s = %v, want %v", expr, got, want)
				}
			}
		})
	}
}

// exponential adds a histogram of one observation that says it has count.
func exponential(r *request, name string, end time.Duration, count uint64, scale int32) {
	h := r.metric(name, "").SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(cumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(end)))
	p.SetScale(scale)
	p.SetCount(count)
	p.Positive().BucketCounts().FromRaw([]uint64{1})
}

func TestExponentialHistogramIsNative(t *testing.T) {
	st := openStore(t, t.TempDir())
	r := newRequest()
	exponential(r, "e", 15*s, 1, 3)
	st.mustConsume(t, r)
	v := st.vector(t, "e", 15*s)
	if len(v) != 1 || v[0].H == nil || v[0].H.Count != 1 || v[0].H.Schema != 3 {
		t.Fatalf("got %v, want a native histogram of schema 3 with one observation", v)
	}
}

func TestLateSamplesWithinTheWindow(t *testing.T) {
	st := openStore(t, t.TempDir())
	st.mustConsume(t, newRequest().counter("c", cumulative, -1, 100*m, 5))
	st.mustConsume(t, newRequest().counter("c", cumulative, -1, 0, 1))
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 1, 100 * m: 5})
}

func TestExemplarsAreKept(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	r := newRequest("service.name", "x")
	h := r.metric("d", "s").SetEmptyHistogram()
	h.SetAggregationTemporality(cumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(15 * s)))
	p.SetCount(1)
	p.ExplicitBounds().FromRaw([]float64{1})
	p.BucketCounts().FromRaw([]uint64{1, 0})
	e := p.Exemplars().AppendEmpty()
	e.SetDoubleValue(0.5)
	e.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(14 * s)))
	e.SetTraceID(pcommon.TraceID{1, 2})
	st.mustConsume(t, r)
	reopen(t, st)
	st = openStore(t, dir)
	q, err := st.db.ExemplarQuerier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "d_seconds_bucket")})
	if err != nil || len(got) != 1 || len(got[0].Exemplars) != 1 || got[0].Exemplars[0].Labels.Get("trace_id") != "01020000000000000000000000000000" {
		t.Fatalf("got %v, %v; want one exemplar with the trace id", got, err)
	}
}

func TestConsumeDoesNotChangeTheRequest(t *testing.T) {
	st := openStore(t, t.TempDir())
	r := newRequest("service.name", "x").counter("c", delta, 0, 15*s, 3).counter("d", cumulative, 0, 15*s, 3)
	before := pmetric.NewMetrics()
	r.md.CopyTo(before)
	st.mustConsume(t, r)
	want, _ := (&pmetric.JSONMarshaler{}).MarshalMetrics(before)
	got, _ := (&pmetric.JSONMarshaler{}).MarshalMetrics(r.md)
	if string(got) != string(want) {
		t.Errorf("request changed:\n%s\nwas\n%s", got, want)
	}
}
