package prom

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/analysis"
)

// memory is a backend of series in memory that counts what it is asked.
type memory struct {
	series []Series
	asked  []string
	err    error
}

func (m *memory) Select(_ context.Context, match Matchers, from, to time.Time) (Result, error) {
	m.asked = append(m.asked, match.String())
	if m.err != nil {
		return Result{}, m.err
	}
	var r Result
	for _, s := range m.series {
		if !match.Matches(s.Labels) {
			continue
		}
		out := Series{Labels: s.Labels}
		for _, p := range s.Points {
			if p.T > from.UnixMilli() && p.T <= to.UnixMilli() {
				out.Points = append(out.Points, p)
			}
		}
		if len(out.Points) > 0 {
			r.Series = append(r.Series, out)
		}
	}
	return r, nil
}

func (m *memory) Exists(_ context.Context, match Matchers, _, _ time.Time) (bool, error) {
	m.asked = append(m.asked, "exists "+match.String())
	return slices.ContainsFunc(m.series, func(s Series) bool { return match.Matches(s.Labels) }), nil
}

var epoch = time.Unix(1_700_000_000, 0)

// counter returns a series of the metric with a point every 15 s.
func counter(name string, pairs []string, values ...float64) Series {
	s := Series{Labels: labels.FromStrings(append([]string{labels.MetricName, name}, pairs...)...)}
	for i, v := range values {
		s.Points = append(s.Points, Point{T: epoch.Add(time.Duration(i) * 15 * time.Second).UnixMilli(), V: v})
	}
	return s
}

func with(base []string, more ...string) []string { return append(slices.Clone(base), more...) }

var (
	stableLabels = []string{"service_name", "shop", "service_version", "1", "deployment_track", "stable", "k8s_pod_name", "s-1", "http_route", "/a"}
	canaryLabels = []string{"service_name", "shop", "service_version", "2", "deployment_track", "canary", "k8s_pod_name", "c-1", "http_route", "/a"}
)

func query(change func(*analysis.Config)) analysis.Query {
	c := analysis.Default()
	if change != nil {
		change(&c)
	}
	return analysis.Query{
		From: epoch, To: epoch.Add(time.Minute), Lookback: time.Minute, Config: &c,
		Tracks: [2]analysis.Selector{
			analysis.Stable: {Service: "shop", Version: "1"},
			analysis.Canary: {Service: "shop", Version: "2"},
		},
	}
}

