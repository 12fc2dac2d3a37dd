package main

import (
	"math"
	"math/rand/v2"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// refPast summarises the history for the reference; the bounds are the judge's.
func (g *traffic) refPast() *refPast {
	p := &refPast{}
	k, n := 0.0, 0.0
	for _, r := range g.sums.Routes {
		i := routeIndex[r.Route]
		p.errors[i], p.requests[i] = r.Errors, r.Requests
		k, n = k+r.Errors, n+r.Requests
	}
	p.pool = (k + 0.5) / (n + 1)
	p.rate[0] = p.pool
	var above, weighed [refLatencies]float64
	for _, f := range g.frozen.Routes {
		r, ok := routeIndex[f.Route]
		if !ok {
			continue
		}
		for q, name := range metricOrder {
			b := f.Bounds[name]
			if len(b) == 0 {
				continue
			}
			p.testable[q][r], p.bound[q][r] = true, b[0]
			above[q] += b[0].Tail * f.Requests
			weighed[q] += b[0].Tail * f.Requests * b[0].Ratio
		}
	}
	for q := range above {
		p.rho[q] = 1
		if above[q] > 0 {
			p.rho[q] = weighed[q] / above[q]
		}
		p.rate[1+q] = above[q] / n
	}
	return p
}

// refCounts are one interval's counts.
type refCounts struct {
	n, k [2][routes]float64
	slow [refLatencies][2][routes]float64
}

func (d *refRun) count(iv *analysis.Interval, t int) *refCounts {
	c := &refCounts{}
	for i := range iv.Cells {
		cell := &iv.Cells[i]
		r := routeIndex[cell.Route]
		c.n[cell.Track][r] += cell.Requests
		c.k[cell.Track][r] += cell.Errors
		if cell.Restarted && cell.Track == analysis.Canary {
			d.warm = t + 1 + refWarm
		}
		for q := range refLatencies {
			if d.past.testable[q][r] {
				x, _ := cell.Latency.Above(d.past.bound[q][r].Seconds)
				c.slow[q][cell.Track][r] += x
			}
		}
	}
	return c
}

// fold adds an interval to all checks, and returns its requests.
func (d *refRun) fold(iv *analysis.Interval, t int) float64 {
	c := d.count(iv, t)
	fade := math.Exp2(-scrape / refHalfLife)
	inc, sum := make([]float64, len(refErrLift)), make([]float64, len(refErrLift))
	noise := d.noise[0]
	var all sequential.Counts
	var mixC, mixS float64
	for r := range routes {
		x := sequential.Counts{KC: c.k[1][r], NC: c.n[1][r], KS: c.k[0][r], NS: c.n[0][r]}
		all = all.Add(x)
		ls := (d.k[r] + 1) / (d.n[r] + 1/d.past.pool)
		mixC, mixS = mixC+x.NC*ls, mixS+x.NS*ls
		if x.NC == 0 || x.NS == 0 {
			continue
		}
		refErrors.Increments(inc, sum, x, refErrLift, ls)
		bounded(inc, noise)
		d.checks[refRoute+r].add(inc)
		d.step[refRoute+r] = d.step[refRoute+r].Add(x)
		d.k[r], d.n[r] = fade*d.k[r]+x.KS, fade*d.n[r]+x.NS
	}
	d.served += all.NC
	bounded(sum, noise)
	d.checks[refAll].add(sum)
	if all.NC > 0 && all.NS > 0 {
		if mixC > 0 && mixS > 0 {
			all.KS *= (mixC / all.NC) / (mixS / all.NS)
		}
		ls := (d.allK + 1) / (d.allN + 1/d.past.pool)
		for i, du := range refExcess {
			h := sequential.TwoRate{Rho: 1, Delta: du}
			d.ni[i] += math.Min(h.LogE(all, ls, ls)/noise.phi, noise.limit)
		}
	}
	d.step[refAll] = d.step[refAll].Add(all)
	d.allK, d.allN = fade*d.allK+all.KS, fade*d.allN+all.NS
	d.foldLatency(c, t)
	d.foldConversion(iv)
	return all.NC + all.NS
}

func bounded(inc []float64, n refNoise) {
	for j := range inc {
		inc[j] = math.Min(inc[j]/n.phi, n.limit)
	}
}

func (d *refRun) foldLatency(c *refCounts, t int) {
	if t < d.warm {
		return
	}
	inc := make([]float64, len(refLatLift))
	fold := func(i, q int, x sequential.Counts, rho float64) {
		if x.NC == 0 || x.NS == 0 {
			return
		}
		sequential.TwoRate{Rho: rho}.Increments(inc, nil, x, refLatLift, 1e-3)
		bounded(inc, d.noise[1+q])
		d.checks[i].add(inc)
		d.step[i] = d.step[i].Add(x)
	}
	for q := range refLatencies {
		var all sequential.Counts
		for r := range routes {
			if !d.past.testable[q][r] {
				continue
			}
			x := sequential.Counts{KC: c.slow[q][1][r], NC: c.n[1][r], KS: c.slow[q][0][r], NS: c.n[0][r]}
			all = all.Add(x)
			switch q {
			case 1:
				fold(refRoute99+r, q, x, d.past.bound[q][r].Ratio)
			case 2:
				fold(refRoute999+r, q, x, d.past.bound[q][r].Ratio)
			}
		}
		fold(refP50+q, q, all, d.past.rho[q])
	}
}

func (d *refRun) foldConversion(iv *analysis.Interval) {
	var v [2]analysis.BusinessCell
	for _, b := range iv.Business {
		v[b.Track] = b
	}
	x := sequential.Counts{KC: v[0].Good, NC: v[0].Of, KS: v[1].Good, NS: v[1].Of}
	if x.NC == 0 || x.NS == 0 {
		return
	}
	inc := make([]float64, len(refCnvLift))
	refConv.Increments(inc, nil, x, refCnvLift, 1e-3)
	bounded(inc, refNoise{refCap, 1, 1})
	d.checks[refCnv].add(inc)
	d.step[refCnv] = d.step[refCnv].Add(x)
}

// refGroups are stable's pods in the canary's place: every pod by itself, or
// random groups of the canary's size.
func (g *traffic) refGroups(size int) [][]int {
	rng := rand.New(rand.NewPCG(g.seed, uint64(size)+991))
	out := make([][]int, g.pods)
	for i := range out {
		if out[i] = []int{i}; size > 1 {
			out[i] = rng.Perm(g.pods)[:size]
		}
	}
	return out
}

// refNoise measures the reference's guard for a step.
func (g *traffic) refNoise(past *refPast, step int) (out [1 + refLatencies]refNoise) {
	if n, ok := g.noise[step]; ok {
		return n
	}
	size := g.canaryPods(step)
	groups := g.refGroups(size)
	events := [1 + refLatencies][][]float64{g.sums.Events[analysis.MetricErrorRate]}
	for q, name := range metricOrder {
		events[1+q] = g.sums.Events[name]
	}
	window := int(plan[step].gate * 60 / scrape)
	for m, x := range events {
		out[m] = refNoise{refCap, 1, 1}
		if len(x) == 0 {
			continue
		}
		h, lifts := refErrors, refErrLift
		if m > 0 {
			h, lifts = sequential.TwoRate{Rho: past.rho[m-1]}, refLatLift
		}
		p := newRefPlacebo(x, groups, g.sums.Units[0][0]*float64(size), past.rate[m], h, lifts)
		out[m] = p.pick()
		out[m].gate = p.dispersion(window)
	}
	g.noise[step] = out
	return out
}

// refPlacebo is a metric's history as its groups would see it.
type refPlacebo struct {
	group [][]float64 // [scrape][group]
	total []float64
	share float64      // of the requests that a group has
	coef  [][3]float64 // per bet: log e-value of a group's event, of another, less of none
	extra float64      // events a scrape of an injected regression
}

func newRefPlacebo(x [][]float64, groups [][]int, n, rate float64, h sequential.TwoRate, lifts []float64) *refPlacebo {
	p := &refPlacebo{share: float64(len(groups[0])) / float64(len(x[0]))}
	rest := n * (1/p.share - 1)
	for _, l := range lifts {
		lc := l * h.Bound(rate)
		if lc > 0.95 {
			continue
		}
		none := h.LogE(sequential.Counts{NC: n, NS: rest}, lc, rate)
		p.coef = append(p.coef, [3]float64{
			h.LogE(sequential.Counts{KC: 1, NC: n, NS: rest}, lc, rate) - none,
			h.LogE(sequential.Counts{KS: 1, NC: n, NS: rest}, lc, rate) - none, -none})
	}
	p.extra = n * math.Min(2*h.Bound(rate), 0.9-rate)
	for _, pods := range x {
		row, total := make([]float64, len(groups)), 0.0
		for _, v := range pods {
			total += v
		}
		for i, g := range groups {
			for _, pod := range g {
				row[i] += pods[pod]
			}
		}
		p.group, p.total = append(p.group, row), append(p.total, total)
	}
	return p
}

// quiet says that no group looks like a regression.
func (p *refPlacebo) quiet(n refNoise) bool {
	limit := math.Log(float64(len(p.group[0])))
	inc := make([]float64, len(p.coef))
	for i := range p.group[0] {
		m := starts{}
		for t := range p.group {
			if t%refRestart == 0 && len(m.logs) < 7 {
				m.restart(len(inc))
			}
			hot := false
			for j, c := range p.coef {
				k := p.group[t][i]
				inc[j] = math.Min((k*c[0]+(p.total[t]-k)*c[1]-c[2])/n.phi, n.limit)
				hot = hot || inc[j] > 0
			}
			m.add(inc)
			if hot && m.highest() > limit && math.Log(m.value()) > limit {
				return false
			}
		}
	}
	return true
}

func (m *starts) highest() float64 {
	best := math.Inf(-1)
	for _, l := range m.logs {
		for _, v := range l {
			best = math.Max(best, v)
		}
	}
	return best
}

// pick is the pair of cap and divisor with which groups are quiet and an injected
// regression grows fastest.
func (p *refPlacebo) pick() refNoise {
	best, most := refNoise{refCap, 1, 1}, -1.0
	if len(p.coef) == 0 {
		return best
	}
	for _, share := range []float64{1, .5, .25, .12, .06} {
		n := refNoise{share * refCap, 1, 1}
		for !p.quiet(n) && n.phi < 5000 {
			n.phi *= 1.4
		}
		for _, c := range p.coef {
			sum := 0.0
			for t := range p.group {
				for _, k := range p.group[t] {
					sum += math.Min(((k+p.extra)*c[0]+(p.total[t]-k)*c[1]-c[2])/n.phi, n.limit)
				}
			}
			if sum > most {
				most, best = sum, n
			}
		}
		if n.phi == 1 {
			break
		}
	}
	return best
}

// dispersion is that of the groups' counts over windows of w scrapes.
func (p *refPlacebo) dispersion(w int) float64 {
	sum, n, worst := 0.0, 0.0, 0.0
	for i := range p.group[0] {
		for a := 0; a+w <= len(p.group); a += w {
			x, total := 0.0, 0.0
			for t := a; t < a+w; t++ {
				x += p.group[t][i]
				total += p.total[t]
			}
			if total < 5 {
				continue
			}
			z := (x - p.share*total) / math.Sqrt(p.share*(1-p.share)*total)
			sum += z * z
			n++
			worst = math.Max(worst, math.Abs(z))
		}
	}
	if n == 0 {
		return 1
	}
	return math.Max(1, math.Max(sum/n/(1+2*math.Sqrt(2/n)), worst*worst/(3.2*3.2)))
}
