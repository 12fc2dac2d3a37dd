// Package replay judges a recorded rollout: the gates are the configuration's,
// the weights are those that the recording shows, and the judge is the one that
// judges live traffic. It is pure: intervals in, looks and an outcome out.
package replay

import (
	"math"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// Step is a step of the rollout: a weight (0..1) and how long it is watched.
type Step struct {
	Weight float64
	Gate   time.Duration
}

// Plan is the rollout that is replayed. Steps without a gate, as the last one
// to 100 %, are not judged.
type Plan struct {
	Steps []Step
	// Deadline ends a rollout that has not been decided; 0 is none.
	Deadline time.Duration
	// RollbackAtDeadline rolls it back then; otherwise it holds.
	RollbackAtDeadline bool
}

// gated are the steps that are judged.
func (p Plan) gated() []Step {
	var steps []Step
	for _, s := range p.Steps {
		if s.Gate > 0 && s.Weight < 1 {
			steps = append(steps, s)
		}
	}
	return steps
}

// Weights are the weights of the steps that are judged.
func (p Plan) Weights() []float64 {
	var w []float64
	for _, s := range p.gated() {
		w = append(w, s.Weight)
	}
	return w
}

// Look is what the judge said after one interval.
type Look struct {
	At      time.Time
	Elapsed time.Duration
	// Step is the index of the step, Weight the share that the recording shows.
	Step   int
	Weight float64
	// Promoted says that the step's gate has passed and that the recording has
	// not yet moved on.
	Promoted bool
	Decision analysis.Decision
	Reason   analysis.Reason
}

// Outcome is the terminal decision of the whole rollout.
type Outcome struct {
	Look
	// Message is one sentence for people.
	Message string
	Verdict analysis.Verdict
	// Ended says that the recording ended, or reached full weight, before a
	// decision.
	Ended bool
}

// Run folds the intervals from start on and calls each for every look, until
// the rollout is decided or the intervals end. A rollback at any look, and a
// promotion of the last step, decide it. A step that the judge promotes goes
// on when the recording's weight rises or, where it never rises again, at once.
// A recording that rises before the judge would have let it takes the judge
// along: what it shows was served.
func Run(judge *analysis.Judge, plan Plan, start time.Time, intervals []analysis.Interval, segments []Segment, each func(Look, *analysis.Judge) error) (Outcome, error) {
	r := &run{judge: judge, plan: plan, steps: plan.gated(), start: start, segments: segments}
	if len(r.steps) == 0 {
		r.steps = []Step{{Gate: 10 * time.Minute}}
	}
	if err := r.begin(0, start); err != nil {
		return Outcome{}, err
	}
	var last Look
	for i := range intervals {
		iv := &intervals[i]
		if !iv.End.After(start) {
			continue
		}
		moved, full, err := r.move(iv)
		if err != nil {
			return Outcome{}, err
		}
		if full {
			break
		}
		if moved {
			r.promoted = false
		}
		if err := judge.Add(iv); err != nil {
			return Outcome{}, err
		}
		decision, reason, _ := judge.Outcome()
		last = Look{At: iv.End, Elapsed: iv.End.Sub(start), Step: r.step, Weight: r.weight(), Promoted: r.promoted, Decision: decision, Reason: reason}
		late := plan.Deadline > 0 && last.Elapsed >= plan.Deadline && decision != analysis.Rollback
		if late && plan.RollbackAtDeadline {
			last.Decision = analysis.Rollback
		}
		if err := each(last, judge); err != nil {
			return Outcome{}, err
		}
		switch {
		case decision == analysis.Rollback:
			return r.outcome(last, false), nil
		case late:
			o := r.outcome(last, false)
			o.Message = "The rollout's deadline came without a decision. " + o.Message
			return o, nil
		case decision == analysis.Promote && r.step == len(r.steps)-1:
			return r.outcome(last, false), nil
		case decision == analysis.Promote:
			r.promoted = true
			if r.segment+1 >= len(r.segments) {
				if err := r.begin(r.step+1, iv.End); err != nil {
					return Outcome{}, err
				}
				r.promoted = false
			}
		}
	}
	if last.Decision == analysis.Promote { // of a step, not of the rollout
		last.Decision, last.Reason = analysis.Continue, analysis.ReasonInsufficientData
	}
	return r.outcome(last, true), nil
}

type run struct {
	judge    *analysis.Judge
	plan     Plan
	steps    []Step
	start    time.Time
	segments []Segment
	segment  int // of the recording
	step     int
	promoted bool
}

func (r *run) weight() float64 {
	if r.segment < len(r.segments) {
		return r.segments[r.segment].Weight
	}
	return 0
}

// begin starts a step with the weight that the recording shows.
func (r *run) begin(step int, at time.Time) error {
	r.step = step
	c := analysis.StepContext{Index: step, Weight: r.weight(), Start: at, Gate: analysis.Duration(r.steps[step].Gate)}
	if step+1 < len(r.steps) {
		c.NextWeight, c.NextGate = r.steps[step+1].Weight, analysis.Duration(r.steps[step+1].Gate)
	}
	return r.judge.Begin(c)
}

// fullWeight is the share from which there is nothing to compare with.
const fullWeight = 0.99

// move follows the recording into its next segment. full says that the canary
// has all the traffic.
func (r *run) move(iv *analysis.Interval) (moved, full bool, err error) {
	for r.segment+1 < len(r.segments) && !r.segments[r.segment+1].Start.After(iv.Start) {
		r.segment++
		moved = true
	}
	if !moved {
		return false, false, nil
	}
	if r.weight() >= fullWeight {
		return true, true, nil
	}
	return true, false, r.begin(r.following(), iv.Start)
}

// following is the step after this one whose weight is nearest to what the
// recording shows; the last step again when it rises beyond the plan.
func (r *run) following() int {
	best := min(r.step+1, len(r.steps)-1)
	distance := func(i int) float64 {
		return math.Abs(math.Log(odds(clamp(r.steps[i].Weight))) - math.Log(odds(clamp(r.weight()))))
	}
	for i := best + 1; i < len(r.steps); i++ {
		if distance(i) < distance(best) {
			best = i
		}
	}
	return best
}

func clamp(w float64) float64 { return min(max(w, 0.001), 0.999) }

func (r *run) outcome(last Look, ended bool) Outcome {
	v := r.judge.Verdict()
	o := Outcome{Look: last, Verdict: v, Message: v.Message, Ended: ended}
	if ended {
		o.Message = "The recording ended before a decision. " + o.Message
	}
	return o
}
