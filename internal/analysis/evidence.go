package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// intervalLevel is the coverage of the intervals that checks show.
const intervalLevel = 0.95

// quantileSample is the size of a sample of which 95 % have something beyond the
// q-quantile: ln 0.05 / ln q. 299 for 0.99, 2,995 for 0.999.
func quantileSample(q float64) float64 { return math.Ceil(math.Log(0.05) / math.Log(q)) }

// Verdict says what is known after the newest interval.
func (j *Judge) Verdict() Verdict {
	o := &j.st.Outcome
	v := Verdict{
		SchemaVersion: SchemaVersion,
		Decision:      o.Decision,
		Reason:        o.Reason,
		Message:       o.Message,
		Rule:          j.cfg.Rule,
		At:            j.st.Last,
		Step:          j.st.Step,
		Problems:      slices.Clone(j.st.Problems),
		Checks:        make([]Check, 0, len(j.tests)),
	}
	if j.st.Begun && j.st.Last.After(j.st.Step.Start) {
		v.DurationMinutes = j.stepAge().Minutes()
	}
	for i := range j.tests {
		v.Checks = append(v.Checks, j.check(i))
	}
	v.Attributed = j.attributed()
	v.Excess = j.excesses()
	v.Results = j.results(v.Checks)
	slices.SortStableFunc(v.Checks, func(a, b Check) int {
		return cmp.Or(cmp.Compare(stateRank(a.State), stateRank(b.State)), cmp.Compare(b.LogEvidence, a.LogEvidence))
	})
	if j.cfg.Rule == RuleSequential {
		v.Evidence = j.summary()
	}
	return v
}

func stateRank(s CheckState) int {
	return slices.Index([]CheckState{CheckFailed, CheckInconclusive, CheckUntestable, CheckNoData, CheckPassed}, s)
}

// results are the plain figures of the window. Passed is the rule's word: with the
// sequential rule a comparison passes unless it is what the harm was traced to.
func (j *Judge) results(checks []Check) Results {
	_, errors, p99 := j.windowResults()
	if j.cfg.Rule == RuleThreshold {
		j.settleThreshold(checks, errors, p99)
	} else {
		for i := range checks {
			c := &checks[i]
			if c.Route != "" {
				continue
			}
			passed := c.State == CheckPassed || c.State == CheckInconclusive
			if c.Metric == MetricErrorRate && errors != nil {
				errors.Passed = passed
			}
			if c.Metric == "p99_latency" && p99 != nil {
				p99.Passed = passed
			}
		}
	}
	return Results{ErrorRate: errors, P99Latency: p99}
}

// settleThreshold gives the two checks that the threshold rule judges its word for
// them: what the sequential tests need does not matter to it.
func (j *Judge) settleThreshold(checks []Check, errors *ErrorRateResult, p99 *LatencyResult) {
	for i := range checks {
		c := &checks[i]
		judged := c.Metric == MetricErrorRate && errors != nil && errors.Passed || c.Metric == "p99_latency" && p99 != nil && p99.Passed
		if c.Route == "" && judged {
			c.State, c.Passed, c.Needed, c.Note = CheckPassed, true, 0, ""
		}
	}
}

// summary is the evidence of all checks together.
func (j *Judge) summary() *Evidence {
	e := &Evidence{
		E: j.st.Outcome.E, Limit: 1 / j.cfg.Alpha,
		ExcessUpper: j.st.Outcome.Upper, ExcessLimit: j.st.Outcome.Limit,
		Look: j.st.Looks, Guard: j.st.Guards,
	}
	if n := j.st.StepRequests[Canary] + j.st.StepRequests[Stable]; n > 0 {
		e.TrafficShare = j.st.StepRequests[Canary] / n
		if left := j.extended() - j.stepAge(); left > 0 && j.st.StepSeconds > 0 {
			units := j.st.StepRequests[Canary] / j.st.StepSeconds * left.Seconds()
			e.DetectableErrorRate = j.planOf(0).Detectable(units, j.st.Rate.value(j.pool()))
		}
	}
	return e
}

