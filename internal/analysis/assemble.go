package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
)

// Assemble turns raw series into the intervals of (from, to], each step long: the
// increments of every series, summed per track, route and pod. Every increment
// is used exactly once, in the interval in which its later sample lies, so a
// missed scrape moves events but loses none. A value below the one before is a
// reset and counts in full. A series that begins within the samples counts from
// 0 (from its Created time, if that is known and earlier, it is only a start);
// one that is there from the first sample of all is only a start, which is why
// sources answer with a Lookback.
//
// NaN, infinite and negative values are left out and reported in the interval's
// Problems, as are counters that reset at every scrape and tracks whose newest
// samples are far apart. Points out of order are an error.
func Assemble(series []Series, from, to time.Time, step time.Duration) ([]Interval, error) {
	if step <= 0 {
		return nil, fmt.Errorf("assemble samples: interval length %s: want more than 0", step)
	}
	n := int((to.Sub(from) + step - 1) / step)
	if n <= 0 {
		return nil, nil
	}
	a := assembler{from: from, to: to, step: step, out: make([]Interval, n), cells: make([]map[cellKey]*wideCell, n), business: make([]map[bizKey]*BusinessCell, n)}
	for i := range a.out {
		a.out[i].Start, a.out[i].End = from.Add(time.Duration(i)*step), from.Add(time.Duration(i+1)*step)
		a.cells[i] = map[cellKey]*wideCell{}
		a.business[i] = map[bizKey]*BusinessCell{}
	}
	a.out[n-1].End = to
	a.first = firstSample(series)
	bucketResets := a.bucketResets(series)
	for i := range series {
		if err := a.add(&series[i], bucketResets); err != nil {
			return nil, err
		}
	}
	a.skew(series)
	a.finish()
	return a.out, nil
}

type cellKey struct {
	track      Track
	route, pod string
}

type bizKey struct {
	name  string
	track Track
	pod   string
}

// wideCell is a cell whose classic buckets are still cumulative and unsorted.
type wideCell struct {
	Cell
	buckets map[float64]float64
}

type histogramKey struct {
	cellKey
	id string
}

type assembler struct {
	from, to time.Time
	step     time.Duration
	first    time.Time
	out      []Interval
	cells    []map[cellKey]*wideCell
	business []map[bizKey]*BusinessCell
	layouts  [][]float64
}

func firstSample(series []Series) time.Time {
	var first time.Time
	for i := range series {
		if p := series[i].Points; len(p) > 0 && (first.IsZero() || p[0].T.Before(first)) {
			first = p[0].T
		}
	}
	return first
}

// bucketResets finds the times at which any bucket of a classic histogram
// fell: then all its buckets began anew, also those that have caught up.
func (a *assembler) bucketResets(series []Series) map[histogramKey]map[int64]bool {
	resets := map[histogramKey]map[int64]bool{}
	for i := range series {
		s := &series[i]
		if s.Kind&KindBucket == 0 {
			continue
		}
		for j := 1; j < len(s.Points); j++ {
			if s.Points[j].V < s.Points[j-1].V {
				key := histogramKey{cellKey{s.Track, s.Route, s.Pod}, s.ID}
				if resets[key] == nil {
					resets[key] = map[int64]bool{}
				}
				resets[key][s.Points[j].T.UnixMilli()] = true
			}
		}
	}
	return resets
}

func (s *Series) label() string {
	if s.ID != "" {
		return fmt.Sprintf("%s %s", s.Track, s.ID)
	}
	return fmt.Sprintf("%s route %q pod %q", s.Track, s.Route, s.Pod)
}

// starts says whether the series' first point counts from 0, or is only a start.
func (a *assembler) starts(s *Series) (fromZero bool) {
	p := s.Points[0].T
	if !s.Created.IsZero() {
		return !s.Created.Before(a.first)
	}
	return p.After(a.first.Add(a.step + a.step/2))
}

