package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// tellWithin is how long a change stays in the status as one that may not have
// been told: what is told leaves the process in batches, every five seconds by
// default.
const tellWithin = 10 * time.Second

// turn is a change of a rollout that is told: of its phase, step or gate.
type turn struct {
	before, after rollout.State
	message       string
	at            time.Time
}

func turns(before, after rollout.State) bool {
	return before.Phase != after.Phase || before.Step != after.Step || before.GateStarted.IsZero() && !after.GateStarted.IsZero()
}

// untold is what the status keeps of the newest changes when now is decided on.
// Those of a former rollout go: its identity is no longer in the status.
func untold(before *v1alpha1.Progress, state, next rollout.State, message string, now time.Time) []v1alpha1.Turn {
	var out []v1alpha1.Turn
	if before != nil && !begins(state, next) {
		for _, t := range before.Untold {
			if now.Sub(t.At.Time) < tellWithin {
				out = append(out, t)
			}
		}
	}
	if turns(state, next) {
		out = append(out, v1alpha1.Turn{
			At: metav1.NewMicroTime(now), Message: cut(message), Phase: string(state.Phase), Step: bounded(state.Step),
			PhaseStarted: microTime(state.PhaseStarted), GateStarted: microTime(state.GateStarted),
		})
	}
	return out[max(0, len(out)-v1alpha1.MaxUntold):]
}

// turnsOf are the changes that the status keeps, as they were decided.
func turnsOf(p *v1alpha1.Progress, now rollout.State) []turn {
	if p == nil {
		return nil
	}
	out := make([]turn, len(p.Untold))
	after := now
	for i := len(out) - 1; i >= 0; i-- {
		kept := p.Untold[i]
		before := now // reason, message and start are the rollout's
		before.Phase, before.Step = rollout.Phase(kept.Phase), int(kept.Step)
		before.PhaseStarted, before.GateStarted = timeOf(kept.PhaseStarted), timeOf(kept.GateStarted)
		if before.Phase == rollout.PhaseIdle || before.Phase.Ended() && after.Phase == rollout.PhaseProgressing {
			before.Attempt-- // this change began the rollout
		}
		out[i] = turn{before: before, after: after, message: kept.Message, at: kept.At.Time}
		after = before
		after.Attempt = now.Attempt
	}
	return out
}

// tellAgainIn is when the status may forget its newest changes; 0 for nothing to
// forget.
func tellAgainIn(p *v1alpha1.Progress, now time.Time) time.Duration {
	if p == nil || len(p.Untold) == 0 {
		return 0
	}
	return max(time.Millisecond, p.Untold[0].At.Add(tellWithin).Sub(now))
}

// retell tells what the process before may have persisted and not told, when
// this process meets the rollout. Spans have the ids and times that they had.
func (t *teller) retell(cr *v1alpha1.CanaryRelease, s *scene) {
	key := client.ObjectKeyFromObject(cr)
	t.mu.Lock()
	met := t.met[key]
	t.met[key] = true
	t.mu.Unlock()
	if met {
		return
	}
	for _, kept := range turnsOf(cr.Status.Progress, s.state) {
		t.turned(cr, s, kept)
	}
}
