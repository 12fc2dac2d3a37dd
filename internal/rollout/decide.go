package rollout

import (
	"fmt"
	"math"
	"time"
)

// Kind is what an action does.
type Kind string

// The kinds of action.
const (
	// ActWait does nothing. The caller comes back when something changes, at the
	// latest at Action.Until.
	ActWait Kind = "wait"
	// ActScaleCanary gives the canary Action.Replicas.
	ActScaleCanary Kind = "scaleCanary"
	// ActSetWeight gives the canary Action.Weight percent of the traffic.
	ActSetWeight Kind = "setWeight"
	// ActPromote upgrades stable to the canary's version.
	ActPromote Kind = "promote"
	// ActWebhook calls the webhooks of Action.Stage.
	ActWebhook Kind = "webhook"
	// ActNext persists the state and decides again: a phase or step began or ended.
	ActNext Kind = "next"
	// ActRelease lets a resource go that is being deleted.
	ActRelease Kind = "release"
)

// Action is the one thing to do next, and the state to persist before it is done.
type Action struct {
	Kind     Kind
	Weight   int
	Replicas int32
	Stage    Stage
	// Until is when to look again at the latest; zero = when something changes.
	Until time.Time
	// Reason and Message say why, for people.
	Reason  Reason
	Message string
	State   State
}

// MaxReasserts is how often a changed route is set back within a step before it
// is left to whoever else wants it: a person's one edit is mended, another
// controller is not fought.
const MaxReasserts = 5

// MaxResizes is how often a canary that somebody else scales down within a step
// is given its pods again: an autoscaler that wants fewer is not fought for ever.
const MaxResizes = 5

// lostAfter is how long a canary with traffic may be without a ready pod: a
// restart of its only pod passes in less.
const lostAfter = 30 * time.Second

// recheck is when a wait ends at the latest that only events should end: a
// lost event delays a rollout by this, and is never more than that.
const recheck = 30 * time.Second

// settle is how long a rollback keeps the canary's pods for a data plane that
// has not yet said that it took the weight 0.
const settle = time.Minute

// Decide returns the next action. It never returns an action that raises the
// canary's weight other than to that of the current step, none that raises it
// beyond what the canary has pods for, and once a rollback has begun none but
// those that end it.
func Decide(p Plan, s State, o Observation) Action {
	d := decider{plan: p.WithDefaults(), state: s, seen: o}
	switch {
	case o.Deleting:
		return d.delete()
	case s.Phase == PhaseIdle || s.Phase.Ended():
		return d.idle()
	case s.Phase == PhaseRollingBack:
		return d.rollBack()
	case o.Abort:
		return d.beginRollback(ReasonAborted, "aborted by a person")
	case o.Template != s.Template && s.Phase == PhaseProgressing:
		return d.beginRollback(ReasonSuperseded, "a new canary version arrived: starting over")
	case s.Phase == PhaseProgressing:
		return d.progress()
	case s.Phase == PhasePromoting:
		return d.promote()
	default:
		return d.giveBack()
	}
}

func (o Observation) writable() bool { return o.RouteOK || o.RouteWritable }

type decider struct {
	plan  Plan
	state State
	seen  Observation
}

// act returns an action with the state as it is now.
func (d *decider) act(k Kind, reason Reason, format string, args ...any) Action {
	return Action{Kind: k, Reason: reason, Message: fmt.Sprintf(format, args...), State: d.state}
}

func (d *decider) wait(reason Reason, format string, args ...any) Action {
	a := d.act(ActWait, reason, format, args...)
	a.Until = d.seen.Now.Add(recheck)
	return a
}

// enter begins a phase.
func (d *decider) enter(phase Phase) {
	d.state.Phase, d.state.PhaseStarted = phase, d.seen.Now
	d.state.Reasserts, d.state.Contested = 0, false
	d.state.Resizes, d.state.LostSince = 0, time.Time{}
}

func (d *decider) delete() Action {
	if d.seen.writable() && d.seen.Weight != 0 {
		a := d.act(ActSetWeight, ReasonDeleted, "giving all traffic back to stable before the resource goes")
		return a
	}
	return d.act(ActRelease, ReasonDeleted, "stable has all traffic")
}

