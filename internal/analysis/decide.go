package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

const (
	// suspicion is the e-value above which no step is promoted: at 5 to 1 for
	// harm it is worth to wait.
	suspicion = 5
	// innocence is the e-value below which a noisy service may go on after its
	// gate's extension although its excess is not bounded: evidence is for it.
	innocence = 1
	// afterExtension is how long after the extension's end a step may still be
	// decided before it is called inconclusive.
	afterExtension = 5 * time.Minute
	// waitForRequests is how long a step may last while requests are too few.
	waitForRequests = time.Hour
	// missingAfter is how many intervals without any series make a track missing:
	// a minute of scrapes.
	missingAfter = 4
	// luckLimit is the e-value up to which a step whose pods can say no more goes on
	// to one with more pods, which will say within minutes: half the usual limit.
	luckLimit = 50
	// lookSupport is the e-value of its own that a test needs to fail at a planned
	// look, interimSupport at an interim one. Counts of a step do not tell a
	// lasting harm from one burst of one pod; evidence capped per scrape does. Of
	// 905 simulated harms these found the same ones as looks without it; of 720
	// harmless rollouts with bursts or few pods they rolled back 14, not 20.
	lookSupport    = 2
	interimSupport = 1
	// equivalence is the z-value at which a planned look bounds the excess:
	// one-sided 1.25 %.
	equivalence = 2.24
	// stableTimes is by how much stable's error rate must exceed its own past,
	// beside StableLimit, for stable to be called ill.
	stableTimes = 5
)

func (j *Judge) going(r Reason, format string, args ...any) outcome {
	o := outcome{Decision: Continue, Reason: r, Message: fmt.Sprintf(format, args...), Upper: 1}
	return o
}

// unasked returns the outcome of samples that no rule may judge, and true.
func (j *Judge) unasked() (outcome, bool) {
	switch {
	case j.st.Missing[Canary] > 0 && j.st.Requests[Canary] == 0 && j.st.Missing[Canary] < missingAfter:
		return j.going(ReasonInsufficientData, "No series of the canary yet."), true
	case j.st.Missing[Canary] >= missingAfter:
		return j.going(ReasonAttribution, "The canary's series are missing: is it running, and does its telemetry carry the track or version that is asked for?"), true
	case j.st.Missing[Stable] >= missingAfter:
		return j.going(ReasonAttribution, "Stable's series are missing: there is nothing to compare the canary with. Does its telemetry carry the track or version that is asked for?"), true
	}
	if min := float64(j.cfg.MinRequests); j.st.Requests[Canary] < min {
		if j.stepAge() >= max(j.extended(), waitForRequests) {
			return j.going(ReasonInconclusive, "The canary has served %.0f requests in %s; %.0f are needed before any verdict.", j.st.Requests[Canary], Duration(j.stepAge().Round(time.Second)), min), true
		}
		return j.going(ReasonInsufficientData, "The canary has served %.0f of the %.0f requests that any verdict needs.", j.st.Requests[Canary], min), true
	}
	w := j.window()
	if w.Requests[Stable] == 0 {
		return j.going(ReasonInsufficientData, "Stable has served no requests in the last %s: there is nothing to compare the canary with.", j.cfg.Window), true
	}
	if sick := w.Errors[Stable] / w.Requests[Stable]; j.cfg.StableLimit > 0 && j.errorsKnown() &&
		sick >= max(j.cfg.StableLimit, stableTimes*j.frozen.Pool) && w.Errors[Stable] >= 5 {
		return j.going(ReasonStableUnhealthy, "Stable itself fails %.1f %% of its requests: the canary is not judged while it does.", 100*sick), true
	}
	return outcome{}, false
}

// stepAge is the time since the step's weight was observed.
func (j *Judge) stepAge() time.Duration { return j.st.Last.Sub(j.st.Step.Start) }

// extended is the gate's length with its extension.
func (j *Judge) extended() time.Duration {
	return time.Duration(float64(j.st.Step.Gate) * j.cfg.Extend)
}

// evidence is the weighted mean of the e-values.
func (j *Judge) evidence() float64 {
	e, spent := 0.0, 0.0
	for i := range j.tests {
		w := j.tests[i].weight
		e += w * j.e(i)
		spent += w
	}
	return e + math.Max(0, 1-spent)
}

// decideSequential is the decision after an interval.
func (j *Judge) decideSequential() outcome {
	e := j.evidence()
	o, stop := j.unasked()
	if stop {
		o.E = e
		return o
	}
	o = j.judgeEvidence(e)
	o.E = e
	return o
}

