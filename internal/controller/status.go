package controller

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
)

// persist writes the status that a decision leads to, before its action is
// done. A status that somebody has written since it was read is a conflict.
func (r *Reconciler) persist(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) error {
	before := cr.Status.DeepCopy()
	st := &cr.Status
	st.ObservedGeneration = cr.Generation
	st.Progress = progressOf(before.Progress, a.State)
	st.Progress.Untold = untold(before.Progress, s.state, a.State, a.Message, s.seen.Now)
	st.Phase = string(a.State.Phase)
	st.Step = stepText(a.State, s.plan)
	st.Reason, st.Message = string(a.Reason), cut(a.Message)
	if a.State.Phase.Ended() && a.Reason == rollout.ReasonNothingNew {
		st.Reason, st.Message = string(a.State.Reason), cut(a.State.Message) // how it ended says more
	}
	if s.seen.Retry || a.State.Phase == rollout.PhaseIdle && cr.RetryAsked() {
		st.Retried = cr.Annotations[v1alpha1.AnnotationRetry]
	}
	if s.canary.object != nil {
		st.CanaryVersion = versionOf(s.canary.template)
	}
	if s.stable.object != nil {
		st.StableVersion = versionOf(s.stable.template)
	}
	observed, desired := bounded(s.route.Weight), bounded(desiredWeight(s.plan, a, s.route.Weight))
	st.Weight, st.DesiredWeight = &observed, &desired
	if begins(s.state, a.State) {
		st.RolloutID = rollout.ID(string(cr.UID), a.State.Template, a.State.Attempt)
		st.TraceID, st.SpanID = traceOf(cr, st.RolloutID)
		st.Verdict, st.Parameters = nil, ""
	}
	if s.look != nil {
		if s.look.err == nil {
			st.Verdict = verdictOf(s.look, st.Verdict)
		}
		if s.look.parameters != "" {
			st.Parameters = s.look.parameters
		}
	}
	r.tell.failedTraces(cr)
	conditions(cr, s, a)
	return r.write(ctx, cr, before)
}

// write updates the status where it has changed.
func (r *Reconciler) write(ctx context.Context, cr *v1alpha1.CanaryRelease, before *v1alpha1.CanaryReleaseStatus) error {
	if equality.Semantic.DeepEqual(before, &cr.Status) {
		return nil
	}
	return r.client.Status().Update(ctx, cr, client.FieldOwner(fieldOwner))
}

// begins reports whether a rollout begins.
func begins(before, after rollout.State) bool {
	return after.Phase == rollout.PhaseProgressing && (before.Phase == rollout.PhaseIdle || before.Phase.Ended()) && after.Attempt != before.Attempt
}

// desiredWeight is the weight that the rollout wants now.
func desiredWeight(p rollout.Plan, a rollout.Action, observed int) int {
	switch {
	case a.Kind == rollout.ActSetWeight:
		return a.Weight
	case a.State.Phase == rollout.PhaseProgressing && !a.State.GateStarted.IsZero():
		return p.Steps[min(a.State.Step, len(p.Steps)-1)].Weight
	case a.State.Phase == rollout.PhasePromoting, a.State.Phase == rollout.PhasePromotionFailed:
		return 100
	case a.State.Phase == rollout.PhaseProgressing:
		return observed // waits before the next weight
	}
	return 0
}

// verdictOf sums a look up. The traces of the verdict before stay.
func verdictOf(l *look, before *v1alpha1.Verdict) *v1alpha1.Verdict {
	at := metav1.NewMicroTime(l.verdict.At)
	out := &v1alpha1.Verdict{
		Decision: string(l.verdict.Decision), Reason: string(l.verdict.Reason), Message: cut(l.verdict.Message),
		CanaryRequests: int64(l.requests), CanaryErrors: int64(l.errors),
		StepIndex: bounded(l.step), StepRequests: int64(totals(l.verdict).Units), Hash: l.verdict.Hash,
	}
	if !l.verdict.At.IsZero() {
		out.At = &at
	}
	for _, c := range l.verdict.Checks {
		if c.State != analysis.CheckFailed || len(out.FailedChecks) == v1alpha1.MaxFailedChecks {
			continue
		}
		f := v1alpha1.FailedCheck{Metric: c.Metric, Route: c.Route}
		if e := c.Estimate; e != nil {
			f.Canary, f.Stable = &e.Canary, &e.Stable
		}
		out.FailedChecks = append(out.FailedChecks, f)
	}
	if before != nil {
		out.SampleTraces, out.Explanation = before.SampleTraces, before.Explanation
	}
	return out
}

