package web

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/web/chart"
)

// queries are the expressions of one arm for a set of metric names.
type queries struct {
	requests, errors, p99 string
	arm                   int // 0 the canary, 1 stable
}

func queriesFor(m analysis.Metrics, a arm, window string) queries {
	matched := func(name, more string) string { return fmt.Sprintf("%s{%s%s}[%s]", name, a.matcher, more, window) }
	requests := "sum(rate(" + matched(m.Requests, "") + "))"
	errors := "sum(rate(" + matched(m.Requests, ","+m.ErrorMatch) + "))"
	if m.Errors != "" {
		errors = "sum(rate(" + matched(m.Errors, "") + "))"
	}
	return queries{
		requests: requests,
		// Requests without a series of errors are requests without errors.
		errors: "(" + errors + " or 0 * " + requests + ") / " + requests,
		p99: fmt.Sprintf("histogram_quantile(0.99, sum by (le) (rate(%s))) or histogram_quantile(0.99, sum(rate(%s)))",
			matched(m.Latency+"_bucket", ""), matched(m.Latency, "")),
	}
}

// maxPoints bounds the points of a line.
const maxPoints = 120

func stepOf(from, to time.Time) (step time.Duration, window string) {
	step = max((to.Sub(from)/maxPoints + 14*time.Second).Truncate(15*time.Second), 15*time.Second)
	return step, fmt.Sprintf("%ds", int(max(4*step, time.Minute).Seconds()))
}

// canaryCharts draws both arms: error rate, P99, requests; and the tails by route.
func (s *site) canaryCharts(ctx context.Context, d *canaryData) {
	ctx, cancel := context.WithTimeout(ctx, panelTimeout)
	defer cancel()
	step, window := stepOf(d.From, d.To)
	from := judgedBy(d.Verdict, d.Rollout)
	metrics, both, err := s.names(ctx, d, from, window, step)
	if err != nil {
		d.ChartState = failed(err)
		d.TailState = d.ChartState
		return
	}
	if metrics == nil {
		d.ChartState = empty("No request metrics of service "+d.Rollout.Service+" with deployment_track canary or stable lie in this time.",
			"Metrics that went to another Prometheus are shown there. Names are those of the newest verdict, or of the presets semconv, legacy and rpc.")
		d.TailState = d.ChartState
		return
	}
	type panel struct {
		title, unit string
		format      func(float64) string
		expr        func(queries) string
		least       float64 // of the y axis: a line at 0 is no reason to show 100 %
	}
	panels := []panel{
		{"Error rate", "", chart.Percent, func(q queries) string { return q.errors }, 0.01},
		{"P99 latency", "", milliseconds(metrics), func(q queries) string { return q.p99 }, 0},
		{"Requests per second", "", perSecond, func(q queries) string { return q.requests }, 0},
	}
	for _, b := range from.business {
		panels = append(panels, panel{b.name, "", plainNumber, func(q queries) string { return b.expr(q.arm, window) }, 0})
	}
	answers := make([]promql.Matrix, len(panels)*len(both))
	errs := make([]error, len(answers))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			q := queriesFor(*metrics, both[i%len(both)], window)
			q.arm = i % len(both)
			answers[i], errs[i] = s.metrics.Range(ctx, panels[i/len(both)].expr(q), d.From, d.To, step)
		})
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		s.tails(ctx, d, *metrics, both)
	}()
	wg.Wait()
	for i, one := range panels {
		l := chart.Lines{Title: one.title, From: d.From, To: d.To, Format: one.format, Step: step, Marks: marksOf(d.Rollout), Least: one.least}
		for j, a := range both {
			if err := errs[i*len(both)+j]; err != nil {
				d.ChartState = failed(err)
				return
			}
			l.Series = append(l.Series, chart.LineSeries{Name: a.track, Class: a.class, Points: points(answers[i*len(both)+j])})
		}
		d.Charts = append(d.Charts, l.Draw())
	}
}

func marksOf(r rollout.Record) (out []chart.TimeMark) {
	for name, t := range map[string]time.Time{"rollout began": r.Started, "gate began": r.GateStarted, "ended": r.Ended} {
		if !t.IsZero() {
			out = append(out, chart.TimeMark{Name: name, At: t})
		}
	}
	return out
}

// names returns the metrics that the service has and the matchers of both arms:
// those that were judged, or a preset's; nil = none known.
func (s *site) names(ctx context.Context, d *canaryData, from judged, window string, step time.Duration) (*analysis.Metrics, []arm, error) {
	try := []judged{}
	if from.metrics != nil {
		try = append(try, from)
	}
	for _, preset := range []analysis.Preset{analysis.PresetSemconv, analysis.PresetLegacy, analysis.PresetRPC} {
		m := (&analysis.Config{Preset: preset}).ResolvedMetrics()
		try = append(try, judged{metrics: &m, arms: arms(d.Rollout)})
	}
	for _, one := range try {
		for _, a := range one.arms {
			found, err := s.metrics.Range(ctx, queriesFor(*one.metrics, a, window).requests, d.From, d.To, step)
			if err != nil {
				return nil, nil, err
			}
			if len(points(found)) > 0 {
				return one.metrics, one.arms, nil
			}
		}
	}
	return nil, nil, nil
}

