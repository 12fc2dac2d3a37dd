package prom

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/analysis"
)

// conversion turns stored series into the analysis' series.
type conversion struct {
	plan       *plan
	stableOnly bool
	source     *Source
	out        analysis.Samples

	any, errors, native bool
	classic             [2]bool // tracks with requests that have no native histogram
}

// requests converts the counters of requests and errors and the native
// histograms.
func (c *conversion) requests(series []Series) error {
	m := c.plan.metrics
	counted := map[string]bool{} // label sets that have a counter of requests
	for _, s := range series {
		if s.Labels.Get(labels.MetricName) == m.Requests {
			counted[c.identity(s.Labels)] = true
		}
	}
	var histograms []Series
	nativeOf := map[string]bool{}
	for _, s := range series {
		name := s.Labels.Get(labels.MetricName)
		base, ok := c.base(s.Labels)
		if !ok {
			continue
		}
		switch {
		case name == m.Latency && name != m.Requests && !isHistogram(s):
			// A summary's quantiles, or a gauge of that name.
		case name == m.Requests && !isHistogram(s):
			base.Kind = analysis.KindRequests
			if len(c.plan.failed) > 0 && c.plan.failed.Matches(s.Labels) {
				base.Kind |= analysis.KindErrors
			}
			c.add(base, floats(s.Points))
		case m.Errors != "" && name == m.Errors && !isHistogram(s):
			base.Kind = analysis.KindErrors
			c.add(base, floats(s.Points))
		case isHistogram(s):
			failed := len(c.plan.failed) > 0 && c.plan.failed.Matches(s.Labels)
			if !counted[c.identity(s.Labels)] && (m.Requests == m.Latency+"_count" || m.Requests == name) {
				base.Kind = analysis.KindRequests
				if failed {
					base.Kind |= analysis.KindErrors
				}
				c.add(base, totals(s.Points))
			}
			nativeOf[c.identity(s.Labels)] = true
			if name == m.Latency && !failed {
				histograms = append(histograms, s)
			}
		}
	}
	for _, s := range series {
		if track, ok := c.plan.track(s.Labels, c.stableOnly); ok && s.Labels.Get(labels.MetricName) == m.Requests && !nativeOf[c.identity(s.Labels)] {
			c.classic[track] = true
		}
	}
	c.native = len(nativeOf) > 0
	return c.histograms(histograms)
}

// needBuckets says whether a track may have its latency in classic buckets.
func (c *conversion) needBuckets() bool { return !c.native || c.classic[0] || c.classic[1] }

// histograms adds native ones as they are. Those in milliseconds or with bounds
// of their own become buckets, of the bounds that any of them has.
func (c *conversion) histograms(series []Series) error {
	perSecond := c.perSecond()
	mixed := false
	for _, s := range series {
		for _, p := range s.Points {
			mixed = mixed || p.H != nil && (perSecond != 1 || p.H.Bounds != nil)
		}
	}
	if !mixed {
		for _, s := range series {
			base, _ := c.base(s.Labels)
			base.Kind = analysis.KindHistogram
			points := make([]analysis.Point, 0, len(s.Points))
			for _, p := range s.Points {
				if p.H != nil {
					points = append(points, analysis.Point{T: time.UnixMilli(p.T), H: p.H})
				}
			}
			c.add(base, points)
		}
		return nil
	}
	for _, s := range series {
		for i, p := range s.Points {
			if p.H != nil {
				s.Points[i].H = inSeconds(p.H, perSecond)
			}
		}
	}
	bounds := c.source.union(c.plan.requests.String(), series)
	for _, s := range series {
		base, _ := c.base(s.Labels)
		base.Kind = analysis.KindBucket
		c.spread(base, s, bounds)
	}
	return nil
}

// spread adds a histogram as one cumulative series per bound.
func (c *conversion) spread(base analysis.Series, s Series, bounds []float64) {
	points := make([][]analysis.Point, len(bounds))
	for _, p := range s.Points {
		if p.H == nil {
			continue
		}
		sum, i := 0.0, 0
		for b, bound := range bounds {
			for ; i < len(p.H.Counts) && p.H.Bounds[i] <= bound; i++ {
				sum += p.H.Counts[i]
			}
			points[b] = append(points[b], analysis.Point{T: time.UnixMilli(p.T), V: sum})
		}
	}
	for b, bound := range bounds {
		base.LE = bound
		c.add(base, points[b])
	}
}