// idle begins a rollout when there is a version that was not rolled out yet, or
// when a person asks for another attempt.
func (d *decider) idle() Action {
	s, o := d.state, d.seen
	fresh := o.Template != "" && o.Template != s.Template
	ended := s.Phase == PhaseRolledBack || s.Phase == PhaseSucceeded
	switch {
	case ended && !fresh && !o.Retry && o.RouteOK && o.Weight != 0:
		return d.drift(0) // traffic to a canary that is no longer there
	case s.Phase == PhasePromotionFailed && !o.Retry && !o.Abort && !fresh:
		return d.act(ActWait, ReasonStableNotReady, "%s", s.Message)
	case s.Phase == PhasePromotionFailed && o.Abort:
		return d.beginRollback(ReasonAborted, "aborted by a person")
	case s.Phase == PhasePromotionFailed && !fresh:
		d.enter(PhasePromoting)
		return d.act(ActNext, ReasonPromoting, "trying the promotion again")
	case !o.Canary.Exists, !fresh && !o.Retry:
		return d.act(ActWait, ReasonNothingNew, "waiting for a new canary version")
	case s.Phase == PhaseIdle && o.StablePromoted && !o.Retry:
		// The first look at a pair that runs the same version: nothing to roll out.
		return d.act(ActWait, ReasonNothingNew, "stable runs the canary's version")
	case o.Paused:
		return d.act(ActWait, ReasonPaused, "paused before it began")
	case !o.RouteOK:
		return d.wait(ReasonRouteUnavailable, "%s", o.RouteProblem)
	case o.Weight != 0:
		// An earlier rollout's or somebody's weight: begin from a known place.
		return d.act(ActSetWeight, ReasonShifting, "the route gives the canary %d %% before the rollout began", o.Weight)
	}
	d.state = State{Template: o.Template, Attempt: s.Attempt + 1, Started: o.Now, StableReplicas: o.Stable.Desired}
	d.enter(PhaseProgressing)
	return d.act(ActNext, ReasonSizing, "rollout began")
}

// progress sizes the canary, shifts traffic to the step's weight, and waits for
// the gate.
func (d *decider) progress() Action {
	step := d.plan.Steps[min(d.state.Step, len(d.plan.Steps)-1)]
	o := d.seen
	switch {
	case o.Canary.Broken != "":
		return d.beginRollback(ReasonCanaryBroken, o.Canary.Broken)
	case !o.Canary.Exists:
		return d.beginRollback(ReasonCanaryBroken, "the canary workload is gone")
	case d.lost():
		return d.beginRollback(ReasonCanaryBroken, fmt.Sprintf("none of the canary's pods has been ready for %s, and it has %d %% of the traffic", lostAfter, o.Weight))
	case o.Verdict == DecisionRollback && o.Error == "" && !d.state.GateStarted.IsZero():
		return d.beginRollback(ReasonAnalysis, verdictText(o))
	case o.Now.Sub(d.state.Started) >= d.plan.Deadline:
		if d.plan.OnInconclusive == PolicyHold && o.Retry {
			d.state.Started = o.Now
			return d.act(ActNext, ReasonGate, "a person gives it another %s", d.plan.Deadline)
		}
		return d.atDeadline()
	case !o.RouteOK:
		return d.wait(ReasonRouteUnavailable, "%s", o.RouteProblem)
	case d.state.GateStarted.IsZero():
		return d.shift(step)
	case o.Weight != step.Weight:
		return d.drift(step.Weight)
	}
	if d.state.Contested {
		d.state.Contested, d.state.Reasserts = false, 0 // whoever it was has stopped
	}
	return d.gate(step)
}

// lost reports whether the canary's traffic has gone nowhere for too long: its
// node is gone, or none of its pods is ready any more. Where stable has no ready
// pod either, nobody is blamed, and there is nowhere to send the traffic.
func (d *decider) lost() bool {
	o := d.seen
	if o.Weight == 0 || o.Canary.Ready > 0 || o.Stable.Ready == 0 {
		d.state.LostSince = time.Time{}
		return false
	}
	if d.state.LostSince.IsZero() || d.state.LostSince.After(o.Now) {
		d.state.LostSince = o.Now
	}
	return o.Now.Sub(d.state.LostSince) >= lostAfter
}