// conditions says the state in conditions. Their texts are stable between
// reconciliations: no times, no counts that rise.
func conditions(cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) {
	set := func(kind string, is bool, reason, message string) {
		status := metav1.ConditionFalse
		if is {
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&cr.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: cr.Generation,
		})
	}
	set(v1alpha1.ConditionAccepted, true, reasonAccepted, "can be rolled out")
	phase := a.State.Phase
	going := phase != rollout.PhaseIdle && !phase.Ended()
	reason := string(a.Reason)
	if phase.Ended() && a.State.Reason != "" {
		reason = string(a.State.Reason)
	}
	message := fmt.Sprintf("phase %s, step %s", phase, stepText(a.State, s.plan))
	if !going {
		message = "no rollout is under way"
		if phase.Ended() {
			message = cut(strings.TrimSpace(string(phase) + ": " + a.State.Message))
		}
	}
	set(v1alpha1.ConditionProgressing, going, reason, message)
	switch {
	case s.seen.Error != "":
		set(v1alpha1.ConditionAnalysisAvailable, false, string(rollout.ReasonAnalysisError), s.seen.Error)
	case s.look != nil:
		set(v1alpha1.ConditionAnalysisAvailable, true, "Answered", "the source of samples answers")
	}
	if a.State.Contested {
		set(v1alpha1.ConditionRouteContested, true, string(rollout.ReasonRouteContested), "somebody else keeps changing the weights of the route")
	} else if meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionRouteContested) != nil {
		set(v1alpha1.ConditionRouteContested, false, "Settled", "the route is as it should be")
	}
	if s.stable.object != nil && s.canary.object != nil {
		promoted := s.seen.StablePromoted && phase != rollout.PhaseProgressing && phase != rollout.PhasePromoting
		text := "stable runs another version than the canary's newest"
		if promoted {
			text = "stable runs the canary's newest version"
		}
		set(v1alpha1.ConditionPromoted, promoted, map[bool]string{true: "SameVersion", false: "OtherVersion"}[promoted], text)
	}
}

// refuse says why a CanaryRelease is not rolled out. What it refers to is
// watched; it is looked at again, ever more rarely, should an event be lost.
func (r *Reconciler) refuse(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene) (reconcile.Result, error) {
	before := cr.Status.DeepCopy()
	cr.Status.ObservedGeneration = cr.Generation
	cr.Status.Reason, cr.Status.Message = s.refused.reason, cut(s.refused.message)
	changed := meta.SetStatusCondition(&cr.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: s.refused.reason,
		Message: cut(s.refused.message), ObservedGeneration: cr.Generation,
	})
	if err := r.write(ctx, cr, before); err != nil {
		return reconcile.Result{}, err
	}
	if changed {
		r.events.Eventf(cr, nil, "Warning", s.refused.reason, "Preflight", "%s", s.refused.message)
	}
	since := meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAccepted).LastTransitionTime
	return reconcile.Result{RequeueAfter: refusedFor(s.seen.Now.Sub(since.Time))}, nil
}

// refusedFor is when to look again at what has been refused for so long: after
// as long again, within bounds. It doubles, and goes on so after a restart.
func refusedFor(so time.Duration) time.Duration {
	return min(max(so, refusedAgain), refusedAtMost)
}

// traceOf returns the trace that a rollout is recorded in: the one that the
// annotation gives, with the span to be under, or the derived one.
func traceOf(cr *v1alpha1.CanaryRelease, id string) (traceID, spanID string) {
	if parts := strings.Split(cr.Annotations[v1alpha1.AnnotationTraceparent], "-"); len(parts) == 4 && len(parts[1]) == 32 && len(parts[2]) == 16 {
		if _, err := hex.DecodeString(parts[1] + parts[2]); err == nil {
			return parts[1], parts[2]
		}
	}
	t := rollout.TraceID(id)
	return hex.EncodeToString(t[:]), ""
}
