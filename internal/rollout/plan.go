// Package rollout decides what a progressive rollout does next. It is pure: the
// plan, what was persisted, what is observed and the time go in, one action and
// the state to persist come out of [Decide]. Whether weights are an HTTPRoute's
// or a local proxy's, and where the state is kept, is the caller's affair.
//
// The caller's loop is: observe, Decide, persist Action.State, do the action,
// again. The state is persisted before the action is done, so that a caller
// that dies in between does it again after its restart; every action is
// idempotent.
package rollout

import (
	"fmt"
	"time"
)

// Step is one stage of the rollout.
type Step struct {
	// Weight is the percent of the traffic that the canary gets, 1 to 100. 0 is a
	// dark canary: it has its pods, and only testers reach it, by a rule of the
	// route that is theirs. It can only be first.
	Weight int
	// Gate is how long the analysis watches before the next step; 0 = no gate. A
	// dark canary has no users to be judged by: there it is a time to wait.
	Gate     time.Duration
	Approval bool // a person must approve before the next step
}

// Judged reports whether the analysis has a say in the step.
func (s Step) Judged() bool { return s.Gate > 0 && s.Weight > 0 }

// Policy says what to do when the analysis cannot decide.
type Policy string

// The policies.
const (
	PolicyRollback Policy = "rollback"
	PolicyHold     Policy = "hold"
)

// Plan is what the user asked for.
type Plan struct {
	// Steps rise in weight and end at 100.
	Steps []Step
	// Deadline bounds the whole rollout; a rollout that has not reached 100 by
	// then follows OnInconclusive.
	Deadline       time.Duration
	OnInconclusive Policy
	// PromoteTimeout bounds how long stable may take to become ready in the
	// canary's version.
	PromoteTimeout time.Duration
}

// DefaultSteps are the spec's: 5 % and 25 % for ten minutes each, 50 % for
// fifteen, then everything.
func DefaultSteps() []Step {
	return []Step{{5, 10 * time.Minute, false}, {25, 10 * time.Minute, false}, {50, 15 * time.Minute, false}, {100, 0, false}}
}

// Defaults of a plan. Two hours leave room for each gate of the default steps
// to be extended to twice its length.
const (
	DefaultDeadline       = 2 * time.Hour
	DefaultPromoteTimeout = 10 * time.Minute
)

// WithDefaults fills what the user left out.
func (p Plan) WithDefaults() Plan {
	if len(p.Steps) == 0 {
		p.Steps = DefaultSteps()
	}
	if p.Deadline == 0 {
		p.Deadline = DefaultDeadline
	}
	if p.OnInconclusive == "" {
		p.OnInconclusive = PolicyRollback
	}
	if p.PromoteTimeout == 0 {
		p.PromoteTimeout = DefaultPromoteTimeout
	}
	return p
}

// Validate names the field and the value that cannot be.
func (p Plan) Validate() error {
	if len(p.Steps) == 0 {
		return fmt.Errorf("steps: want at least one")
	}
	last := -1
	for i, s := range p.Steps {
		switch {
		case s.Weight < 0 || s.Weight > 100:
			return fmt.Errorf("steps[%d].weight: %d: want 0 to 100", i, s.Weight)
		case s.Weight <= last:
			return fmt.Errorf("steps[%d].weight: %d: want more than the %d of the step before", i, s.Weight, last)
		case s.Gate < 0:
			return fmt.Errorf("steps[%d].gate: %s: want a duration of 0 or more", i, s.Gate)
		}
		last = s.Weight
	}
	if last != 100 {
		return fmt.Errorf("steps[%d].weight: %d: the last step must be 100", len(p.Steps)-1, last)
	}
	var gates time.Duration
	for _, s := range p.Steps {
		gates += s.Gate
	}
	switch {
	case p.Deadline <= gates:
		return fmt.Errorf("deadline: %s: want more than the %s of all gates", p.Deadline, gates)
	case p.OnInconclusive != PolicyRollback && p.OnInconclusive != PolicyHold:
		return fmt.Errorf("onInconclusive: %q: want %q or %q", p.OnInconclusive, PolicyRollback, PolicyHold)
	case p.PromoteTimeout <= 0:
		return fmt.Errorf("promoteTimeout: %s: want a duration above 0", p.PromoteTimeout)
	}
	return nil
}