// brief is a series in one line of a test's table.
func brief(series []analysis.Series) []string {
	var out []string
	for _, s := range series {
		kinds := ""
		for kind, letter := range map[analysis.Kind]string{analysis.KindRequests: "R", analysis.KindErrors: "E", analysis.KindBucket: "B",
			analysis.KindHistogram: "H", analysis.KindGood: "G", analysis.KindOf: "O"} {
			if s.Kind&kind != 0 {
				kinds += letter
			}
		}
		sorted := []byte(kinds)
		slices.Sort(sorted)
		line := strings.Join([]string{s.Track.String(), string(sorted), s.Route, s.Pod, s.Name}, " ")
		if s.Kind&analysis.KindBucket != 0 {
			line += " le=" + labelsFloat(s.LE)
		}
		for _, p := range s.Points {
			if p.H == nil {
				line += " " + labelsFloat(p.V)
			} else {
				line += " h" + labelsFloat(p.H.Total())
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func labelsFloat(v float64) string {
	if math.IsInf(v, 1) {
		return "Inf"
	}
	return strings.TrimSuffix(strings.TrimRight(strings.TrimSpace(formatFloat(v)), "0"), ".")
}

func TestFetchSemconv(t *testing.T) {
	const base = "http_server_request_duration_seconds"
	ok, failed := "200", "503"
	m := &memory{series: []Series{
		counter(base+"_count", with(stableLabels, "http_response_status_code", ok), 10, 20, 30),
		counter(base+"_count", with(stableLabels, "http_response_status_code", failed), 1, 1, 2),
		counter(base+"_count", with(canaryLabels, "http_response_status_code", ok), 0, 1),
		counter(base+"_bucket", with(stableLabels, "http_response_status_code", ok, "le", "0.1"), 9, 19, 29),
		counter(base+"_bucket", with(stableLabels, "http_response_status_code", ok, "le", "+Inf"), 10, 20, 30),
		counter(base+"_bucket", with(stableLabels, "http_response_status_code", failed, "le", "+Inf"), 1, 1, 2),
		counter(base+"_sum", with(stableLabels, "http_response_status_code", ok), 1, 2, 3),
		counter(base+"_count", []string{"service_name", "shop", "service_version", "0.9"}, 5),
	}}
	got, err := NewSource(m).Fetch(context.Background(), query(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"canary R /a c-1  0 1",
		"stable B /a s-1  le=0.1 9 19 29",
		"stable B /a s-1  le=Inf 10 20 30",
		"stable ER /a s-1  1 1 2",
		"stable R /a s-1  10 20 30",
	}
	if diff := cmp.Diff(want, brief(got.Series)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if !got.ErrorsEverSeen {
		t.Error("an error was in the answer, yet ErrorsEverSeen is false")
	}
	if len(m.asked) != 2 {
		t.Errorf("asked %d times, want 2: %q", len(m.asked), m.asked)
	}
	wantErrors := `http_server_request_duration_seconds_count{service_name="shop",service_version=~"1|2",http_response_status_code=~"5.."}`
	if got.Queries["errors"] != wantErrors {
		t.Errorf("errors query %s, want %s", got.Queries["errors"], wantErrors)
	}
}

func TestFetchLegacyInMilliseconds(t *testing.T) {
	m := &memory{series: []Series{
		counter("http_server_request_total", stableLabels, 10, 20),
		counter("http_server_request_errors_total", stableLabels, 1, 2),
		counter("http_server_request_duration_bucket", with(stableLabels, "le", "250"), 9, 19),
		counter("http_server_request_duration_bucket", with(stableLabels, "le", "+Inf"), 10, 20),
		counter("http_server_request_total", canaryLabels, 1, 2),
	}}
	got, err := NewSource(m).Fetch(context.Background(), query(func(c *analysis.Config) { c.Preset = analysis.PresetLegacy }))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"canary R /a c-1  1 2", "stable B /a s-1  le=0.25 9 19", "stable B /a s-1  le=Inf 10 20",
		"stable E /a s-1  1 2", "stable R /a s-1  10 20",
	}
	if diff := cmp.Diff(want, brief(got.Series)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestFetchNative(t *testing.T) {
	native := func(pairs []string, totals ...float64) Series {
		s := Series{Labels: labels.FromStrings(append([]string{labels.MetricName, "http_server_request_duration_seconds"}, pairs...)...)}
		for i, n := range totals {
			s.Points = append(s.Points, Point{T: epoch.Add(time.Duration(i) * 15 * time.Second).UnixMilli(),
				H: &analysis.Histogram{Schema: 3, First: -20, Counts: []float64{n - 1, 1}}})
		}
		return s
	}
	m := &memory{series: []Series{
		native(with(stableLabels, "http_response_status_code", "200"), 10, 20),
		native(with(stableLabels, "http_response_status_code", "500"), 2, 4),
		native(with(canaryLabels, "http_response_status_code", "200"), 1, 2),
	}}
	got, err := NewSource(m).Fetch(context.Background(), query(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"canary H /a c-1  h1 h2", "canary R /a c-1  1 2",
		"stable ER /a s-1  2 4", "stable H /a s-1  h10 h20", "stable R /a s-1  10 20",
	}
	if diff := cmp.Diff(want, brief(got.Series)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(m.asked) != 1 {
		t.Errorf("asked %q; native histograms make the second request needless", m.asked)
	}
	// In milliseconds, exponential buckets become buckets of seconds.
	got, err = NewSource(m).Fetch(context.Background(), query(func(c *analysis.Config) {
		c.Metrics.LatencyUnit = "ms"
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got.Series {
		if s.Kind&analysis.KindHistogram != 0 {
			t.Errorf("a native histogram of milliseconds was passed on: %s", s.ID)
		}
		if s.Kind == analysis.KindBucket && s.Track == analysis.Stable && math.IsInf(s.LE, 1) && s.Points[1].V != 20 {
			t.Errorf("le=+Inf has %v, want all 20", s.Points[1].V)
		}
	}
}

func TestFetchBusiness(t *testing.T) {
	pods := stableLabels[:8]
	m := &memory{series: []Series{
		counter("checkout_orders_total", with(pods, "payment", "card"), 1, 2),
		counter("checkout_orders_total", with(pods, "payment", "cash"), 5, 6),
		counter("checkout_sessions_total", pods, 10, 20),
	}}
	got, err := NewSource(m).Fetch(context.Background(), query(func(c *analysis.Config) {
		c.Business = []analysis.Business{
			{Name: "conversion", Good: "checkout_orders_total", Of: "checkout_sessions_total", MaxDrop: 0.05},
			{Name: "cards", Good: `checkout_orders_total{payment="card"}`, Of: "checkout_orders_total", MaxDrop: 0.05},
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"stable G  s-1 cards 1 2", "stable G  s-1 conversion 1 2", "stable G  s-1 conversion 5 6",
		"stable O  s-1 cards 1 2", "stable O  s-1 cards 5 6", "stable O  s-1 conversion 10 20",
	}
	if diff := cmp.Diff(want, brief(got.Series)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(m.asked) > 4 {
		t.Errorf("%d requests for one look, want at most 4: %q", len(m.asked), m.asked)
	}
}

func TestErrorsEverSeen(t *testing.T) {
	requests := counter("http_server_request_duration_seconds_count", with(stableLabels, "http_response_status_code", "200"), 10, 20)
	long := counter("http_server_request_duration_seconds_count", with(stableLabels, "http_response_status_code", "500"), 1)
	long.Points[0].T -= 3_600_000
	tests := map[string]struct {
		series []Series
		config func(*analysis.Config)
		want   bool
		asks   bool
	}{
		"never":            {series: []Series{requests}, want: false, asks: true},
		"an hour ago":      {series: []Series{requests, long}, want: true, asks: true},
		"nobody cares":     {series: []Series{requests}, config: func(c *analysis.Config) { c.ErrorsAbsent = analysis.ErrorsAbsentZero }},
		"nothing is there": {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{series: tc.series}
			got, err := NewSource(m).Fetch(context.Background(), query(tc.config))
			if err != nil {
				t.Fatal(err)
			}
			if got.ErrorsEverSeen != tc.want {
				t.Errorf("ErrorsEverSeen = %v, want %v", got.ErrorsEverSeen, tc.want)
			}
			asked := slices.ContainsFunc(m.asked, func(s string) bool { return strings.HasPrefix(s, "exists") })
			if asked != tc.asks {
				t.Errorf("asked for the past: %v, want %v", asked, tc.asks)
			}
		})
	}
}

func TestFetchRefuses(t *testing.T) {
	tests := map[string]struct {
		query func(*analysis.Query)
		want  string
	}{
		"same tracks": {func(q *analysis.Query) { q.Tracks[analysis.Canary].Version = "1" }, "cannot be told apart"},
		"error match": {func(q *analysis.Query) { q.Config.Metrics.ErrorMatch = "code~5.." }, "analysis.metrics.errorMatch = code~5..: want PromQL matchers"},
		"match":       {func(q *analysis.Query) { q.Config.Metrics.Match = "{" }, "analysis.metrics.match"},
		"business": {func(q *analysis.Query) {
			q.Config.Business = []analysis.Business{{Name: "x", Good: "sum(a)", Of: "b"}}
		}, "analysis.business[0].good = sum(a)"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			q := query(nil)
			tc.query(&q)
			_, err := NewSource(&memory{}).Fetch(context.Background(), q)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestFetchPassesErrorsOn(t *testing.T) {
	_, err := NewSource(&memory{err: ErrPartial}).Fetch(context.Background(), query(nil))
	if !errors.Is(err, ErrPartial) {
		t.Errorf("error %v, want ErrPartial: half an answer is none", err)
	}
}

func TestLabelsAreTakenLiterally(t *testing.T) {
	q := query(nil)
	q.Tracks[analysis.Canary].Version = `2.0"} or vector(1)`
	q.Tracks[analysis.Stable].Version = "1.x"
	m := &memory{}
	if _, err := NewSource(m).Fetch(context.Background(), q); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.asked[0], `1\\.x|2\\.0\"\\} or vector\\(1\\)`) {
		t.Errorf("the versions are not quoted: %s", m.asked[0])
	}
}
