package controller

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/rollout"
)

// message notifies people of a rollout's end.
func (t *teller) message(cr *v1alpha1.CanaryRelease, c turn, text string) {
	after := c.after
	names := map[rollout.Phase]string{
		rollout.PhaseSucceeded: "CanaryPromoted", rollout.PhaseRolledBack: "CanaryRolledBack", rollout.PhasePromotionFailed: "CanaryPromotionFailed",
	}
	m := notify.Message{
		Name: names[after.Phase], Severity: notify.SeverityInfo, StartsAt: c.at,
		Summary:     fmt.Sprintf("%s/%s: %s of %s", cr.Namespace, cr.Name, after.Phase, orUnknown(cr.Status.CanaryVersion)),
		Description: text,
		Labels:      map[string]string{"namespace": cr.Namespace, "canaryrelease": cr.Name, "service": cr.Spec.Service},
		Facts: []notify.Fact{
			{Name: "Reason", Value: string(after.Reason)}, {Name: "Step", Value: cr.Status.Step}, {Name: "Trace", Value: cr.Status.TraceID},
		},
	}
	if after.Phase != rollout.PhaseSucceeded {
		m.Severity = notify.SeverityCritical
	}
	if len(t.notify) == 0 {
		return
	}
	cr = cr.DeepCopy()
	t.later(func(ctx context.Context) {
		t.awaitExplanation(ctx, cr)
		t.failedTraces(cr)
		m.Facts = append(m.Facts, facts(cr.Status.Verdict)...)
		for _, r := range t.notify {
			t.later(func(ctx context.Context) {
				if err := r.SendRetrying(ctx, m); err != nil {
					log.FromContext(ctx).Info("notification was not delivered", "receiver", r.Name(), "error", err.Error())
				}
			})
		}
	})
}

// facts are a verdict in a message to people.
func facts(v *v1alpha1.Verdict) []notify.Fact {
	if v == nil {
		return nil
	}
	out := []notify.Fact{{Name: "Verdict", Value: v.Decision + ", " + v.Reason}}
	for _, f := range []notify.Fact{
		{Name: "Failed checks", Value: strings.Join(failedChecks(v), "; ")},
		{Name: "Failed traces share", Value: v.Explanation},
		{Name: "Failed traces", Value: strings.Join(v.SampleTraces, ", ")},
	} {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

// evidence is a verdict in an event: the failed checks and traces.
func evidence(cr *v1alpha1.CanaryRelease) string {
	v := cr.Status.Verdict
	if v == nil || cr.Status.Phase != string(rollout.PhaseRolledBack) {
		return ""
	}
	text := ""
	if checks := failedChecks(v); len(checks) > 0 {
		text += "; failed checks: " + strings.Join(checks, ", ")
	}
	if len(v.SampleTraces) > 0 {
		text += "; failed traces: " + strings.Join(v.SampleTraces[:min(3, len(v.SampleTraces))], ", ")
	}
	return text
}

func failedChecks(v *v1alpha1.Verdict) []string {
	var out []string
	for _, c := range v.FailedChecks {
		out = append(out, checkText(c))
	}
	return out
}

func checkText(c v1alpha1.FailedCheck) string {
	text := c.Metric
	if c.Route != "" {
		text += " " + c.Route
	}
	if c.Canary != nil && c.Stable != nil {
		text += fmt.Sprintf(": canary %.4g, stable %.4g", *c.Canary, *c.Stable)
	}
	return text
}
