package main

import (
	"fmt"
	"math"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// epoch is when the rollout starts; the history lies before.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// traffic draws one rollout of a scenario, interval by interval; every decider
// sees the same draws for the same steps.
type traffic struct {
	sc     *scenario
	seed   uint64
	bounds []float64
	normal [routes]shape
	slowed [routes]shape
	canary [routes]shape
	warm   [][]([routes]shape) // [step][scrape since a cold start]

	pods     int         // in all
	factor   [][]float64 // [pod][scrape, from the history's start]: of the error rate
	burst    [][]float64 // [pod][scrape]: share of the scrape in a burst
	slow     [][]float64
	slowBase []float64
	hit      []float64 // by an incident
	zone     []float64 // [scrape]: share of it in which a zone fails
	node     []float64
	flap     [][]float64 // [pod][scrape]: share of it in an incident, by how hard that hits the pod
	frozen   *analysis.Frozen
	sums     analysis.Sums // the history
	noise    map[int][1 + refLatencies]refNoise
	cache    map[[2]int]*drawn
}

// drawn is one interval, and how much worse than stable the canary was in it.
type drawn struct {
	iv   analysis.Interval
	harm float64
}

func newTraffic(sc *scenario) *traffic {
	g := &traffic{sc: sc, bounds: layout(sc.classic), pods: allPods}
	if sc.few > 0 {
		g.pods = sc.few
	}
	for r := range routes {
		m := routeScale[r]
		base := func(x float64) float64 { return latencyCDF(x, m) }
		e := slower{}
		if sc.eff.route < 0 || sc.eff.route == r {
			e = sc.eff.latency
		}
		g.normal[r] = newShape(g.bounds, base)
		g.slowed[r] = newShape(g.bounds, func(x float64) float64 { return latencyCDF(x/3, m) })
		g.canary[r] = newShape(g.bounds, func(x float64) float64 { return e.cdf(x, m) })
	}
	if sc.cold || sc.restart {
		for _, fresh := range []float64{1, .8, .5} { // the share of the step's pods that are new
			var step []([routes]shape)
			for i := range 24 {
				var at [routes]shape
				by := 1 + 1.5*math.Exp(-(float64(i)+.5)*scrape/60)
				for r := range routes {
					m := routeScale[r]
					at[r] = newShape(g.bounds, func(x float64) float64 { return fresh*latencyCDF(x/by, m) + (1-fresh)*latencyCDF(x, m) })
				}
				step = append(step, at)
			}
			g.warm = append(g.warm, step)
		}
	}
	return g
}

// canaryPods is the canary's pods in a step.
func (g *traffic) canaryPods(step int) int {
	if g.sc.few > 0 {
		return 1
	}
	return plan[step].pods
}

// start begins another rollout.
func (g *traffic) start(seed uint64) {
	g.seed, g.frozen, g.cache, g.noise = seed, nil, map[[2]int]*drawn{}, map[int][1 + refLatencies]refNoise{}
	rng := newSource(seed, 77)
	n := historyScrapes + maxScrapes
	all := g.pods + plan[len(plan)-1].pods // the canary's come after stable's
	g.factor, g.burst, g.slow, g.slowBase, g.hit = nil, nil, nil, nil, nil
	g.zone = rng.episodes(n, g.sc.zone[0], g.sc.zone[1])
	g.node = rng.episodes(n, g.sc.node[0], g.sc.node[1])
	g.flap = rng.shared(n, all, g.sc.flap[0], g.sc.flap[1])
	for i := range all {
		f := make([]float64, n)
		at := rng.gamma(g.sc.podCV)
		if g.sc.rotten > 0 && rng.Float64() < g.sc.rotten {
			at *= 4
		}
		if g.sc.kinds > 0 && i%2 == 0 {
			at *= g.sc.kinds
		}
		young := rng.episodes(n, g.sc.renewed[0], 120)
		wander, keep := 0.0, 0.0
		if sd := g.sc.wander[0]; sd > 0 {
			wander, keep = sd*rng.NormFloat64(), math.Exp(-scrape/60/g.sc.wander[1])
		}
		for t := range f {
			at *= math.Exp(g.sc.drift * math.Sqrt(scrape/3600) * rng.NormFloat64())
			f[t] = at
			if g.sc.renewed[1] > 0 {
				f[t] *= 1 + young[t]*(g.sc.renewed[1]-1)
			}
			if sd := g.sc.wander[0]; sd > 0 {
				f[t] *= math.Exp(wander - sd*sd/2)
				wander = keep*wander + sd*math.Sqrt(1-keep*keep)*rng.NormFloat64()
			}
		}
		g.hit = append(g.hit, 1)
		if g.sc.uneven || g.sc.slowed {
			g.hit[len(g.hit)-1] = rng.ExpFloat64()
		}
		g.factor = append(g.factor, f)
		g.burst = append(g.burst, rng.episodes(n, g.sc.burst[0], g.sc.burst[1]))
		g.slow = append(g.slow, rng.episodes(n, g.sc.slow[0], g.sc.slow[1]))
		g.slowBase = append(g.slowBase, g.sc.slowPod*rng.ExpFloat64())
	}
}

// climate is what all pods share at scrape t: factors of traffic and of errors,
// errors added, requests slowed.
func (g *traffic) climate(t int) (load, times, add, slow float64) {
	load, times = 1, 1
	minute := float64(t) * scrape / 60
	if g.sc.ramp {
		x := minute / 35
		load, times, slow = 0.7+0.42*x, 0.6+0.8*x, 0.002+0.01*math.Max(x, 0)
	}
	if g.sc.jump && minute >= 15 {
		load, times, slow = 2, 2, 0.01
	}
	if g.sc.swing {
		by := 1 + 0.5*math.Sin(2*math.Pi*minute/12)
		load, times = by, by
	}
	if g.sc.incident && minute >= 7 && minute < 10 {
		add, slow = 0.05, slow+0.10
	}
	return load, times, add, slow
}

// failing is pod i's error rate, slowing its share of slowed requests.
func (g *traffic) failing(i, t int, p float64) float64 {
	at := t + historyScrapes
	if g.sc.uneven {
		_, _, add, _ := g.climate(t)
		p += add * (g.hit[i] - 1)
	}
	if i%2 == 0 {
		p += g.zone[at] * g.sc.zone[2]
	}
	if i%7 == 0 {
		p += g.node[at] * g.sc.node[2]
	}
	p += g.flap[i][at] * g.sc.flap[2]
	return math.Min(.95, p*g.factor[i][at]+g.burst[i][at]*g.sc.burst[2])
}

func (g *traffic) slowing(i, t int, slow float64) float64 {
	if g.sc.slowed {
		slow *= g.hit[i]
	}
	return math.Min(.95, slow+g.slowBase[i]+g.slow[i][t+historyScrapes]*g.sc.slow[2])
}

// group are the pods of a track in a step.
func (g *traffic) group(tr analysis.Track, step int) (first, n int) {
	if tr == analysis.Canary {
		return g.pods, g.canaryPods(step)
	}
	return 0, max(1, g.pods-g.canaryPods(step))
}

// errors draws the failures of a route's requests, one cell for each pod from first on.
func (g *traffic) errors(rng source, cells []analysis.Cell, p float64, first, t int) {
	if g.sc.clump <= 1 {
		for i := range cells {
			cells[i].Errors = rng.binomial(cells[i].Requests, g.failing(first+i, t, p))
		}
		return
	}
	want, served := make([]float64, len(cells)), 0.0
	for i := range cells {
		want[i] = cells[i].Requests * g.failing(first+i, t, p)
		served += cells[i].Requests
	}
	clumps, failed := rng.poisson(sum(want)/g.sc.clump), 0.0
	for range int(clumps) {
		k := math.Min(rng.clump(g.sc.clump, g.sc.heavy), served-failed)
		failed += k
		// A clump hits one pod; what is more than it has requests on this route, the next.
		for at := pick(want, rng.Float64()); k > 0; at = (at + 1) % len(cells) {
			hit := math.Min(k, cells[at].Requests-cells[at].Errors)
			cells[at].Errors += hit
			k -= hit
		}
	}
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

// pick is the index that u, uniform in [0, 1), falls on by weight.
func pick(weights []float64, u float64) int {
	u *= sum(weights)
	for i, w := range weights {
		if u -= w; u < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// interval draws scrape t of a step that began at scrape began.
func (g *traffic) interval(t, step, began int) *drawn {
	key := [2]int{t, step<<16 | began}
	if d, ok := g.cache[key]; ok {
		return d
	}
	d := &drawn{}
	g.cache[key] = d
	d.iv.Start = epoch.Add(time.Duration(t) * scrape * time.Second)
	d.iv.End = d.iv.Start.Add(scrape * time.Second)
	conversions := [2]analysis.BusinessCell{}
	for _, tr := range []analysis.Track{analysis.Stable, analysis.Canary} {
		g.track(d, tr, t, step, began, &conversions[tr])
	}
	d.iv.Business = conversions[:]
	if g.sc.missed > 0 {
		g.miss(d, t, step, began)
	}
	return d
}

// track draws one track's part of an interval.
func (g *traffic) track(d *drawn, tr analysis.Track, t, step, began int, conv *analysis.BusinessCell) {
	rng := newSource(g.seed*1_000_003+uint64(step), uint64(t)*2+uint64(tr)+1)
	sc := g.sc
	load, times, add, slow := g.climate(t)
	first, pods := g.group(tr, step)
	share, kept, warm := 1-plan[step].weight, 1.0, -1
	active := tr == analysis.Canary && float64(t)*scrape/60 >= sc.eff.onset && !sc.eff.none()
	restarted := false
	if tr == analysis.Canary {
		share = plan[step].weight
		if sc.cold && t-began < 24 {
			warm = t - began
		}
		if sc.restart {
			kept, restarted, warm = restartAt(t, step)
		}
	}
	total := 0.0
	for r := range routes {
		p := sc.base*times + add
		m := sc.rps * load * share * routeShare[r] * scrape * kept
		if sc.mix && r == 2 {
			p *= 10
			if tr == analysis.Canary {
				m *= 2
			}
		}
		usual := p
		normal := &g.normal[r]
		if active {
			normal = &g.canary[r]
			if sc.eff.route < 0 || sc.eff.route == r {
				if sc.eff.times > 0 {
					p *= sc.eff.times
				}
				p += sc.eff.add
			}
		}
		if warm >= 0 {
			normal = &g.warm[step][warm][r]
		}
		if tr == analysis.Canary && sc.coldError > 0 && t-began < 2 {
			p += sc.coldError
		}
		if sc.storm && add > 0 { // who fails is asked again
			m *= 1 + 4*p
		}
		served := 0.0
		at := len(d.iv.Cells)
		for i := range pods {
			c := analysis.Cell{Track: tr, Route: routeName[r], Pod: podName[tr][i], HasErrors: true, Restarted: restarted}
			c.Latency = analysis.Histogram{Bounds: g.bounds, Counts: make([]float64, len(g.bounds))}
			slowed := g.slowing(first+i, t, slow)
			m := m / float64(pods)
			c.Requests = normal.fill(rng, c.Latency.Counts, m*(1-slowed))
			if slowed > 0 {
				c.Requests += g.slowed[r].fill(rng, c.Latency.Counts, m*slowed)
			}
			d.iv.Cells = append(d.iv.Cells, c)
			served += c.Requests
		}
		g.errors(rng, d.iv.Cells[at:], p, first, t)
		total += served
		if active {
			d.harm += served * (p - usual + g.canary[r].above(g.bounds, 4*routeScale[r]) - g.normal[r].above(g.bounds, 4*routeScale[r]))
		}
	}
	q := conversionRate
	if active && sc.eff.convert > 0 {
		q *= sc.eff.convert
		d.harm += total * (conversionRate - q)
	}
	*conv = analysis.BusinessCell{Name: "conversion", Track: tr, Good: rng.binomial(total, q), Of: total}
}

// restartAt is what two restarts leave of the canary's increments: some are lost
// with the counters, and new pods are slow.
func restartAt(t, step int) (kept float64, restarted bool, warm int) {
	kept, warm = 1, -1
	switch t {
	case 16:
		kept, restarted = 0, true
	case 17:
		kept = .5
	case 56:
		kept, restarted = .8, true
	case 57:
		kept = .9
	}
	if t >= 17 && t < 29 && step == 0 {
		warm = t - 17
	}
	return kept, restarted, warm
}

// miss lets each track's scrape fail by chance: its increments come with the next.
func (g *traffic) miss(d *drawn, t, step, began int) {
	lost := func(tr analysis.Track, t int) bool {
		return t >= began && newSource(g.seed, uint64(t)*2+uint64(tr)+1_000_000).Float64() < g.sc.missed
	}
	var late []analysis.Cell
	for _, tr := range []analysis.Track{analysis.Stable, analysis.Canary} {
		for before := t - 1; !lost(tr, t) && before >= began && lost(tr, before); before-- {
			for _, c := range g.raw(before, step, began).Cells {
				if c.Track == tr {
					late = append(late, c)
				}
			}
		}
	}
	kept := d.iv.Cells[:0:0]
	for _, c := range d.iv.Cells {
		if !lost(c.Track, t) {
			kept = append(kept, c)
		}
	}
	d.iv.Cells = append(kept, late...)
}

// raw is an interval as if no scrape had been missed.
func (g *traffic) raw(t, step, began int) analysis.Interval {
	plain := *g.sc
	plain.missed = 0
	copied := *g
	copied.sc, copied.cache = &plain, map[[2]int]*drawn{}
	return copied.interval(t, step, began).iv
}

// freeze draws the hour before the rollout and freezes the judge's parameters.
func (g *traffic) freeze(cfg analysis.Config) (analysis.Frozen, error) {
	if g.frozen != nil {
		return *g.frozen, nil
	}
	rng := newSource(g.seed, 4242)
	load, times, _, slow := g.climate(0)
	s := analysis.Sums{
		From: epoch.Add(-historyScrapes * scrape * time.Second), To: epoch,
		ErrorsEverSeen: true, Events: map[string][][]float64{},
	}
	for step := range plan {
		s.CanaryPods = append(s.CanaryPods, g.canaryPods(step))
	}
	slowed, failing := 0.0, 0.0
	for i := range g.pods {
		for t := range historyScrapes {
			n := float64(g.pods * historyScrapes)
			slowed += g.slowing(i, t-historyScrapes, slow) / n
			failing += g.failing(i, t-historyScrapes, g.sc.base*times) / n
		}
	}
	total := 0.0
	for r := range routes {
		h := analysis.Histogram{Bounds: g.bounds, Counts: make([]float64, len(g.bounds))}
		m := g.sc.rps * load * routeShare[r] * scrape * historyScrapes
		n := g.normal[r].fill(rng, h.Counts, m*(1-slowed)) + g.slowed[r].fill(rng, h.Counts, m*slowed)
		p := failing
		if g.sc.mix && r == 2 {
			p *= 10
		}
		total += n
		s.Routes = append(s.Routes, analysis.RouteSums{Route: routeName[r], Requests: n, Errors: rng.poisson(n * p), Latency: h})
	}
	if err := g.podHistory(rng, cfg, &s, total/historyScrapes/float64(g.pods), times, slow); err != nil {
		return analysis.Frozen{}, err
	}
	f, err := analysis.FreezeSums(cfg, s)
	g.frozen, g.sums = &f, s
	return f, err
}

// podHistory draws the pods' events of the history.
func (g *traffic) podHistory(rng source, cfg analysis.Config, s *analysis.Sums, perPod, times, slow float64) error {
	bare := *s
	bare.CanaryPods = nil
	f, err := analysis.FreezeSums(cfg, bare) // for the bounds alone
	if err != nil {
		return err
	}
	tails := map[string][2]float64{}
	for _, r := range f.Routes[:len(f.Routes)-1] {
		route := routeIndex[r.Route]
		for name, b := range r.Bounds {
			v := tails[name]
			v[0] += routeShare[route] * g.normal[route].above(g.bounds, b[0].Seconds)
			v[1] += routeShare[route] * g.slowed[route].above(g.bounds, b[0].Seconds)
			tails[name] = v
		}
	}
	for t := range historyScrapes {
		at := t - historyScrapes
		units, errors := make([]float64, g.pods), make([]float64, g.pods)
		for i := range units {
			units[i] = perPod
			if g.sc.clump <= 1 {
				errors[i] = rng.poisson(perPod * g.failing(i, at, g.sc.base*times))
			}
		}
		if g.sc.clump > 1 {
			for i := range errors {
				for range int(rng.poisson(perPod * g.failing(i, at, g.sc.base*times) / g.sc.clump)) {
					errors[i] += rng.clump(g.sc.clump, g.sc.heavy)
				}
			}
		}
		s.Units = append(s.Units, units)
		s.Events[analysis.MetricErrorRate] = append(s.Events[analysis.MetricErrorRate], errors)
		for _, name := range metricOrder {
			if v, ok := tails[name]; ok {
				x := make([]float64, g.pods)
				for i := range x {
					q := g.slowing(i, at, slow)
					x[i] = rng.poisson(perPod * ((1-q)*v[0] + q*v[1]))
				}
				s.Events[name] = append(s.Events[name], x)
			}
		}
	}
	return nil
}

// metricOrder makes draws independent of a map's order.
var metricOrder = []string{"p50_latency", "p99_latency", "p999_latency"}

var routeIndex = map[string]int{}

// podName names the pods of each track.
var podName [2][allPods]string

func init() {
	for tr := range podName {
		for i := range podName[tr] {
			podName[tr][i] = fmt.Sprintf("%s-%d", analysis.Track(tr), i)
		}
	}
}