// size gives the canary the pods that a weight needs. done is false while it has
// fewer than it was given for that, and the action is what to do about it.
func (d *decider) size(weight int) (a Action, done bool) {
	o := d.seen
	need := Capacity(d.stableReplicas(), weight)
	if o.Canary.Desired >= need {
		d.state.Sized = need
		return a, true
	}
	if o.Canary.Desired < d.state.Sized {
		if d.state.Resizes >= MaxResizes {
			return d.wait(ReasonSizing, "somebody else, an autoscaler perhaps, keeps the canary at %d pods, and %d %% need %d: let it have as many", o.Canary.Desired, weight, need), false
		}
		d.state.Resizes++
	}
	d.state.Sized = need
	a = d.act(ActScaleCanary, ReasonSizing, "%d %% need %d canary pods", weight, need)
	a.Replicas = need
	return a, false
}

// shift brings the traffic to the step's weight: capacity first.
func (d *decider) shift(step Step) Action {
	o := d.seen
	if o.Weight == step.Weight && step.Weight > 0 {
		return d.beginGate(step)
	}
	switch {
	case o.Paused:
		return d.act(ActWait, ReasonPaused, "paused at %d %%", o.Weight)
	case !o.InWindow && step.Weight > o.Weight:
		return d.wait(ReasonWindow, "outside the time windows in which weight may rise")
	case o.Webhooks[StageBeforeStep] == AnswerFail:
		return d.beginRollback(ReasonWebhook, "a webhook before the step said no")
	case o.Webhooks[StageBeforeStep] == AnswerNone:
		a := d.act(ActWebhook, ReasonCallingWebhook, "asking the webhooks before the step to %d %%", step.Weight)
		a.Stage = StageBeforeStep
		return a
	}
	if a, done := d.size(step.Weight); !done {
		return a
	}
	switch need := Capacity(d.stableReplicas(), step.Weight); {
	case o.Canary.Ready < need:
		return d.wait(ReasonSizing, "%d of %d canary pods ready for %d %%", o.Canary.Ready, need, step.Weight)
	case o.Weight == step.Weight:
		return d.beginGate(step)
	}
	a := d.act(ActSetWeight, ReasonShifting, "giving the canary %d %%", step.Weight)
	a.Weight = step.Weight
	return a
}

// beginGate notes that the step's weight is observed.
func (d *decider) beginGate(step Step) Action {
	d.state.GateStarted, d.state.Reasserts, d.state.Resizes = d.seen.Now, 0, 0
	if step.Weight == 0 {
		return d.act(ActNext, ReasonGate, "the canary is there, and gets none of the traffic")
	}
	return d.act(ActNext, ReasonGate, "the canary gets %d %%: the gate of %s begins", step.Weight, step.Gate)
}

// stableReplicas is what stable needs for all of the traffic: the larger of
// what it wanted at the start and now.
func (d *decider) stableReplicas() int32 { return max(d.state.StableReplicas, d.seen.Stable.Desired) }

// Capacity returns how many pods a share of the traffic needs when all of it
// needs replicas: the share, rounded up, at least one.
func Capacity(replicas int32, weight int) int32 {
	return max(1, int32(math.Ceil(float64(replicas)*float64(weight)/100)))
}

// drift sets the route back, a bounded number of times.
func (d *decider) drift(want int) Action {
	if d.state.Reasserts >= MaxReasserts {
		d.state.Contested = true
		return d.wait(ReasonRouteContested, "somebody else gives the canary %d %% of the route instead of %d %%: set it back, or stop the other controller", d.seen.Weight, want)
	}
	if want > d.seen.Weight && d.seen.Canary.Ready < Capacity(d.stableReplicas(), want) {
		return d.wait(ReasonSizing, "the route was changed to %d %%, and the canary has too few pods for %d %%", d.seen.Weight, want)
	}
	d.state.Reasserts++
	a := d.act(ActSetWeight, ReasonShifting, "the route was changed to %d %%: setting it back to %d %%", d.seen.Weight, want)
	a.Weight = want
	return a
}

