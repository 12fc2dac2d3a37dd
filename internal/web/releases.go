package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/web/chart"
)

// releasesData are the five panels of spec A4.
type releasesData struct {
	Numbers                                  numbers
	Frequency, Durations, Trend, Rate        chart.Chart
	FrequencyState, DurationState, RateState State
	Releases                                 []operations.Release
	Pager                                    pager
	ReleaseState                             State
	Events                                   []event
	EventState                               State
	RateWorst                                string
	Statuses                                 []string
	RollbackEnough                           bool
}

func (s *site) releases(r *http.Request, p *page) error {
	p.Name, p.Title, p.Live = "releases", "Releases", "operations"
	ctx, f := r.Context(), p.Filter
	if err := s.places(ctx, p); err != nil {
		return err
	}
	ops, err := s.o.Index.Operations(ctx, f.Cluster, f.Namespace, f.From, f.To)
	if err != nil {
		return err
	}
	d := releasesData{Numbers: sum(ops)}
	if d.Numbers.Deploys == 0 && d.Numbers.Rollbacks == 0 {
		d.FrequencyState = s.noOperations(p)
	} else {
		d.Frequency = frequency(ops, f)
	}
	if d.Numbers.N() == 0 {
		d.DurationState = empty("No deployment ended in the last "+f.Range.Label+".", "")
	} else {
		d.Durations, d.Trend = durations(d.Numbers), trend(ops, f)
	}
	if d.Numbers.Deploys == 0 {
		d.RateState = empty("No deployment ended in the last "+f.Range.Label+": there is nothing to be a share of.", "")
	} else {
		d.Rate = rollbackRate(ops, f)
	}
	if err := s.activeReleases(ctx, p, &d); err != nil {
		return err
	}
	d.Events, d.EventState = s.failureEvents(ctx, f)
	p.Data = d
	return nil
}

// bucketOf is the span of time of the chart that t lies in.
func bucketOf(t time.Time, f filter) int {
	i := int(float64(t.Sub(f.From)) / float64(f.Range.Span) * float64(f.Range.Bars))
	return min(max(i, 0), f.Range.Bars-1)
}

// maxGroups is how many releases or namespaces get a colour of their own.
const maxGroups = 5

func frequency(ops []release.Operation, f filter) chart.Chart {
	groups := map[string][]float64{}
	totals := map[string]float64{}
	for _, op := range ops {
		if !op.Kind.Deploy() || !op.State.Done() {
			continue
		}
		name := op.Release
		if f.By == "namespace" {
			name = op.Namespace
		}
		if groups[name] == nil {
			groups[name] = make([]float64, f.Range.Bars)
		}
		groups[name][bucketOf(op.End, f)]++
		totals[name]++
	}
	names := slices.Collect(maps.Keys(groups))
	sort.Slice(names, func(i, j int) bool {
		return totals[names[i]] > totals[names[j]] || totals[names[i]] == totals[names[j]] && names[i] < names[j]
	})
	b := chart.Bars{Title: "Deployments by " + f.By, From: f.From, To: f.To}
	other := chart.BarSeries{Class: "other", Values: make([]float64, f.Range.Bars)}
	for i, name := range names {
		if i < maxGroups {
			b.Series = append(b.Series, chart.BarSeries{Name: name, Class: fmt.Sprintf("s%d", i), Values: groups[name]})
			continue
		}
		for j, v := range groups[name] {
			other.Values[j] += v
		}
	}
	if n := len(names) - maxGroups; n > 0 {
		other.Name = fmt.Sprintf("%d others", n)
		b.Series = append(b.Series, other)
	}
	return b.Draw()
}

func durations(n numbers) chart.Chart {
	counts := make([]int, len(release.DurationBounds)+1)
	for _, v := range n.Durations {
		counts[sort.SearchFloat64s(release.DurationBounds, v)]++
	}
	h := chart.Histogram{Title: "Duration of deployments", Bounds: release.DurationBounds, Counts: counts}
	for i, q := range []float64{0.5, 0.9, 0.99} {
		h.Marks = append(h.Marks, chart.Mark{Name: fmt.Sprintf("P%g", q*100), Class: fmt.Sprintf("q%d", i), Value: n.Quantile(q)})
	}
	return h.Draw()
}