func (a *assembler) add(s *Series, bucketResets map[histogramKey]map[int64]bool) error {
	if len(s.Points) == 0 {
		return nil
	}
	var together map[int64]bool
	if s.Kind&KindBucket != 0 {
		together = bucketResets[histogramKey{cellKey{s.Track, s.Route, s.Pod}, s.ID}]
	}
	prev := -1 // index of the last good point
	resets, moves := 0, 0
	for j := range s.Points {
		p := &s.Points[j]
		if j > 0 && !p.T.After(s.Points[j-1].T) {
			return fmt.Errorf("assemble samples: %s: sample at %s is not after the one at %s", s.label(), p.T.UTC().Format(time.RFC3339), s.Points[j-1].T.UTC().Format(time.RFC3339))
		}
		if p.T.After(a.to) {
			break
		}
		if why := unusable(p); why != "" {
			a.problem(p.T, Problem{ProblemNaN, s.Track, fmt.Sprintf("%s is %s", s.label(), why)})
			continue
		}
		at := a.index(p.T)
		switch {
		case prev < 0:
			if at >= 0 && a.starts(s) {
				a.record(at, s, p.V, p.H, false)
			} else if at >= 0 {
				a.record(at, s, 0, emptyLike(p.H), false)
			}
		default:
			dv, dh, reset := increase(&s.Points[prev], p)
			if together[p.T.UnixMilli()] {
				dv, reset = p.V, true
			}
			moves++
			if reset {
				resets++
			}
			if at >= 0 {
				a.record(at, s, dv, dh, reset)
			}
		}
		prev = j
	}
	if moves >= 3 && resets*2 > moves {
		a.problem(a.to, Problem{ProblemResets, s.Track, fmt.Sprintf("%s reset at %d of %d scrapes: is it a gauge, or do two processes write it?", s.label(), resets, moves)})
	}
	return nil
}

func unusable(p *Point) string {
	switch {
	case p.H != nil:
		t := p.H.Total()
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return "no number"
		}
	case math.IsNaN(p.V):
		return "NaN"
	case math.IsInf(p.V, 0):
		return "infinite"
	case p.V < 0:
		return fmt.Sprintf("negative (%g)", p.V)
	}
	return ""
}

// index is the interval that holds t, -1 before the first.
func (a *assembler) index(t time.Time) int {
	if !t.After(a.from) {
		return -1
	}
	return min(int((t.Sub(a.from)-1)/a.step), len(a.out)-1)
}

func (a *assembler) problem(at time.Time, p Problem) {
	iv := &a.out[max(a.index(at), 0)]
	if len(iv.Problems) < maxProblems && !slices.Contains(iv.Problems, p) {
		iv.Problems = append(iv.Problems, p)
	}
}

// maxProblems bounds what is reported of one interval: ten say enough.
const maxProblems = 10

// increase is what was gained from one point to the next.
func increase(prev, cur *Point) (dv float64, dh *Histogram, reset bool) {
	if cur.H == nil {
		if prev.H != nil || cur.V < prev.V {
			return cur.V, nil, true
		}
		return cur.V - prev.V, nil, false
	}
	if prev.H == nil {
		return 0, cur.H, true
	}
	d := cur.H.clone()
	p := prev.H.clone()
	if d.IsNative() && p.IsNative() {
		low := min(d.Schema, p.Schema)
		d.reduce(low)
		p.reduce(low)
		if len(p.Counts) > 0 {
			d.cover(p.First, p.First+int32(len(p.Counts)))
		}
	} else if d.IsNative() != p.IsNative() || !slices.Equal(d.Bounds, p.Bounds) {
		return 0, cur.H, true
	}
	off := 0
	if d.IsNative() {
		off = int(p.First - d.First)
	}
	if cur.H.Zero < p.Zero {
		return 0, cur.H, true
	}
	d.Zero -= p.Zero
	for i, c := range p.Counts {
		if d.Counts[off+i] < c {
			return 0, cur.H, true
		}
		d.Counts[off+i] -= c
	}
	return 0, &d, false
}

func emptyLike(h *Histogram) *Histogram {
	if h == nil {
		return nil
	}
	e := h.clone()
	e.Zero = 0
	clear(e.Counts)
	return &e
}