// gate waits at the step's weight for the verdict, the time and the people.
func (d *decider) gate(step Step) Action {
	o := d.seen
	last := d.state.Step >= len(d.plan.Steps)-1
	gateEnd := d.state.GateStarted.Add(step.Gate)
	if o.Approve {
		d.state.Approved = d.state.Step + 1
	}
	if a, done := d.size(step.Weight); !done && a.Kind == ActScaleCanary {
		return a // stable was scaled, or the canary was
	}
	switch {
	case o.Webhooks[StageGate] == AnswerFail:
		return d.beginRollback(ReasonWebhook, "a webhook at the gate said no")
	case o.Paused:
		return d.act(ActWait, ReasonPaused, "paused at %d %%", step.Weight)
	case step.Judged() && o.Error != "":
		return d.wait(ReasonAnalysisError, "holding at %d %%: the analysis could not be made: %s", step.Weight, o.Error)
	case step.Gate > 0 && o.Now.Before(gateEnd) && !step.Judged():
		a := d.act(ActWait, ReasonGate, "dark until %s", gateEnd.UTC().Format(time.RFC3339))
		a.Until = earlier(gateEnd, o.Now.Add(recheck))
		return a
	case step.Gate > 0 && o.Now.Before(gateEnd):
		a := d.act(ActWait, ReasonGate, "at %d %% until %s: %s", step.Weight, gateEnd.UTC().Format(time.RFC3339), verdictText(o))
		a.Until = earlier(gateEnd, o.Now.Add(recheck))
		return a
	case step.Judged() && o.Verdict != DecisionPromote:
		return d.wait(ReasonGate, "at %d %%, beyond the gate's time: %s", step.Weight, verdictText(o))
	case o.Webhooks[StageGate] == AnswerNone:
		a := d.act(ActWebhook, ReasonCallingWebhook, "asking the webhooks at the gate of %d %%", step.Weight)
		a.Stage = StageGate
		return a
	case step.Approval && d.state.Approved <= d.state.Step:
		return d.act(ActWait, ReasonApproval, "passed at %d %%: waiting for approval", step.Weight)
	case last:
		d.enter(PhasePromoting)
		return d.act(ActNext, ReasonPromoting, "all steps passed")
	}
	d.state.Step++
	d.state.GateStarted, d.state.Reasserts, d.state.Resizes = time.Time{}, 0, 0
	return d.act(ActNext, ReasonSizing, "passed at %d %%: next %d %%", step.Weight, d.plan.Steps[d.state.Step].Weight)
}

func (d *decider) atDeadline() Action {
	if d.plan.OnInconclusive == PolicyHold {
		return d.act(ActWait, ReasonHold, "no decision within %s: holding at %d %% for a person: retry gives it as long again, abort takes it back", d.plan.Deadline, d.seen.Weight)
	}
	return d.beginRollback(ReasonInconclusive, fmt.Sprintf("no decision within %s: %s", d.plan.Deadline, verdictText(d.seen)))
}

// promote upgrades stable while the canary has all traffic.
func (d *decider) promote() Action {
	o := d.seen
	switch {
	case o.Stable.Broken != "" && o.StablePromoted, o.Now.Sub(d.state.PhaseStarted) >= d.plan.PromoteTimeout:
		why := orText(o.Stable.Broken, fmt.Sprintf("not ready within %s", d.plan.PromoteTimeout))
		d.enter(PhasePromotionFailed)
		d.state.Reason = ReasonStableNotReady
		d.state.Message = "stable did not become ready in the new version, the canary keeps serving: " + why
		return d.act(ActNext, ReasonStableNotReady, "%s", d.state.Message)
	case o.RouteOK && o.Weight != 100:
		return d.drift(100)
	case !o.StablePromoted && o.Webhooks[StagePromotion] == AnswerFail:
		return d.beginRollback(ReasonWebhook, "a webhook at the promotion said no")
	case !o.StablePromoted && o.Webhooks[StagePromotion] == AnswerNone:
		a := d.act(ActWebhook, ReasonCallingWebhook, "asking the webhooks at the promotion")
		a.Stage = StagePromotion
		return a
	case !o.StablePromoted:
		return d.act(ActPromote, ReasonPromoting, "upgrading stable to the canary's version")
	case !o.Stable.Updated || o.Stable.Ready < o.Stable.Desired || o.Stable.Ready == 0:
		return d.wait(ReasonPromoting, "%d of %d stable pods ready in the new version", o.Stable.Ready, o.Stable.Desired)
	}
	d.enter(PhaseReturning)
	return d.act(ActNext, ReasonShifting, "stable is ready in the new version")
}

