package analysis

import (
	"math"
	"time"
)

// windowResults are the plain figures of the sliding window.
func (j *Judge) windowResults() (w windowed, errors *ErrorRateResult, p99 *LatencyResult) {
	w = j.window()
	if w.Requests[Canary] > 0 && w.Requests[Stable] > 0 && j.errorsKnown() {
		c, s := w.Errors[Canary]/w.Requests[Canary], w.Errors[Stable]/w.Requests[Stable]
		errors = &ErrorRateResult{Canary: c, Stable: s, Diff: c - s, Passed: c-s <= j.cfg.ErrorRate.Threshold}
	}
	c, s := w.Latency[Canary].Quantile(0.99), w.Latency[Stable].Quantile(0.99)
	if !math.IsNaN(c) && !math.IsNaN(s) {
		increase := 0.0 // a stable p99 of 0 counts as no increase
		if s > 0 {
			increase = (c - s) / s
		}
		p99 = &LatencyResult{CanaryMS: 1000 * c, StableMS: 1000 * s, IncreasePct: 100 * increase, Passed: increase <= j.cfg.Latency.ThresholdPct}
	}
	return w, errors, p99
}

// decideThreshold is the classic rule: over the sliding window the canary's error
// rate may be errorRate.threshold above stable's and its p99 latency.thresholdPct;
// a failed check rolls back, and when all passed and the canary is old enough it
// is promoted. Inside a gate the age is the time since the step's weight was
// observed, and the gate's length takes the place of minAnalysisMinutes.
// A check without data neither fails nor passes.
func (j *Judge) decideThreshold() outcome {
	if o, stop := j.unasked(); stop {
		return o
	}
	_, errors, p99 := j.windowResults()
	var harm []int
	if errors != nil && !errors.Passed {
		harm = append(harm, 0)
	}
	if p99 != nil && !p99.Passed {
		for i := range j.tests {
			if t := &j.tests[i]; t.kind == kindLatency && t.row < 0 && j.slow[t.slow].q == 0.99 {
				harm = append(harm, i)
			}
		}
	}
	if errors != nil && !errors.Passed || p99 != nil && !p99.Passed {
		return j.blame(harm, "Over the last %s it is beyond the threshold.", j.cfg.Window)
	}
	if off, share := j.trafficOff(); off {
		return j.going(ReasonAttribution, "The canary serves %.1f %% of the requests, its weight is %.1f %%.", 100*share, 100*j.st.Step.Weight)
	}
	for _, name := range j.cfg.Required {
		if name == MetricErrorRate && errors == nil || name == "p99_latency" && p99 == nil {
			return j.going(ReasonUntestable, "%s is required and has no data.", name)
		}
	}
	if errors == nil && p99 == nil {
		return j.going(ReasonUntestable, "No check has data.")
	}
	need := time.Duration(j.st.Step.Gate)
	if need <= 0 {
		need = time.Duration(j.cfg.MinAnalysisMinutes * float64(time.Minute))
	}
	if age := j.stepAge(); age < need {
		return j.going(ReasonInsufficientData, "All checks pass; the canary is %s old, %s are wanted.", Duration(age.Round(time.Second)), Duration(need))
	}
	return outcome{Decision: Promote, Reason: ReasonPassed, Message: "All checks pass.", Upper: 1}
}

// flaggerFailures is how many failed checks roll back: Flagger's usual threshold.
const flaggerFailures = 5

// flaggerLimit is Flagger's usual least success rate, 99 %, as an error rate.
const flaggerLimit = 0.01

// decideFlagger is how Flagger decides, for comparisons: each minute the canary
// alone is held against absolute limits; failed checks are counted and never
// forgotten within the rollout; at the fifth it is rolled back. A minute without any
// series of the canary is a failed check ("no values found"), one in which its series
// stood still is 0/0, which no limit exceeds, and passes. Read from Flagger's
// pkg/controller/scheduler_metrics.go and pkg/metrics/providers/prometheus.go; its
// queries are of meshes and ingresses, here the same counters as for all rules are
// used, and its steps wait here for the gate's end as all others do.
func (j *Judge) decideFlagger(t *tally) outcome {
	m := j.addMinute(t)
	if m == nil {
		return j.st.Outcome
	}
	failed := j.st.Missing[Canary] >= missingAfter || m.Requests[Canary] > 0 && (m.Errors[Canary]/m.Requests[Canary] > flaggerLimit ||
		m.Latency[Canary].Quantile(0.99) > j.cfg.Latency.Limit)
	j.st.Minutes = nil
	if failed {
		j.st.Fails++
	}
	switch {
	case failed && j.st.Fails >= flaggerFailures:
		return j.blame([]int{0}, "Five checks have failed.")
	case !failed && j.stepAge() >= time.Duration(j.st.Step.Gate):
		return outcome{Decision: Promote, Reason: ReasonPassed, Message: "The last check passed.", Upper: 1}
	}
	return j.going(ReasonInsufficientData, "%d of %d failed checks.", j.st.Fails, flaggerFailures)
}

// minute is a minute's counts of both tracks.
type minute struct {
	Since    time.Time           `json:"since"`
	Requests [2]float64          `json:"requests"`
	Errors   [2]float64          `json:"errors"`
	Latency  [2]Histogram        `json:"latency"`
	P99      [2]float64          `json:"p99"` // when full
	Full     bool                `json:"full"`
	Business map[string][2]Count `json:"business,omitempty"`
}

// addMinute folds an interval into the running minute, and returns it when it is
// full, nil otherwise.
func (j *Judge) addMinute(t *tally) *minute {
	n := len(j.st.Minutes)
	if n == 0 || j.st.Minutes[n-1].Full {
		j.st.Minutes = append(j.st.Minutes, minute{Since: t.start, Business: map[string][2]Count{}})
		n++
	}
	m := &j.st.Minutes[n-1]
	for tr := range t.requests {
		m.Requests[tr] += t.requests[tr]
		m.Errors[tr] += t.errors[tr]
		m.Latency[tr].Add(&t.latency[tr])
	}
	for name, v := range t.business {
		have := m.Business[name]
		for tr := range v {
			have[tr].Events += v[tr].Events
			have[tr].Units += v[tr].Units
		}
		m.Business[name] = have
	}
	if t.end.Sub(m.Since) < time.Minute {
		return nil
	}
	m.Full = true
	return m
}
