package analysis

import "slices"

// podEvents is the stable pods' history: per interval and pod the units, and per
// metric the events.
type podEvents struct {
	names []string
	units [][]float64            // [interval][pod]
	of    map[string][][]float64 // metric -> [interval][pod] events
	base  map[string]podBase
	// seconds is the mean length of an interval.
	seconds float64
}

// podBase is what a metric's placebo tests compare with.
type podBase struct {
	rho, delta float64
	rate       float64
}

// maxGuardPods bounds the pods that the guard is measured on; more add little.
const maxGuardPods = 40

// pods reads the history a second time, now that the bounds are known.
func (p *past) pods(cfg *Config, f *Frozen, h History) *podEvents {
	e := &podEvents{of: map[string][][]float64{}, base: map[string]podBase{}}
	index := map[string]int{}
	rowOf := map[string]int{}
	for i, r := range f.Routes {
		rowOf[r.Route] = i
	}
	metrics := slowMetrics(cfg)
	if len(f.Routes) == 0 {
		return e
	}
	for iv := range h.Intervals {
		for i := range iv.Cells {
			c := &iv.Cells[i]
			if c.Track == Stable && c.Pod != "" && c.Requests > 0 {
				if _, ok := index[c.Pod]; !ok && len(index) < maxGuardPods {
					index[c.Pod] = len(e.names)
					e.names = append(e.names, c.Pod)
				}
			}
		}
	}
	width := max(1, len(e.names)) // without pod labels all is one pod
	var events, above = 0.0, make([]float64, len(metrics))
	units := 0.0
	for iv := range h.Intervals {
		n, k := make([]float64, width), make([]float64, width)
		x := make([][]float64, len(metrics))
		for q := range x {
			x[q] = make([]float64, width)
		}
		for i := range iv.Cells {
			c := &iv.Cells[i]
			pod, ok := index[c.Pod]
			if c.Track != Stable || !ok && len(e.names) > 0 {
				continue
			}
			n[pod] += c.Requests
			k[pod] += c.Errors
			units += c.Requests
			events += c.Errors
			row, ok := rowOf[c.Route]
			if !ok {
				row = len(f.Routes) - 1
			}
			for q, m := range metrics {
				if b := f.Routes[row].Bounds[m.name]; len(b) > 0 {
					a, _ := c.Latency.Above(b[0].Seconds)
					x[q][pod] += a
					above[q] += a
				}
			}
		}
		e.units = append(e.units, n)
		e.of[MetricErrorRate] = append(e.of[MetricErrorRate], k)
		for q, m := range metrics {
			e.of[m.name] = append(e.of[m.name], x[q])
		}
	}
	e.setBase(cfg, f, MetricErrorRate, events, units)
	for q, m := range metrics {
		e.setBase(cfg, f, m.name, above[q], units)
	}
	return e
}

// setBase says what a metric's placebos are compared with; metrics with too few
// events are not measured.
func (e *podEvents) setBase(cfg *Config, f *Frozen, name string, events, units float64) {
	switch {
	case name == MetricErrorRate:
		m := cfg.ErrorRate.Margin
		e.base[name] = podBase{1 + m.Relative, m.Absolute, (events + 0.5) / (units + 1)}
	case events >= minExceedances:
		e.base[name] = podBase{meanRatio(f, name), 0, events / units}
	}
}

// meanRatio is the aggregate's ratio of tails, weighted by exceedances.
func meanRatio(f *Frozen, metric string) float64 {
	sum, weight := 0.0, 0.0
	for _, r := range f.Routes {
		if b := r.Bounds[metric]; len(b) > 0 {
			w := b[0].Tail * r.Requests
			sum += w * b[0].Ratio
			weight += w
		}
	}
	if weight <= 0 {
		return minRatio
	}
	return sum / weight
}

// measure fills the guard's table.
func (e *podEvents) measure(cfg *Config, f *Frozen, wanted []int) {
	if len(e.units) < minGuardIntervals {
		return
	}
	f.Guard = map[string][]GuardPair{}
	full := fullCap(cfg.ScrapeInterval)
	for name, base := range e.base {
		c := newCalibration(e, e.of[name], base, full)
		if len(e.names) < 2 {
			f.Guard[name] = []GuardPair{c.alone()}
			continue
		}
		sizes := wanted
		if len(sizes) == 0 {
			sizes = groupSizes(len(e.names), nil)
		} else {
			sizes = groupSizes(len(e.names), wanted)
			sizes = slices.DeleteFunc(sizes, func(m int) bool { return m != 1 && !slices.Contains(wanted, m) })
		}
		for i, m := range sizes {
			g := c.group(m)
			if i > 0 {
				g.Cap = min(g.Cap, capGrowthBySize*f.Guard[name][i-1].Cap)
			}
			f.Guard[name] = append(f.Guard[name], g)
		}
	}
}

// minGuardIntervals is the least history that says anything about noise: two
// minutes and a half.
const minGuardIntervals = 10