func (j *Judge) judgeEvidence(e float64) outcome {
	if e >= 1/j.cfg.Alpha {
		odds := fmt.Sprintf("%.0f", e)
		if e > 1e6 {
			odds = "more than a million"
		}
		return j.blame(j.blameEvidence(), "The evidence of harm is %s to 1; %.0f to 1 is the limit.", odds, 1/j.cfg.Alpha)
	}
	for i := range j.tests {
		t := &j.tests[i]
		if t.kind == kindMean && j.st.Tests[i].Mean.harmed(t.business, j.cfg.Alpha*t.weight) {
			return j.blame([]int{i}, "The mean of %s is beyond its margin.", t.metric)
		}
	}
	before := j.st.Looks
	if alpha := j.planLook(); alpha > 0 {
		if harm := j.look(alpha, j.st.Looks == before); len(harm) > 0 {
			return j.blame(harm, "A planned look at the step's counts found harm.")
		}
	}
	if off, share := j.trafficOff(); off {
		return j.going(ReasonAttribution, "The canary serves %.1f %% of the requests, its weight is %.1f %%: the comparison may be of different requests (sticky sessions, a route in between, or version labels that do not tell the tracks apart).", 100*share, 100*j.st.Step.Weight)
	}
	return j.maybePromote(e, j.st.Looks > before)
}

// interimLooks are fractions of the gate at which a first look is taken: the
// capped evidence of the e-processes needs several scrapes, and these find a
// gross failure of a small route without waiting for the gate's end.
var interimLooks = []float64{0.1, 0.15, 0.2, 0.3, 0.4, 0.5}

// interimShare is what each interim look may spend, as a share of Looks.Gate,
// and finalShare what is left for the gate's end itself.
const (
	interimShare = 0.1 / 6
	finalShare   = 0.9
)

// planLook says what error probability a look may spend now, 0 if none is due.
func (j *Judge) planLook() float64 {
	age := j.stepAge()
	gate := time.Duration(j.st.Step.Gate)
	switch {
	case gate <= 0:
		return 0
	case j.st.Looks == 1 && age >= j.extended():
		j.st.Looks = 2
		return j.cfg.Looks.Extension
	case j.st.Looks == 0 && age >= gate:
		j.st.Looks = 1
		return j.cfg.Looks.Gate * finalShare
	case j.st.Looks > 0:
		return 0
	}
	due := 0.0
	for j.st.Interim < len(interimLooks) && age >= time.Duration(interimLooks[j.st.Interim]*float64(gate)) {
		j.st.Interim++
		due = j.cfg.Looks.Gate * interimShare
	}
	return due
}

// look is a planned look at the step's counts: every test at its share of alpha.
// It returns those that failed, the clearest first, and then the routes that the
// same counts point to.
func (j *Judge) look(alpha float64, interim bool) []int {
	support := float64(lookSupport)
	if interim {
		support = interimSupport
	}
	ps := make([]float64, len(j.tests))
	var harm []int
	for i := range j.tests {
		t := &j.tests[i]
		ps[i] = j.lookP(i, interim)
		if ps[i] <= alpha*t.weight && j.e(i) >= support {
			harm = append(harm, i)
		}
	}
	if len(harm) == 0 {
		return nil
	}
	slices.SortStableFunc(harm, func(a, b int) int { return cmp.Compare(ps[a]/j.tests[a].weight, ps[b]/j.tests[b].weight) })
	return j.withRoutes(harm, func(routes []int) []int {
		own := make([]float64, len(routes))
		for k, i := range routes {
			own[k] = ps[i]
		}
		return sequential.BH(own, attributionRate)
	})
}

func (j *Judge) lookP(i int, interim bool) float64 {
	t, c := &j.tests[i], j.st.Tests[i].Step
	h, ok := j.null(i)
	if !ok {
		return 1
	}
	g := j.guard(t.metric)
	phi := g.Gate
	if interim {
		phi = g.Short
	}
	return h.LookPSpread(c, phi, j.spreadOfStep(t))
}

// null is the hypothesis of a test, and false when it cannot be tested.
func (j *Judge) null(i int) (sequential.TwoRate, bool) {
	t := &j.tests[i]
	switch t.kind {
	case kindErrors:
		return j.errorTest(), j.errorsKnown()
	case kindLatency:
		if t.row < 0 {
			r := j.latencyRatio(t.slow)
			return sequential.TwoRate{Rho: r}, r > 1
		}
		b := j.bounds[t.slow][t.row]
		return sequential.TwoRate{Rho: b.Ratio}, b.State == boundChosen
	case kindRatio:
		h, _ := businessTest(t.business, [2]Count{})
		return h, true
	}
	return sequential.TwoRate{}, false
}

// trafficOff says whether the canary's share of the step's requests is off its
// weight: beyond tolerance over the step with an e-value that decides, and still
// so in the sliding window.
func (j *Judge) trafficOff() (bool, float64) {
	w := j.st.Step.Weight
	win := j.window()
	n := win.Requests[Canary] + win.Requests[Stable]
	if n <= 0 {
		return false, 0
	}
	share := win.Requests[Canary] / n
	if w <= 0 || w >= 1 || !j.cfg.Traffic.Check {
		return false, share
	}
	lo := w * (1 - j.cfg.Traffic.Tolerance)
	hi := min(w*(1+j.cfg.Traffic.Tolerance), 1-(1-w)*(1-j.cfg.Traffic.Tolerance))
	if share >= lo && share <= hi {
		return false, share
	}
	return sequential.ShareE(j.st.StepRequests[Canary], j.st.StepRequests[Stable], lo, hi) >= math.Log(1/j.cfg.Alpha), share
}