// giveBack returns the traffic to stable and takes the canary away.
func (d *decider) giveBack() Action {
	o := d.seen
	switch {
	case !o.RouteOK:
		return d.wait(ReasonRouteUnavailable, "%s", o.RouteProblem)
	case o.Weight != 0 && (o.Stable.Ready == 0 || o.Stable.Ready < o.Stable.Desired):
		return d.wait(ReasonPromoting, "%d of %d stable pods ready before the traffic returns", o.Stable.Ready, o.Stable.Desired)
	case o.Weight != 0:
		return d.act(ActSetWeight, ReasonShifting, "giving the traffic back to stable, now in the new version")
	case o.Canary.Exists && o.Canary.Desired > 0 && o.Template == d.state.Template:
		return d.act(ActScaleCanary, ReasonPromoted, "stable has all traffic: taking the canary down")
	}
	d.enter(PhaseSucceeded)
	d.state.Reason, d.state.Message = ReasonPromoted, "stable runs the canary's version"
	return d.act(ActNext, ReasonPromoted, "%s", d.state.Message)
}

// beginRollback takes the canary's traffic in the same breath: weight first.
func (d *decider) beginRollback(reason Reason, message string) Action {
	d.enter(PhaseRollingBack)
	d.state.Reason, d.state.Message = reason, message
	if d.seen.writable() && d.seen.Weight != 0 {
		return d.act(ActSetWeight, reason, "%s", message)
	}
	return d.act(ActNext, reason, "%s", message)
}

// rollBack ends at weight 0 whatever is observed. Nothing but a missing route
// keeps it from there.
func (d *decider) rollBack() Action {
	o := d.seen
	superseded := d.state.Reason == ReasonSuperseded
	switch {
	case !o.writable() && o.Weight != 0:
		return d.wait(ReasonRouteUnavailable, "%s", o.RouteProblem)
	case o.Weight != 0:
		return d.act(ActSetWeight, d.state.Reason, "%s", d.state.Message)
	case superseded:
		// The pods are the new version's: they are kept for its own rollout.
		// No template: the old version may come back, and is then as new as any.
		d.state = State{Attempt: d.state.Attempt}
		return d.act(ActNext, ReasonSuperseded, "starting over with the new version")
	case o.Canary.Exists && o.Canary.Desired > 0 && o.RouteWritable && !o.RouteOK && o.Now.Sub(d.state.PhaseStarted) < settle:
		// The data plane may still send the canary what it sent before.
		return d.wait(ReasonRouteUnavailable, "%s", o.RouteProblem)
	case o.Canary.Exists && o.Canary.Desired > 0:
		return d.act(ActScaleCanary, d.state.Reason, "taking the canary down")
	case o.Webhooks[StageAfterRollback] == AnswerNone:
		a := d.act(ActWebhook, ReasonCallingWebhook, "telling the webhooks after the rollback")
		a.Stage = StageAfterRollback
		return a
	}
	d.enter(PhaseRolledBack)
	return d.act(ActNext, d.state.Reason, "%s", d.state.Message)
}

func verdictText(o Observation) string {
	switch {
	case o.Error != "":
		return "the analysis could not be made: " + o.Error
	case o.Verdict == DecisionNone:
		return "no verdict yet"
	default:
		return "the verdict is " + string(o.Verdict) + ": " + orText(o.VerdictMessage, orText(o.VerdictReason, "no reason given"))
	}
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