func (a *assembler) record(at int, s *Series, v float64, h *Histogram, reset bool) {
	if s.Kind&(KindGood|KindOf) != 0 {
		k := bizKey{s.Name, s.Track, s.Pod}
		b := a.business[at][k]
		if b == nil {
			b = &BusinessCell{Name: s.Name, Track: s.Track, Pod: s.Pod}
			a.business[at][k] = b
		}
		if s.Kind&KindGood != 0 {
			b.Good += v
		}
		if s.Kind&KindOf != 0 {
			b.Of += v
		}
		return
	}
	k := cellKey{s.Track, s.Route, s.Pod}
	c := a.cells[at][k]
	if c == nil {
		c = &wideCell{Cell: Cell{Track: s.Track, Route: s.Route, Pod: s.Pod}}
		a.cells[at][k] = c
	}
	if h != nil {
		v = h.Total()
	}
	if s.Kind&KindRequests != 0 {
		c.Requests += v
		c.Restarted = c.Restarted || reset
	}
	if s.Kind&KindErrors != 0 {
		c.Errors += v
		c.HasErrors = true
	}
	if s.Kind&KindBucket != 0 {
		if c.buckets == nil {
			c.buckets = map[float64]float64{}
		}
		c.buckets[s.LE] += v
	}
	if h != nil && s.Kind&KindHistogram != 0 && !c.Latency.Add(h) {
		a.problem(a.out[at].End, Problem{ProblemLayout, s.Track, s.label() + ": its histograms have different layouts"})
	}
}

// skew reports tracks whose newest samples are more than two intervals apart
// although both are scraped: their clocks, or their scrapes, are not together.
func (a *assembler) skew(series []Series) {
	var newest [2]time.Time
	for i := range series {
		s := &series[i]
		if n := len(s.Points); n > 0 && s.Points[n-1].T.After(newest[s.Track]) {
			newest[s.Track] = s.Points[n-1].T
		}
	}
	if newest[Stable].IsZero() || newest[Canary].IsZero() {
		return
	}
	for t := range newest {
		if ahead := newest[t].Sub(a.to); ahead > 2*a.step {
			a.problem(a.to, Problem{ProblemClockSkew, Track(t), fmt.Sprintf("its newest sample is %s in the future", ahead.Round(time.Second))})
		}
	}
	if d := newest[Stable].Sub(newest[Canary]); d.Abs() > 2*a.step && newest[Stable].After(a.from) && newest[Canary].After(a.from) {
		behind := Canary
		if d < 0 {
			behind = Stable
		}
		a.problem(a.to, Problem{ProblemClockSkew, behind, fmt.Sprintf("its newest sample is %s behind the other track's", d.Abs().Round(time.Second))})
	}
}

// finish sorts what was gathered, so that equal samples give equal intervals.
func (a *assembler) finish() {
	for i := range a.out {
		iv := &a.out[i]
		iv.Cells = make([]Cell, 0, len(a.cells[i]))
		for _, c := range a.cells[i] {
			if c.buckets != nil {
				a.narrow(c)
			}
			iv.Cells = append(iv.Cells, c.Cell)
		}
		sort.Slice(iv.Cells, func(x, y int) bool { return cellLess(&iv.Cells[x], &iv.Cells[y]) })
		for _, b := range a.business[i] {
			iv.Business = append(iv.Business, *b)
		}
		slices.SortFunc(iv.Business, func(x, y BusinessCell) int {
			return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Track, y.Track), cmp.Compare(x.Pod, y.Pod))
		})
	}
}

func cellLess(x, y *Cell) bool {
	return cmp.Or(cmp.Compare(x.Track, y.Track), cmp.Compare(x.Route, y.Route), cmp.Compare(x.Pod, y.Pod)) < 0
}

// narrow turns cumulative buckets into counts per bucket.
func (a *assembler) narrow(c *wideCell) {
	bounds := make([]float64, 0, len(c.buckets))
	for le := range c.buckets {
		bounds = append(bounds, le)
	}
	slices.Sort(bounds)
	counts := make([]float64, len(bounds))
	below := 0.0
	for i, le := range bounds {
		counts[i] = math.Max(0, c.buckets[le]-below)
		below = math.Max(below, c.buckets[le])
	}
	h := Histogram{Bounds: a.intern(bounds), Counts: counts}
	if !c.Latency.Add(&h) {
		c.Latency = h
	}
}

// intern shares equal layouts: services have one or two.
func (a *assembler) intern(bounds []float64) []float64 {
	for _, l := range a.layouts {
		if slices.Equal(l, bounds) {
			return l
		}
	}
	a.layouts = append(a.layouts, bounds)
	return bounds
}