// maybePromote asks for what a promotion needs: time, data for the required
// checks, no suspicion, and a bound on the excess error rate.
func (j *Judge) maybePromote(e float64, looked bool) outcome {
	upper := j.excessUpper(looked)
	limit := j.excessLimit()
	o := outcome{Decision: Continue, Upper: upper, Limit: limit, Passed: upper <= limit}
	age, gate := j.stepAge(), time.Duration(j.st.Step.Gate)
	say := func(r Reason, format string, args ...any) outcome {
		o.Reason, o.Message = r, fmt.Sprintf(format, args...)
		return o
	}
	if age < gate {
		return say(ReasonInsufficientData, "No sign of harm so far; the gate lasts until %s.", j.st.Step.Start.Add(gate).UTC().Format(time.RFC3339))
	}
	if name, why, short := j.requiredMissing(); name != "" {
		if short && age < j.extended()+afterExtension {
			return say(ReasonInsufficientData, "%s is required: %s.", name, why)
		}
		if short {
			return say(ReasonInconclusive, "%s is required: %s, and the gate's extension is over.", name, why)
		}
		return say(ReasonUntestable, "%s is required and cannot be tested: %s.", name, why)
	}
	switch {
	case e < suspicion && upper <= limit:
		o.Decision = Promote
		return say(ReasonPassed, "%s", noHarm(upper, limit))
	case e < innocence && age >= j.extended():
		o.Decision = Promote
		return say(ReasonPassed, "No harm found after the extension; the excess of errors cannot be bounded better than %s.", percent(upper))
	case e < luckLimit && j.exhausted():
		o.Decision = Promote
		return say(ReasonPassed, "The canary's %d pods are no worse than unlucky ones of stable may be, and longer watching of the same pods would not tell: the next step has more of them.", j.st.Pods)
	case age >= j.extended()+afterExtension:
		return say(ReasonInconclusive, "The gate and its extension are over, and neither harm nor its absence is shown: the evidence is %.2g to 1.", e)
	case e >= suspicion:
		return say(ReasonInsufficientData, "Evidence of harm is %.2g to 1: the gate is extended.", e)
	}
	return say(ReasonInsufficientData, "An excess of errors of %s is not yet excluded (%s allowed): the gate is extended.", percent(upper), percent(limit))
}

// exhausted says that the step's pods have told what they can: what is unknown of
// their error rate by chance (1/events) is less than by the luck of the draw of
// pods (Spread), and a step with more of them follows.
func (j *Judge) exhausted() bool {
	g := j.guard(MetricErrorRate)
	events := j.aggregate(MetricErrorRate).Step.KC / g.Gate
	spread := j.spreadOfStep(&j.tests[0]).Sigma
	return spread > 0 && events*spread*spread >= 1 && j.st.Step.NextWeight > j.st.Step.Weight
}

// noHarm names the bound on the excess where there is one: with few requests all
// of them may fail for less than the error budget.
func noHarm(upper, limit float64) string {
	text := "No harm found; an excess of errors is at most " + percent(upper)
	if limit < 1 {
		text += fmt.Sprintf(" (%s allowed)", percent(limit))
	}
	return text + "."
}

func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }

// excessUpper bounds canary - stable of the error rate.
func (j *Judge) excessUpper(looked bool) float64 {
	if !j.errorsKnown() {
		return 1
	}
	s := j.aggregate(MetricErrorRate)
	var also func(float64) bool
	if looked {
		g := j.guard(MetricErrorRate)
		also = func(du float64) bool {
			return sequential.TwoRate{Rho: 1, Delta: du}.SignedRoot(s.Step, g.Gate) >= equivalence
		}
	}
	return j.st.NI.Upper(j.cfg.Beta, also)
}

// excessLimit is the excess that a promotion allows: half a percentage point,
// half of stable's own rate, or what costs the next step its error budget. A next
// step without a gate is taken to last as long as this one.
func (j *Judge) excessLimit() float64 {
	ls := j.st.Rate.value(j.pool())
	weight, gate := j.st.Step.NextWeight, time.Duration(j.st.Step.NextGate)
	if weight <= 0 {
		weight, gate = 1, 10*time.Minute
	}
	if gate <= 0 {
		gate = time.Duration(j.st.Step.Gate) // it serves requests all the same
	}
	next := 0.0
	if j.st.StepSeconds > 0 {
		next = (j.st.StepRequests[Canary] + j.st.StepRequests[Stable]) / j.st.StepSeconds * weight * gate.Seconds()
	}
	return max(0.005, 0.5*ls, j.cfg.ErrorBudget/max(next, 1))
}

// requiredMissing names the first required check without an answer: short says
// that more data will help.
func (j *Judge) requiredMissing() (name, why string, short bool) {
	for _, name := range j.cfg.Required {
		for i := range j.tests {
			if t := &j.tests[i]; t.metric == name && t.row < 0 {
				if state, why, needed := j.testable(i); state != CheckPassed {
					return name, why, needed > 0
				}
			}
		}
	}
	return "", "", false
}

func (j *Judge) rowName(r int) string {
	if j.rows[r] == "" {
		return "(no route)"
	}
	return j.rows[r]
}
