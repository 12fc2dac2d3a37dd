package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/web/chart"
)

type releaseData struct {
	Release    operations.Release
	Operations []release.Operation
	Pager      pager
	Numbers    numbers // of all that is known
	Chart      chart.Chart
	ChartState State
	P99        float64
	BaselineN  int
	Values     valuesData
	Clusters   []string
}

// chartedDeploys is how many of the newest deployments the chart shows.
const chartedDeploys = 100

func (s *site) release(r *http.Request, p *page) error {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	p.Name, p.Title, p.Live = "release", namespace+"/"+name, "operations"
	ctx := r.Context()
	if err := s.places(ctx, p); err != nil {
		return err
	}
	clusters, err := s.o.Index.Clusters(ctx, namespace, name)
	if err != nil {
		return err
	}
	cluster := p.Filter.Cluster
	if len(clusters) > 0 && !slices.Contains(clusters, cluster) {
		if cluster != "" {
			return notFound("The release %s/%s is not known in cluster %s, but in: %s.", namespace, name, cluster, strings.Join(clusters, ", "))
		}
		cluster = clusters[0]
	}
	d := releaseData{Clusters: clusters}
	var ops []release.Operation
	if d.Release, ops, err = s.o.Index.History(ctx, cluster, namespace, name); err != nil {
		return notFound("The server has no record of a release %s/%s.", namespace, name)
	}
	d.Operations, d.Pager = cut(ops, p.Filter.Page)
	d.Numbers = sum(ops)
	d.P99, d.BaselineN = baseline(ops, newestDeploy(ops, p.Now))
	d.Chart, d.ChartState = durationHistory(ops, d)
	s.compare(r, &d, ops)
	p.Data = d
	return nil
}

// newestDeploy is the deployment whose baseline is shown: the newest that has
// begun, which is no part of it.
func newestDeploy(ops []release.Operation, now time.Time) release.Operation {
	for _, op := range ops {
		if op.Kind.Deploy() {
			return op
		}
	}
	return release.Operation{Start: now}
}

// durationHistory is each deployment's duration, over the baseline.
func durationHistory(ops []release.Operation, d releaseData) (chart.Chart, State) {
	good := chart.LineSeries{Name: "Succeeded", Class: "ok"}
	bad := chart.LineSeries{Name: "Failed", Class: "bad"}
	var shown []release.Operation
	for _, op := range ops {
		if op.Kind.Deploy() && op.State.Done() && op.Duration() > 0 && len(shown) < chartedDeploys {
			shown = append(shown, op)
		}
	}
	if len(shown) == 0 {
		return chart.Chart{}, empty("No deployment of this release has ended yet.", "")
	}
	slices.Reverse(shown)
	for _, op := range shown {
		v := chart.Point{At: op.End, V: op.Duration().Seconds(),
			Title: fmt.Sprintf("%s: revision %d took %s", op.End.UTC().Format("2 Jan 15:04"), op.Revision, chart.Duration(op.Duration()))}
		if op.Succeeded() {
			good.Points = append(good.Points, v)
		} else {
			bad.Points = append(bad.Points, v)
		}
	}
	from, to := shown[0].End, shown[len(shown)-1].End
	pad := max(to.Sub(from)/40, 1e9*60)
	l := chart.Lines{Title: fmt.Sprintf("Duration of the last %d deployments", len(shown)), From: from.Add(-pad), To: to.Add(pad), Format: chart.Seconds, Dots: true, Points: true}
	for _, series := range []chart.LineSeries{good, bad} {
		if len(series.Points) > 0 {
			l.Series = append(l.Series, series)
		}
	}
	if d.BaselineN >= baselineMin {
		l.Levels = append(l.Levels, chart.Level{Name: fmt.Sprintf("P99 of %d successes", d.BaselineN), Value: d.P99},
			chart.Level{Name: "Alert above", Class: "warn", Value: 2 * d.P99})
	}
	return l.Draw(), State{}
}