func points(m promql.Matrix) (out []chart.Point) {
	for _, series := range m {
		for _, f := range series.Floats {
			if !math.IsNaN(f.F) && !math.IsInf(f.F, 0) {
				out = append(out, chart.Point{At: time.UnixMilli(f.T).UTC(), V: f.F})
			}
		}
	}
	return out
}

// expr is the ratio of a business check in one arm, or its rate where it has one
// selector.
func (b businessQuery) expr(arm int, window string) string {
	parts := make([]string, len(b.arms[arm]))
	for i, one := range b.arms[arm] {
		parts[i] = fmt.Sprintf("sum(rate(%s[%s]))", one, window)
	}
	return strings.Join(parts, " / ")
}

func plainNumber(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

func perSecond(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) + "/s" }

func milliseconds(m *analysis.Metrics) func(float64) string {
	return func(v float64) string {
		if m.LatencyUnit == "ms" {
			v /= 1000
		}
		return chart.Seconds(v)
	}
}

// tailRow is a route's tails. A quantile stands on enough requests or is marked.
type tailRow struct {
	Route          string
	Canary, Stable tail
	Worse          float64 // of the P99: canary over stable; 0 = not known
}

type tail struct {
	N, P99, P999    float64
	Know99, Know999 bool
	Text99, Text999 string
}

// A distribution-free 95 % upper bound of a P99 needs 299 requests, of a P99.9
// 2,995.
const (
	minP99  = 299
	minP999 = 2995
	// maxRoutes bounds the rows: the busiest.
	maxRoutes = 20
)

func (s *site) tails(ctx context.Context, d *canaryData, m analysis.Metrics, both []arm) {
	format := milliseconds(&m)
	from := d.Rollout.Started
	if from.IsZero() {
		from = d.From
	}
	window := fmt.Sprintf("%ds", max(int(d.To.Sub(from).Seconds()), 60))
	rows := map[string]*tailRow{}
	for i, a := range both {
		get := func(expr string, set func(*tail, float64)) error {
			matrix, err := s.metrics.Range(ctx, expr, d.To, d.To, time.Minute)
			if err != nil {
				return err
			}
			for _, series := range matrix {
				route := series.Metric.Get("http_route")
				if route == "" {
					route = series.Metric.Get("rpc_method")
				}
				if rows[route] == nil {
					rows[route] = &tailRow{Route: route}
				}
				t := &rows[route].Canary
				if i == 1 {
					t = &rows[route].Stable
				}
				if len(series.Floats) > 0 && !math.IsNaN(series.Floats[len(series.Floats)-1].F) {
					set(t, series.Floats[len(series.Floats)-1].F)
				}
			}
			return nil
		}
		quantiles := func(q string) string {
			return fmt.Sprintf("histogram_quantile(%s, sum by (le, http_route, rpc_method) (increase(%s_bucket{%s}[%s]))) or histogram_quantile(%s, sum by (http_route, rpc_method) (increase(%s{%s}[%s])))",
				q, m.Latency, a.matcher, window, q, m.Latency, a.matcher, window)
		}
		err := get(fmt.Sprintf("sum by (http_route, rpc_method) (increase(%s{%s}[%s]))", m.Requests, a.matcher, window), func(t *tail, v float64) { t.N = math.Round(v) })
		if err == nil {
			err = get(quantiles("0.99"), func(t *tail, v float64) { t.P99, t.Text99, t.Know99 = v, format(v), true })
		}
		if err == nil {
			err = get(quantiles("0.999"), func(t *tail, v float64) { t.P999, t.Text999, t.Know999 = v, format(v), true })
		}
		if err != nil {
			d.TailState = failed(err)
			return
		}
	}
	for _, row := range rows {
		for _, t := range []*tail{&row.Canary, &row.Stable} {
			t.Know99, t.Know999 = t.Know99 && t.N >= minP99, t.Know999 && t.N >= minP999
		}
		if row.Canary.Know99 && row.Stable.Know99 && row.Stable.P99 > 0 {
			row.Worse = row.Canary.P99/row.Stable.P99 - 1
		}
		if row.Canary.N+row.Stable.N > 0 {
			d.Tails = append(d.Tails, *row)
		}
	}
	slices.SortFunc(d.Tails, func(a, b tailRow) int {
		if a.Worse != b.Worse {
			return int(math.Copysign(1, b.Worse-a.Worse))
		}
		return int(b.Canary.N + b.Stable.N - a.Canary.N - a.Stable.N)
	})
	if len(d.Tails) > maxRoutes {
		d.TailState = partial(fmt.Sprintf("The %d worst of %d routes are shown.", maxRoutes, len(d.Tails)))
		d.Tails = d.Tails[:maxRoutes]
	}
	if len(d.Tails) == 0 {
		d.TailState = empty("No request with a route was counted.", "Routes are read from the label http_route or rpc_method.")
	}
}