// planOf is the plan of a test whose size of evidence is its weight's.
func (j *Judge) planOf(i int) sequential.Plan {
	t := &j.tests[i]
	h, _ := j.null(i)
	if t.kind == kindErrors {
		h = j.errorTest()
	}
	return sequential.Plan{TwoRate: h, Threshold: math.Log(1 / (j.cfg.Alpha * t.weight)), Sizes: len(t.lifts)}
}

// testable says whether a test can answer: CheckPassed if so, otherwise why not
// and how many more of the canary's units would do (0: none would).
func (j *Judge) testable(i int) (state CheckState, why string, needed float64) {
	t, s := &j.tests[i], &j.st.Tests[i]
	switch t.kind {
	case kindErrors:
		if !j.errorsKnown() {
			return CheckNoData, "there is no errors series, and none was ever seen: emit errors as 0, or set errorsAbsent: zero", 0
		}
	case kindLatency:
		if why, open := j.latencyWhy(t); why != "" {
			return CheckUntestable, why, open
		}
		if need := j.slow[t.slow].minUnits(); s.Step.NC < need {
			return CheckInconclusive, fmt.Sprintf("%.0f of %.0f requests that this quantile needs", s.Step.NC, need), need - s.Step.NC
		}
	default:
		n := s.Step.NC
		if t.business.MaxDrop > 0 {
			n = s.Step.NS
		}
		if t.kind == kindMean {
			n = s.Mean.Total[Canary].Units
		}
		need := math.Max(1, float64(t.business.MinSamples))
		if n == 0 {
			return CheckNoData, "its series are missing on a track, or did not move", need
		}
		if n < need {
			return CheckInconclusive, fmt.Sprintf("%.0f of %.0f samples", n, need), need - n
		}
	}
	if t.kind != kindMean && (s.Step.NC == 0 || s.Step.NS == 0) {
		return CheckNoData, "no requests on one track", float64(j.cfg.MinRequests)
	}
	return CheckPassed, "", 0
}

// latencyWhy says why a latency test cannot be tested; more than 0 if it may
// still become so.
func (j *Judge) latencyWhy(t *test) (string, float64) {
	if t.row >= 0 {
		switch b := &j.bounds[t.slow][t.row]; b.State {
		case boundNone:
			return b.Why, 0
		case boundOpen:
			return "the canary has shown no histogram yet", j.slow[t.slow].minUnits()
		}
		return "", 0
	}
	why, open := "", 0.0
	for r := range j.bounds[t.slow] {
		b := &j.bounds[t.slow][r]
		switch b.State {
		case boundChosen:
			return "", 0
		case boundOpen:
			why, open = "the canary has shown no histogram yet", j.slow[t.slow].minUnits()
		default:
			if why == "" {
				why = b.Why
			}
		}
	}
	return why, open
}

// check is a test's evidence.
func (j *Judge) check(i int) Check {
	t, s := &j.tests[i], &j.st.Tests[i]
	c := Check{
		Metric:   t.metric,
		Required: t.row < 0 && slices.Contains(j.cfg.Required, t.metric),
		Window:   Window{From: j.st.Step.Start, To: j.st.Last},
		Query:    j.opts.Queries[queryName(t)],
	}
	if t.row >= 0 {
		c.Route = j.rowName(t.row)
	}
	c.Counts = j.counts(t, s)
	c.N = c.Counts.Canary.Units
	c.Margin = j.margin(t)
	if t.kind == kindLatency && t.row >= 0 {
		c.Bound = j.bounds[t.slow][t.row].Seconds
	}
	if c.Counts.Canary.Units > 0 && c.Counts.Stable.Units > 0 {
		kc, ks := c.Counts.Canary.Rate(), c.Counts.Stable.Rate()
		c.Estimate = &Estimate{Canary: kc, Stable: ks, Diff: kc - ks}
		c.Interval = j.interval(t, s, &c)
	}
	if e := j.e(i); e > 0 {
		c.LogEvidence = math.Round(1e6*math.Log(e)) / 1e6
	}
	c.State, c.Note, c.Needed = j.testable(i)
	if c.Needed == 0 && j.st.Requests[Canary] < float64(j.cfg.MinRequests) {
		c.Needed = float64(j.cfg.MinRequests) - j.st.Requests[Canary]
	}
	j.settle(i, &c)
	c.Passed = c.State == CheckPassed
	return c
}

