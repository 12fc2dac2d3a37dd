package analysis

import (
	"math"
	"time"
)

// StepPlan is what a step can find, told before it starts.
type StepPlan struct {
	Index int `json:"index"`
	// Requests are those of the canary that the gate will see.
	Requests float64 `json:"requests"`
	// TimeToMinRequests is how long the canary needs to serve minRequests.
	TimeToMinRequests Duration `json:"timeToMinRequests"`
	// StableErrorRate is the history's, DetectableErrorRate the smallest of the
	// canary's that is found within the gate, in the mean; 1: not even a total
	// failure is.
	StableErrorRate     float64 `json:"stableErrorRate"`
	DetectableErrorRate float64 `json:"detectableErrorRate"`
	// TimeToDouble is how long a doubled error rate takes to be found; 0: never,
	// it is within the margin.
	TimeToDouble Duration `json:"timeToDouble"`
	// Enough is, per latency metric, how long its minimum of samples takes.
	Enough map[string]Duration `json:"enough,omitempty"`
}

// longest bounds what a plan calls a duration.
const longest = 365 * 24 * time.Hour

// Plan says what each step can find and when it has enough data, from the
// history alone, at the service's request rate and without noise beyond chance.
// Without history all durations are 0 and nothing is promised.
func Plan(cfg Config, frozen Frozen, steps []StepContext) ([]StepPlan, error) {
	j, err := New(cfg, frozen, Options{})
	if err != nil {
		return nil, err
	}
	test := j.planOf(0)
	var out []StepPlan
	for _, s := range steps {
		rate := frozen.RequestRate * s.Weight
		p := StepPlan{Index: s.Index, Requests: rate * time.Duration(s.Gate).Seconds(), StableErrorRate: frozen.Pool, DetectableErrorRate: 1}
		if rate > 0 {
			in := func(requests float64) Duration {
				return Duration(math.Min(requests/rate*1e9, float64(longest))).rounded()
			}
			p.TimeToMinRequests = in(float64(cfg.MinRequests))
			p.DetectableErrorRate = test.Detectable(p.Requests, frozen.Pool)
			if units := test.Units(2*frozen.Pool, frozen.Pool); !math.IsInf(units, 1) {
				p.TimeToDouble = in(units)
			}
			p.Enough = map[string]Duration{}
			for _, m := range j.slow {
				p.Enough[m.name] = in(m.minUnits())
			}
		}
		out = append(out, p)
	}
	return out, nil
}

func (d Duration) rounded() Duration { return Duration(time.Duration(d).Round(time.Second)) }
