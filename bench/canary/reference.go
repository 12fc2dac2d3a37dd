package main

import (
	"math"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// The reference is the simplest form of the sequential design, written apart from
// the judge's code: what the judge does beyond it is to be no worse on any draws,
// which -against reference tests. Its parts:
//
//   - an e-process per check, over sizes of effects and a new start every five minutes;
//   - one cap and one divisor per metric, raised until no group of stable's pods
//     reaches as many to one as there are groups;
//   - two looks at a step's counts, at the gate's end and at twice the gate;
//   - promotion with an excess bounded as the judge does.
const (
	refAlpha      = 0.01
	refCap        = 3.0
	refRestart    = 20 // scrapes
	refWarm       = 8  // scrapes
	refSuspicion  = 5
	refGateAlpha  = 0.0025
	refExtAlpha   = 0.0008
	refMinimum    = 100
	refConvMargin = 0.05
	refEquivalent = 2.24
	refBudget     = 200
)

var (
	refErrors  = sequential.TwoRate{Rho: 1.1, Delta: 0.0002}
	refConv    = sequential.TwoRate{Rho: 1 / (1 - refConvMargin)}
	refErrLift = []float64{1.07, 1.2, 1.4, 1.8, 2.5, 5, 15, 60, 300}
	refLatLift = []float64{1.1, 1.25, 1.6, 2.5, 5, 15}
	refCnvLift = []float64{1.06, 1.12, 1.25, 1.6, 3, 10}
	refExcess  = []float64{.001, .002, .003, .005, .0075, .01, .0125, .015, .02, .03, .05, .1, .2, .4, .7}
)

// The reference's checks: three latencies and errors over all routes, conversion,
// and per route errors, p99 and p999.
const (
	refAll  = iota // errors
	refP50         // p50, p99 and p999 follow one another
	refP99         //
	refP999        //
	refCnv
	refRoute    // errors by route
	refRoute99  = refRoute + routes
	refRoute999 = refRoute99 + routes
	refChecks   = refRoute999 + routes

	refLatencies = 3
	refHalfLife  = 300.0 // seconds
	refHistory   = 600.0 // seconds that the history is worth
)

// starts is a mixture over sizes of an effect and its starts.
type starts struct {
	logs  [][]float64
	spent float64
}

func startWeight(s int) float64 {
	if s == 0 {
		return 0.6
	}
	return 0.4 / float64(s*(s+1))
}

func (m *starts) restart(sizes int) {
	m.spent += startWeight(len(m.logs))
	m.logs = append(m.logs, make([]float64, sizes))
}

func (m *starts) add(inc []float64) {
	for _, l := range m.logs {
		for j, v := range inc {
			l[j] = math.Min(l[j]+v, 60)
		}
	}
}

func (m *starts) value() float64 {
	e := 1 - m.spent
	for s, l := range m.logs {
		sum := 0.0
		for _, v := range l {
			if v > -12 {
				sum += math.Exp(v)
			}
		}
		e += startWeight(s) * sum / float64(len(l))
	}
	return e
}

// refNoise is a metric's guard in one step.
type refNoise struct{ limit, phi, gate float64 }

// refPast is what the reference takes from the history.
type refPast struct {
	testable [refLatencies][routes]bool
	bound    [refLatencies][routes]analysis.LatencyBound
	rho      [refLatencies]float64 // of all routes
	errors   [routes]float64
	requests [routes]float64
	pool     float64
	rate     [1 + refLatencies]float64 // errors, then latencies
}

// refRun is the reference in one rollout.
type refRun struct {
	g      *traffic
	past   *refPast
	checks [refChecks]starts
	weight [refChecks]float64
	step   [refChecks]sequential.Counts
	noise  [1 + refLatencies]refNoise

	k, n     [routes]float64 // stable's error rate, fading
	allK     float64
	allN     float64
	ni       []float64
	served   float64 // by the canary
	warm     int
	gateSeen bool
	extSeen  bool
}

func refSizes(i int) []float64 {
	switch {
	case i == refAll || i >= refRoute && i < refRoute99:
		return refErrLift
	case i == refCnv:
		return refCnvLift
	}
	return refLatLift
}

func newRefRun(g *traffic) *refRun {
	d := &refRun{g: g, past: g.refPast(), ni: make([]float64, len(refExcess)), warm: refWarm}
	d.weight[refAll], d.weight[refP50], d.weight[refP99], d.weight[refP999], d.weight[refCnv] = .30, .05, .12, .05, .05
	share := refHistory / (historyScrapes * scrape)
	for r := range routes {
		d.weight[refRoute+r], d.weight[refRoute99+r], d.weight[refRoute999+r] = .25/routes, .15/routes, .03/routes
		d.k[r], d.n[r] = d.past.errors[r]*share, d.past.requests[r]*share
		d.allK += d.k[r]
		d.allN += d.n[r]
	}
	return d
}

// refRollout runs the reference over one rollout.
func refRollout(g *traffic) (ending, error) {
	if _, err := g.freeze(deciders()[0].cfg); err != nil {
		return ending{}, err
	}
	d := newRefRun(g)
	end := ending{decision: analysis.Continue}
	step, began := 0, 0
	for t := range maxScrapes {
		x := g.interval(t, step, began)
		end.harm += x.harm
		end.minutes, end.step = float64(t+1)*scrape/60, step
		switch what, held := d.look(&x.iv, t, step, began); {
		case what == analysis.Rollback:
			end.decision = what
			return end, nil
		case held:
			return end, nil
		case what == analysis.Promote:
			if step++; step == len(plan) {
				end.decision = what
				return end, nil
			}
			began = t + 1
		}
	}
	return end, nil
}

// look folds an interval and decides; held says that a human has to.
func (d *refRun) look(iv *analysis.Interval, t, step, began int) (what analysis.Decision, held bool) {
	if t == began {
		d.warm, d.gateSeen, d.extSeen = t+refWarm, false, false
		d.step = [refChecks]sequential.Counts{}
		d.noise = d.g.refNoise(d.past, step)
	}
	if t%refRestart == 0 {
		for i := range d.checks {
			d.checks[i].restart(len(refSizes(i)))
		}
	}
	before := d.served
	total := d.fold(iv, t)
	if d.served == before && before > 50 && d.g.sc.rps >= 10 {
		d.warm = t + 1 + refWarm
	}
	e := 0.0
	for i := range d.checks {
		e += d.weight[i] * d.checks[i].value()
	}
	if e >= 1/refAlpha {
		return analysis.Rollback, false
	}
	age, gate := float64(t+1-began)*scrape, 60*plan[step].gate
	if age < gate || d.served < refMinimum {
		return analysis.Continue, age > math.Max(2*gate, 3600)
	}
	alpha := 0.0
	switch {
	case !d.gateSeen:
		d.gateSeen, alpha = true, refGateAlpha
	case !d.extSeen && age >= 2*gate:
		d.extSeen, alpha = true, refExtAlpha
	}
	for i := range d.step {
		if alpha > 0 && d.lookP(i) <= alpha*d.weight[i] {
			return analysis.Rollback, false
		}
	}
	next := total / scrape * 600
	if step+1 < len(plan) {
		next = total / scrape * plan[step+1].weight * plan[step+1].gate * 60
	}
	limit := max(0.005, 0.5*(d.allK+1)/(d.allN+1/d.past.pool), refBudget/math.Max(next, 1))
	switch {
	case e < refSuspicion && d.upper(alpha > 0) <= limit:
		return analysis.Promote, false
	case e < 1 && age >= 2*gate:
		return analysis.Promote, false
	}
	return analysis.Continue, age >= 2*gate+300
}

// upper bounds the excess of errors.
func (d *refRun) upper(looked bool) float64 {
	c := d.step[refAll]
	for i, du := range refExcess {
		h := sequential.TwoRate{Rho: 1, Delta: du}
		if d.ni[i] >= math.Log(20) || looked && c.KC/c.NC < c.KS/c.NS+du && math.Sqrt(2*refLLR(h, c)/d.noise[0].gate) >= refEquivalent {
			return du
		}
	}
	return 1
}

// refLLR is the log likelihood ratio of the estimates against the boundary.
func refLLR(h sequential.TwoRate, c sequential.Counts) float64 {
	if c.NC <= 0 || c.NS <= 0 {
		return 0
	}
	return math.Max(0, h.LogE(c, math.Max(c.KC/c.NC, 1e-12), math.Max(c.KS/c.NS, 1e-12)))
}

// lookP is a check's p-value on the step's counts.
func (d *refRun) lookP(i int) float64 {
	h, phi := refErrors, d.noise[0].gate
	latency := func(q, r int) {
		h.Rho, h.Delta, phi = d.past.bound[q][r].Ratio, 0, d.noise[1+q].gate
	}
	switch {
	case i == refAll:
	case i == refCnv:
		h, phi = refConv, 1
	case i <= refP999:
		h, phi = sequential.TwoRate{Rho: d.past.rho[i-refP50]}, d.noise[1+i-refP50].gate
	case i >= refRoute999:
		latency(2, i-refRoute999)
	case i >= refRoute99:
		latency(1, i-refRoute99)
	}
	c := d.step[i]
	if c.NC <= 0 || c.NS <= 0 || c.KC < 5 || c.KC/c.NC <= h.Bound(c.KS/c.NS) {
		return 1
	}
	if phi <= 1 && c.KC+c.KS <= 3000 {
		return h.LookP(c, 1)
	}
	return 1 - sequential.NormalCDF(math.Sqrt(2*refLLR(h, c)/phi))
}
