package analysis

import (
	"math"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// scratch are buffers of accumulate, reused from interval to interval.
type scratch struct {
	inc, sum   []float64 // per lift
	dinc, dsum []float64 // per factor of the spread
}

func sized(b []float64, n int) []float64 {
	if cap(b) < n {
		return make([]float64, n)
	}
	b = b[:n]
	clear(b)
	return b
}

// accumulate folds an interval into the e-processes.
func (j *Judge) accumulate(t *tally) {
	j.pickGuards(t)
	j.watchWarmUp(t)
	if j.errorsKnown() {
		j.accumulateErrors(t)
	}
	for q := range j.slow {
		if t.end.After(j.st.Warm) {
			j.accumulateLatency(t, q)
		}
	}
	j.accumulateBusiness(t)
	j.agree()
}

// errorsKnown says whether errors can be told from silence.
func (j *Judge) errorsKnown() bool {
	return j.st.ErrorsSeen || j.cfg.ErrorsAbsent == ErrorsAbsentZero
}

// maxWarmups bounds how often a step's latency tests are put to rest: a canary
// that keeps restarting is not to be excused from them for ever.
const maxWarmups = 5

// watchWarmUp puts the latency tests to rest after a restart of the canary: its
// counters began anew, or it was silent although it had traffic.
func (j *Judge) watchWarmUp(t *tally) {
	expected := 0.0
	if j.st.StepSeconds > 0 {
		expected = j.st.StepRequests[Canary] / j.st.StepSeconds * t.end.Sub(t.start).Seconds()
	}
	silent := t.requests[Canary] == 0 && expected > 5
	if (t.restarted || silent) && (j.st.Warmups < maxWarmups || silent) {
		if t.start.After(j.st.Warm) {
			j.st.Warmups++
		}
		j.st.Warm = t.end.Add(j.warmUp())
	}
}

// add folds an interval's log e-values into a test: tempered by the guard's phi,
// and no more than its cap. Larger bets are tempered more, see GuardPair.temper.
func (s *testState) add(inc, dinc []float64, lifts, factors []float64, g *GuardPair) {
	for i := range inc {
		inc[i] = math.Min(inc[i]/g.temper(lifts[i]), g.Cap)
	}
	if len(factors) > 0 {
		for i := range dinc {
			dinc[i] = math.Min(dinc[i]/g.temper(factors[i]), g.Cap)
		}
		s.Disc.Add(dinc)
	}
	s.Mix.AddOver(inc, s.Disc.Log())
}

// beginDiscounts says that the step's group of pods is drawn anew.
func (j *Judge) beginDiscounts() {
	for i := range j.tests {
		j.st.Tests[i].Disc.Begin()
	}
	for i := range j.st.LeaveOut {
		j.st.LeaveOut[i].draw()
	}
}

func (j *Judge) errorTest() sequential.TwoRate {
	m := j.cfg.ErrorRate.Margin
	return sequential.TwoRate{Rho: 1 + m.Relative, Delta: m.Absolute}
}

// accumulateErrors: per route, and all routes as strata of one test.
func (j *Judge) accumulateErrors(t *tally) {
	h, g := j.errorTest(), j.guard(MetricErrorRate)
	count := func(p *podTally) Count { return Count{p.errors, p.requests} }
	j.st.Peers[0].add(t.parts(Stable, count), t.end.Sub(t.start))
	factors := j.spreadNow(&j.tests[0]).Factors()
	b := &j.seq
	b.inc, b.sum = sized(b.inc, len(errorLifts)), sized(b.sum, len(errorLifts))
	b.dinc, b.dsum = sized(b.dinc, len(factors)), sized(b.dsum, len(factors))
	pool := j.pool()
	fade := math.Exp2(-t.end.Sub(t.start).Seconds() / rateHalfLife.Seconds())
	routeTests := j.routeTests(kindErrors, 0)
	var all sequential.Counts
	var mixC, mixS float64
	for r := range t.rows {
		c := t.rows[r].counts()
		ls := j.st.Rates[r].value(pool)
		all = all.Add(c)
		mixC += c.NC * ls
		mixS += c.NS * ls
		j.st.Rates[r].fade(fade, c.KS, c.NS)
		if c.NC <= 0 || c.NS <= 0 {
			continue
		}
		h.Increments(b.inc, b.sum, c, errorLifts, ls)
		h.Increments(b.dinc, b.dsum, c, factors, ls)
		if len(routeTests) > 0 {
			s := &routeTests[r]
			s.Step = s.Step.Add(c)
			s.add(b.inc, b.dinc, errorLifts, factors, g)
		}
	}
	if all.NC <= 0 || all.NS <= 0 {
		j.st.Rate.fade(fade, all.KS, all.NS)
		return
	}
	// Stable's errors as they would be under the canary's mix of routes, with
	// rates from before the interval: pooled counts would confound the two.
	standard := all
	if mixC > 0 && mixS > 0 {
		standard.KS *= (mixC / all.NC) / (mixS / all.NS)
	}
	s := &j.st.Tests[0]
	s.Step = s.Step.Add(standard)
	s.add(b.sum, b.dsum, errorLifts, factors, g)
	j.st.LeaveOut[0].add(h, standard, t.parts(Canary, count), j.st.Rate.value(pool), errorLifts, factors, g, b)
	j.st.NI.Add(standard, j.st.Rate.value(pool), g.Phi, g.Cap)
	j.st.Rate.fade(fade, standard.KS, standard.NS)
}

// routeTests are the states of a metric's tests per row; empty if it has none.
func (j *Judge) routeTests(k kind, slow int) []testState {
	for i := range j.tests {
		if t := &j.tests[i]; t.row == 0 && t.kind == k && (k != kindLatency || t.slow == slow) {
			return j.st.Tests[i : i+len(j.rows)]
		}
	}
	return nil
}

// aggregate is the state of a metric's test of all rows together.
func (j *Judge) aggregate(metric string) *testState {
	for i := range j.tests {
		if j.tests[i].row < 0 && j.tests[i].metric == metric {
			return &j.st.Tests[i]
		}
	}
	return nil
}

// accumulateLatency: the share of requests above each route's own bound.
func (j *Judge) accumulateLatency(t *tally, q int) {
	g := j.guard(j.slow[q].name)
	count := func(p *podTally) Count { return p.slow[q] }
	j.st.Peers[1+q].add(t.parts(Stable, count), t.end.Sub(t.start))
	factors := j.spreadNow(&j.tests[1+q]).Factors()
	b := &j.seq
	b.inc, b.dinc = sized(b.inc, len(latencyLifts)), sized(b.dinc, len(factors))
	routeTests := j.routeTests(kindLatency, q)
	var all sequential.Counts
	var mixC, mixS float64
	for r := range t.rows {
		bound := &j.bounds[q][r]
		c := t.rows[r].slow[q].counts()
		if bound.State != boundChosen || c.NC <= 0 || c.NS <= 0 {
			continue
		}
		all = all.Add(c)
		mixC += c.NC * bound.Tail
		mixS += c.NS * bound.Tail
		if len(routeTests) > 0 {
			h := sequential.TwoRate{Rho: bound.Ratio}
			h.Increments(b.inc, nil, c, latencyLifts, bound.Tail)
			h.Increments(b.dinc, nil, c, factors, bound.Tail)
			s := &routeTests[r]
			s.Step = s.Step.Add(c)
			s.add(b.inc, b.dinc, latencyLifts, factors, g)
		}
	}
	if all.NC <= 0 || all.NS <= 0 {
		return
	}
	// Each request is held against its own route's bound, and stable's count is
	// standardised to the canary's mix of routes, with tails from the history.
	// Routes as strata would be immune as well, but most routes have no request
	// in most intervals, and a stratum without one says nothing.
	if mixC > 0 && mixS > 0 {
		all.KS *= (mixC / all.NC) / (mixS / all.NS)
	}
	h := sequential.TwoRate{Rho: j.latencyRatio(q)}
	h.Increments(b.inc, nil, all, latencyLifts, mixC/all.NC)
	h.Increments(b.dinc, nil, all, factors, mixC/all.NC)
	s := j.aggregate(j.slow[q].name)
	s.Step = s.Step.Add(all)
	s.add(b.inc, b.dinc, latencyLifts, factors, g)
	j.st.LeaveOut[1+q].add(h, all, t.parts(Canary, count), mixC/all.NC, latencyLifts, factors, g, b)
}

// latencyRatio is the margin of the aggregate: the mean of the rows' ratios,
// weighted by the exceedances expected of them.
func (j *Judge) latencyRatio(q int) float64 {
	sum, weight := 0.0, 0.0
	for r, b := range j.bounds[q] {
		if b.State == boundChosen {
			w := b.Tail * j.frozen.Routes[r].Requests
			sum += w * b.Ratio
			weight += w
		}
	}
	if weight <= 0 {
		return 1
	}
	return sum / weight
}

// businessTest is the null hypothesis of a ratio, and its counts with the track
// that must not be better in the tested track's place.
func businessTest(b *Business, v [2]Count) (sequential.TwoRate, sequential.Counts) {
	if b.MaxRise > 0 {
		return sequential.TwoRate{Rho: 1 + b.MaxRise},
			sequential.Counts{KC: v[Canary].Events, NC: v[Canary].Units, KS: v[Stable].Events, NS: v[Stable].Units}
	}
	return sequential.TwoRate{Rho: 1 / (1 - b.MaxDrop)},
		sequential.Counts{KC: v[Stable].Events, NC: v[Stable].Units, KS: v[Canary].Events, NS: v[Canary].Units}
}

func (j *Judge) accumulateBusiness(t *tally) {
	for i := range j.tests {
		test, s := &j.tests[i], &j.st.Tests[i]
		if test.business == nil {
			continue
		}
		v, ok := t.business[test.metric]
		if !ok {
			continue
		}
		if test.kind == kindMean {
			s.Mean.add(test.business, t, v)
			continue
		}
		h, c := businessTest(test.business, v)
		if c.NC <= 0 || c.NS <= 0 {
			continue
		}
		g := j.guard(test.metric)
		b := &j.seq
		b.inc = sized(b.inc, len(test.lifts))
		h.Increments(b.inc, nil, c, test.lifts, math.Min(0.5, (c.KS+1)/(c.NS+20)))
		s.Step = s.Step.Add(c)
		s.add(b.inc, nil, test.lifts, nil, g)
	}
}

// meanState accumulates a business mean by minute blocks.
type meanState struct {
	Diff  sequential.MeanDiff `json:"diff"`
	Block [2]Count            `json:"block"`
	Since time.Time           `json:"since"`
	Total [2]Count            `json:"total"`
}

// add folds an interval; when a minute is full each track's mean becomes one
// observation. Stable's is scaled by the margin, so that 0 is its edge.
func (m *meanState) add(b *Business, t *tally, v [2]Count) {
	if m.Since.IsZero() {
		m.Since = t.start
	}
	for tr := range v {
		m.Block[tr].Events += v[tr].Events
		m.Block[tr].Units += v[tr].Units
		m.Total[tr].Events += v[tr].Events
		m.Total[tr].Units += v[tr].Units
	}
	if t.end.Sub(m.Since) < time.Minute || m.Block[Canary].Units <= 0 || m.Block[Stable].Units <= 0 {
		return
	}
	margin := 1 - b.MaxDrop
	if b.MaxRise > 0 {
		margin = 1 + b.MaxRise
	}
	m.Diff.AddC(m.Block[Canary].Rate())
	m.Diff.AddS(m.Block[Stable].Rate() * margin)
	m.Block, m.Since = [2]Count{}, t.end
}

// harmed says that the confidence sequence at level 1-alpha lies beyond the margin.
func (m *meanState) harmed(b *Business, alpha float64) bool {
	_, lo, hi := m.Diff.AsympCS(2*alpha, meanBlocks)
	if b.MaxRise > 0 {
		return lo > 0
	}
	return hi < 0
}

// meanBlocks is the number of minute blocks, of both tracks, at which a mean's
// confidence sequence is tightest: half an hour.
const meanBlocks = 60
