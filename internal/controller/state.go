package controller

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// maxMessage bounds texts in status, in bytes.
const maxMessage = 1024

// stateOf reads what was persisted.
func stateOf(status *v1alpha1.CanaryReleaseStatus) rollout.State {
	p := status.Progress
	if p == nil {
		return rollout.State{}
	}
	return rollout.State{
		Template: p.Template, Attempt: int(p.Attempt), Phase: rollout.Phase(p.Phase), Step: int(p.Step),
		Started: timeOf(p.Started), GateStarted: timeOf(p.GateStarted), PhaseStarted: timeOf(p.PhaseStarted),
		Approved: int(p.Approved), Reason: rollout.Reason(p.Reason), Message: p.Message,
		Reasserts: int(p.Reasserts), Contested: p.Contested, StableReplicas: p.StableReplicas,
		Sized: p.Sized, Resizes: int(p.Resizes), LostSince: timeOf(p.LostSince),
	}
}

// progressOf is what is persisted of a state. What belongs to the step, the
// webhooks' answers, goes with it; the starts of gates go with the rollout.
func progressOf(before *v1alpha1.Progress, s rollout.State) *v1alpha1.Progress {
	p := &v1alpha1.Progress{
		Template: s.Template, Attempt: bounded(s.Attempt), Phase: string(s.Phase), Step: bounded(s.Step),
		Started: microTime(s.Started), GateStarted: microTime(s.GateStarted), PhaseStarted: microTime(s.PhaseStarted),
		Approved: bounded(s.Approved), Reason: string(s.Reason), Message: cut(s.Message),
		Reasserts: bounded(s.Reasserts), Contested: s.Contested, StableReplicas: s.StableReplicas,
		Sized: s.Sized, Resizes: bounded(s.Resizes), LostSince: microTime(s.LostSince),
	}
	if before == nil || before.Template != p.Template || before.Attempt != p.Attempt {
		before = &v1alpha1.Progress{Step: p.Step}
	}
	if before.Step == p.Step {
		p.Answers = before.Answers
	}
	p.Gates = before.Gates
	if !s.GateStarted.IsZero() && s.Phase == rollout.PhaseProgressing && len(p.Gates) == s.Step {
		p.Gates = append(p.Gates[:len(p.Gates):len(p.Gates)], *p.GateStarted)
	}
	return p
}

// bounded is n as the API keeps it; nothing counts that far.
func bounded(n int) int32 {
	const most = 1 << 30
	return int32(max(0, min(n, most)))
}

func timeOf(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func microTime(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := metav1.NewMicroTime(t)
	return &m
}

func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	end := maxMessage - len("...")
	for end > 0 && text[end]&0xC0 == 0x80 { // not within a character
		end--
	}
	return text[:end] + "..."
}

// stepText is the step as people count it: 2/4.
func stepText(s rollout.State, p rollout.Plan) string {
	if s.Phase == rollout.PhaseIdle {
		return ""
	}
	return fmt.Sprintf("%d/%d", min(s.Step+1, len(p.Steps)), len(p.Steps))
}
