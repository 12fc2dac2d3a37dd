package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

const (
	// attributionRate is the false discovery rate of naming what is to blame.
	attributionRate = 0.1
	// carrierE is the evidence of its own, at the attribution rate, that a route
	// needs to be named for carrying most of the excess of a harm that is shown.
	carrierE = 1 / attributionRate
	// carrierShare is what "most" is.
	carrierShare = 0.5
	// maxExcess bounds the routes of Verdict.Excess.
	maxExcess = 5
)

// blame is a rollback, with the tests that the harm is traced to.
func (j *Judge) blame(tests []int, format string, args ...any) outcome {
	o := outcome{Decision: Rollback, Reason: ReasonHarm, Message: fmt.Sprintf(format, args...), Attributed: tests, Upper: 1}
	if len(tests) == 0 {
		return o
	}
	t := &j.tests[tests[0]]
	on := ""
	if t.row >= 0 {
		on = " on " + j.rowName(t.row)
	}
	o.Message = fmt.Sprintf("%s%s is harmed. %s", t.metric, on, o.Message)
	if x := j.excess(t); t.row < 0 && len(x) > 0 && x[0].Excess > carrierShare*x[0].Of {
		o.Message += fmt.Sprintf(" Most of the excess %s are on %s (%.0f of %.0f).", t.events(), x[0].Route, x[0].Excess, x[0].Of)
	}
	return o
}

// events names what a test counts.
func (t *test) events() string {
	if t.kind == kindLatency {
		return "slow requests"
	}
	return "errors"
}

// blameEvidence names the tests to blame by their e-values at this time: e-BH
// over the metrics, and over the routes of each metric. The test that has done
// most for the decision is always among them, and comes first.
func (j *Judge) blameEvidence() []int {
	best, most := 0, -1.0
	var metrics []int
	for i := range j.tests {
		if v := j.tests[i].weight * j.e(i); v > most {
			best, most = i, v
		}
		if j.tests[i].row < 0 {
			metrics = append(metrics, i)
		}
	}
	out := []int{best}
	es := func(tests []int) []float64 {
		e := make([]float64, len(tests))
		for k, i := range tests {
			e[k] = j.e(i)
		}
		return e
	}
	for _, k := range sequential.EBH(es(metrics), attributionRate) {
		if i := metrics[k]; i != best {
			out = append(out, i)
		}
	}
	return j.withRoutes(out, func(routes []int) []int { return sequential.EBH(es(routes), attributionRate) })
}

// withRoutes adds the routes of each metric that choose finds among them, and
// where it finds none the one that carries most of the excess of a harm that is
// shown for all routes together: that all of them are harmless is refuted, so
// the route needs evidence of its own, but not as much as if it stood alone.
func (j *Judge) withRoutes(blamed []int, choose func(routes []int) []int) []int {
	out := slices.Clone(blamed)
	add := func(i int) {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	for _, routes := range j.families() {
		for _, k := range choose(routes) {
			add(routes[k])
		}
		t := &j.tests[routes[0]]
		aggregate := slices.IndexFunc(j.tests, func(a test) bool { return a.row < 0 && a.metric == t.metric })
		named := slices.ContainsFunc(routes, func(i int) bool { return slices.Contains(out, i) })
		if named || !slices.Contains(out, aggregate) {
			continue
		}
		x := j.excess(t)
		if len(x) == 0 || x[0].Excess <= carrierShare*x[0].Of {
			continue
		}
		if i := routes[x[0].row]; j.e(i) >= carrierE {
			add(i)
		}
	}
	return out
}

// families are the tests of routes by metric, in the order of their rows.
func (j *Judge) families() [][]int {
	var out [][]int
	for i := range j.tests {
		switch t := &j.tests[i]; {
		case t.row == 0:
			out = append(out, []int{i})
		case t.row > 0:
			out[len(out)-1] = append(out[len(out)-1], i)
		}
	}
	return out
}

// excess says where a metric's events are that the canary has beyond what
// stable's rate on the same route makes expect, in this step: most first. It is
// an estimate without a test, for a harm that was shown otherwise.
func (j *Judge) excess(of *test) []RouteExcess {
	if of.kind != kindErrors && of.kind != kindLatency {
		return nil
	}
	states := j.routeTests(of.kind, of.slow)
	var out []RouteExcess
	total := 0.0
	for r := range states {
		c := states[r].Step
		if c.NC <= 0 || c.NS <= 0 {
			continue
		}
		x := c.KC - c.NC*c.KS/c.NS
		if x <= 0 {
			continue
		}
		total += x
		out = append(out, RouteExcess{Metric: of.metric, Route: j.rowName(r), Events: c.KC, Excess: x, row: r})
	}
	slices.SortStableFunc(out, func(a, b RouteExcess) int { return cmp.Compare(b.Excess, a.Excess) })
	for i := range out {
		out[i].Of = math.Round(10*total) / 10
		out[i].Excess = math.Round(10*out[i].Excess) / 10
	}
	return out[:min(len(out), maxExcess)]
}

// excesses are those of the metrics that a rollback is traced to.
func (j *Judge) excesses() []RouteExcess {
	var out []RouteExcess
	if j.st.Outcome.Decision != Rollback {
		return nil
	}
	seen := map[string]bool{}
	for _, i := range j.st.Outcome.Attributed {
		if t := &j.tests[i]; !seen[t.metric] {
			seen[t.metric] = true
			out = append(out, j.excess(t)...)
		}
	}
	return out
}