// trend is the median and the P90 of the durations in each span of time.
func trend(ops []release.Operation, f filter) chart.Chart {
	buckets := make([][]float64, f.Range.Bars/3)
	coarse := f
	coarse.Range.Bars = len(buckets)
	for _, op := range ops {
		if op.Kind.Deploy() && op.State.Done() && op.Duration() > 0 {
			i := bucketOf(op.End, coarse)
			buckets[i] = append(buckets[i], op.Duration().Seconds())
		}
	}
	span := f.Range.Span / time.Duration(len(buckets))
	l := chart.Lines{Title: "Trend of the duration", From: f.From, To: f.To, Format: chart.Seconds, Step: span, Dots: true}
	for i, q := range []float64{0.5, 0.9} {
		series := chart.LineSeries{Name: fmt.Sprintf("P%g", q*100), Class: fmt.Sprintf("q%d", i)}
		for j, values := range buckets {
			if len(values) == 0 {
				continue
			}
			slices.Sort(values)
			at := f.From.Add(span*time.Duration(j) + span/2)
			v := quantile(values, q)
			series.Points = append(series.Points, chart.Point{At: at, V: v,
				Title: fmt.Sprintf("%s: %s of %d deployments is %s", at.UTC().Format("2 Jan 15:04"), series.Name, len(values), chart.Seconds(v))})
		}
		l.Series = append(l.Series, series)
	}
	return l.Draw()
}

func rollbackRate(ops []release.Operation, f filter) chart.Chart {
	coarse := f
	coarse.Range.Bars = f.Range.Bars / 3
	deploys, rollbacks := make([]int, coarse.Range.Bars), make([]int, coarse.Range.Bars)
	for _, op := range ops {
		if !op.State.Done() {
			continue
		}
		i := bucketOf(op.End, coarse)
		if op.Kind.Deploy() {
			deploys[i]++
		} else if op.Kind == release.KindRollback {
			rollbacks[i]++
		}
	}
	span := f.Range.Span / time.Duration(coarse.Range.Bars)
	series := chart.LineSeries{Name: "Rollback rate", Class: "bad"}
	top := 0.5
	for i := range deploys {
		if deploys[i] == 0 {
			continue
		}
		at, v := f.From.Add(span*time.Duration(i)+span/2), float64(rollbacks[i])/float64(deploys[i])
		top = max(top, v)
		series.Points = append(series.Points, chart.Point{At: at, V: v,
			Title: fmt.Sprintf("%s: %d rollbacks, %d deployments, %s", at.UTC().Format("2 Jan 15:04"), rollbacks[i], deploys[i], chart.Percent(v))})
	}
	return chart.Lines{Title: "Rollback rate", From: f.From, To: f.To, Format: chart.Percent, Top: math.Ceil(top*2) / 2, Step: span, Dots: true,
		Series: []chart.LineSeries{series}, Levels: []chart.Level{{Name: "Alert above", Class: "warn", Value: 0.2}}}.Draw()
}

func (s *site) activeReleases(ctx context.Context, p *page, d *releasesData) error {
	f := p.Filter
	all, err := s.o.Index.Releases(ctx, f.Cluster, f.Namespace)
	if err != nil {
		return err
	}
	d.Statuses = []string{string(operations.StatusDeployed), string(operations.StatusFailed), string(operations.StatusRunning), string(operations.StatusUninstalled)}
	shown := slices.DeleteFunc(all, func(one operations.Release) bool {
		return one.Status == operations.StatusUninstalled && f.Status != string(operations.StatusUninstalled) ||
			f.Status != "" && string(one.Status) != f.Status ||
			f.Search != "" && !strings.Contains(strings.ToLower(one.Name), strings.ToLower(f.Search))
	})
	slices.SortStableFunc(shown, func(a, b operations.Release) int { return cmp.Compare(rank(a), rank(b)) })
	d.Releases, d.Pager = cut(shown, f.Page)
	if len(shown) == 0 {
		d.ReleaseState = s.noOperations(p)
		if f.Search != "" || f.Status != "" {
			d.ReleaseState = empty("No release matches.", "Change what is searched for.")
		} else if d.ReleaseState.Kind == "empty" {
			d.ReleaseState = empty("No release is installed here.", "")
		}
	}
	return nil
}

// rank puts what wants somebody first.
func rank(r operations.Release) int {
	switch r.Status {
	case operations.StatusRunning:
		return 0
	case operations.StatusFailed:
		return 1
	default:
		return 2
	}
}