// settle decides the state of a check that can be tested.
func (j *Judge) settle(i int, c *Check) {
	t := &j.tests[i]
	switch {
	case slices.Contains(j.st.Outcome.Attributed, i):
		c.State = CheckFailed
	case c.State != CheckPassed:
	case j.cfg.Rule == RuleThreshold:
	case c.Needed > 0:
		c.State = CheckInconclusive
	case c.LogEvidence > math.Log(suspicion):
		c.State, c.Note = CheckInconclusive, "there is some evidence of harm"
	case j.cfg.Rule == RuleSequential && j.st.Tests[i].e() > suspicion && j.st.Agreement[i]*suspicion < 1:
		_, pod := j.agreement(t)
		c.Note = fmt.Sprintf("nearly all evidence of harm is of one of the canary's pods, %s; the version runs on all of them", pod)
	case j.cfg.Rule == RuleSequential && t.kind != kindMean && j.st.Tests[i].Disc.Log() > 0 && j.st.Tests[i].Mix.E() > suspicion:
		c.Note = "stable's own pods differ so much that an unlucky one looks like this"
	case i == 0 && j.cfg.Rule == RuleSequential && !j.st.Outcome.Passed && j.st.Outcome.Decision == Continue:
		c.State, c.Note = CheckInconclusive, "an excess of errors is not yet excluded"
	}
}

func queryName(t *test) string {
	switch t.kind {
	case kindErrors:
		return "errors"
	case kindLatency:
		return "latency"
	}
	return t.metric
}

// counts are a test's counts of the step as they were counted.
func (j *Judge) counts(t *test, s *testState) Counts {
	switch {
	case t.kind == kindMean:
		return Counts{Canary: s.Mean.Total[Canary], Stable: s.Mean.Total[Stable]}
	case t.kind == kindRatio && t.business.MaxDrop > 0: // the roles are swapped in the test
		return Counts{Canary: Count{s.Step.KS, s.Step.NS}, Stable: Count{s.Step.KC, s.Step.NC}}
	case t.kind == kindErrors && t.row < 0:
		return Counts{Canary: Count{j.st.StepErrors[Canary], j.st.StepRequests[Canary]}, Stable: Count{j.st.StepErrors[Stable], j.st.StepRequests[Stable]}}
	}
	return Counts{Canary: Count{s.Step.KC, s.Step.NC}, Stable: Count{s.Step.KS, s.Step.NS}}
}

func (j *Judge) margin(t *test) Margin {
	switch t.kind {
	case kindErrors:
		m := j.cfg.ErrorRate.Margin
		return Margin{1 + m.Relative, m.Absolute}
	case kindLatency:
		if t.row >= 0 {
			return Margin{Relative: j.bounds[t.slow][t.row].Ratio}
		}
		return Margin{Relative: j.latencyRatio(t.slow)}
	}
	if t.business.MaxRise > 0 {
		return Margin{Relative: 1 + t.business.MaxRise}
	}
	return Margin{Relative: 1 - t.business.MaxDrop}
}

// interval is the confidence sequence of the difference of rates: each arm's at
// half the error, on counts divided by the guard's dispersion.
func (j *Judge) interval(t *test, s *testState, c *Check) *Bounds {
	alpha := 1 - intervalLevel
	if t.kind == kindMean {
		diff, lo, hi := s.Mean.Diff.AsympCS(alpha, meanBlocks)
		if math.IsInf(lo, 0) {
			return nil
		}
		shift := c.Estimate.Diff - diff
		return &Bounds{Low: lo + shift, High: hi + shift, Level: intervalLevel}
	}
	phi := j.guard(t.metric).Phi
	cl, ch := sequential.RateCS(c.Counts.Canary.Events/phi, c.Counts.Canary.Units/phi, alpha/2)
	sl, sh := sequential.RateCS(c.Counts.Stable.Events/phi, c.Counts.Stable.Units/phi, alpha/2)
	return &Bounds{Low: cl - sh, High: ch - sl, Level: intervalLevel}
}