// union returns all bounds ever seen of a metric's histograms.
func (s *Source) union(metric string, series []Series) []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	bounds := s.bounds[metric]
	for _, one := range series {
		for _, p := range one.Points {
			if p.H != nil {
				bounds = append(bounds, p.H.Bounds...)
			}
		}
		bounds = sortedBounds(bounds)
	}
	s.bounds[metric] = bounds
	return append([]float64(nil), bounds...)
}

// buckets converts classic buckets. Those of failed requests are left out: a
// failure is often fast, and would make a broken canary look quick.
func (c *conversion) buckets(series []Series) error {
	perSecond := c.perSecond()
	for _, s := range series {
		base, ok := c.base(s.Labels)
		if !ok || len(c.plan.failed) > 0 && c.plan.failed.Matches(s.Labels) {
			continue
		}
		text := s.Labels.Get(labels.BucketLabel)
		le, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(le) {
			return fmt.Errorf("%w: series %s: le=%q is no bound", ErrMalformed, s.Labels, text)
		}
		base.Kind, base.LE = analysis.KindBucket, le/perSecond
		c.add(base, floats(s.Points))
	}
	return nil
}

// business converts the series of business checks.
func (c *conversion) business(q businessQuery, series []Series) error {
	for _, s := range series {
		for _, t := range q.terms {
			if !t.match.Matches(s.Labels) {
				continue
			}
			base, ok := c.base(s.Labels)
			if !ok {
				continue
			}
			base.Kind, base.Name, base.Route = t.kind, t.check, ""
			base.ID = c.identity(s.Labels) // routes are not told apart here
			c.out.Series = append(c.out.Series, withPoints(base, floats(s.Points)))
		}
	}
	return nil
}

func (c *conversion) add(base analysis.Series, points []analysis.Point) {
	c.any = true
	c.errors = c.errors || base.Kind&analysis.KindErrors != 0
	c.out.Series = append(c.out.Series, withPoints(base, points))
}

func withPoints(s analysis.Series, points []analysis.Point) analysis.Series {
	s.Points = points
	return s
}

// perSecond is how many of the latency's units are a second.
func (c *conversion) perSecond() float64 {
	if c.plan.metrics.LatencyUnit == "ms" {
		return 1000
	}
	return 1
}

// base fills in what the labels say, and false when the series is of neither
// track.
func (c *conversion) base(l labels.Labels) (analysis.Series, bool) {
	track, ok := c.plan.track(l, c.stableOnly)
	if !ok {
		return analysis.Series{}, false
	}
	return analysis.Series{Track: track, Route: c.routeOf(l), Pod: c.pod(l), ID: c.identity(l)}, true
}

func (c *conversion) routeOf(l labels.Labels) string {
	if c.plan.route == "" {
		return ""
	}
	return l.Get(c.plan.route)
}

// pod is the pod's name or, where there is none, the instance: processes must
// be told apart to know how noisy they are.
func (c *conversion) pod(l labels.Labels) string {
	if pod := l.Get(c.plan.metrics.Labels.Pod); pod != "" && pod != "unknown" {
		return pod
	}
	return l.Get("instance")
}

// identity writes the labels without the metric's name and the bucket: the same
// for the requests, errors and buckets of one series of the application.
func (c *conversion) identity(l labels.Labels) string {
	var b strings.Builder
	b.Grow(256)
	l.Range(func(one labels.Label) {
		if one.Name == labels.MetricName || one.Name == labels.BucketLabel {
			return
		}
		b.WriteString(one.Name)
		b.WriteByte('=')
		b.WriteString(one.Value)
		b.WriteByte(' ')
	})
	return b.String()
}

func isHistogram(s Series) bool { return len(s.Points) > 0 && s.Points[0].H != nil }

func floats(points []Point) []analysis.Point {
	out := make([]analysis.Point, 0, len(points))
	for _, p := range points {
		if p.H == nil {
			out = append(out, analysis.Point{T: time.UnixMilli(p.T), V: p.V})
		}
	}
	return out
}

// totals are the numbers of observations of a native histogram.
func totals(points []Point) []analysis.Point {
	out := make([]analysis.Point, 0, len(points))
	for _, p := range points {
		if p.H != nil {
			out = append(out, analysis.Point{T: time.UnixMilli(p.T), V: p.H.Total()})
		}
	}
	return out
}
