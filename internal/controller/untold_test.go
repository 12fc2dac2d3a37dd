package controller

import (
	"testing"
	"time"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// What a controller has decided, the next one knows to tell: the same changes, at
// the same times, until they are old.
func TestChangesAreKeptToBeToldAgain(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	states := []rollout.State{
		{Phase: rollout.PhaseSucceeded, Attempt: 1},
		{Phase: rollout.PhaseProgressing, Attempt: 2, Started: at, PhaseStarted: at},
		{Phase: rollout.PhaseProgressing, Attempt: 2, Started: at, PhaseStarted: at, GateStarted: at.Add(time.Second)},
		{Phase: rollout.PhaseProgressing, Attempt: 2, Started: at, PhaseStarted: at, GateStarted: at.Add(time.Second), Approved: 1}, // nothing to tell
		{Phase: rollout.PhaseRollingBack, Attempt: 2, Started: at, PhaseStarted: at.Add(3 * time.Second), Reason: rollout.ReasonAnalysis},
		{Phase: rollout.PhaseRolledBack, Attempt: 2, Started: at, PhaseStarted: at.Add(4 * time.Second), Reason: rollout.ReasonAnalysis},
	}
	var progress *v1alpha1.Progress
	for i := 1; i < len(states); i++ {
		next := progressOf(progress, states[i])
		next.Untold = untold(progress, states[i-1], states[i], "said", at.Add(time.Duration(i-1)*time.Second))
		progress = next
	}
	kept := turnsOf(progress, states[len(states)-1])
	if len(kept) != 4 {
		t.Fatalf("%d changes are kept, want 4: %+v", len(kept), progress.Untold)
	}
	if !begins(kept[0].before, kept[0].after) {
		t.Errorf("the first does not begin the rollout: %+v", kept[0])
	}
	for i, want := range []struct {
		phase    rollout.Phase
		at       time.Duration
		gateOpen bool
	}{{rollout.PhaseProgressing, 0, false}, {rollout.PhaseProgressing, time.Second, true}, {rollout.PhaseRollingBack, 3 * time.Second, false}, {rollout.PhaseRolledBack, 4 * time.Second, false}} {
		got := kept[i]
		if got.after.Phase != want.phase || !got.at.Equal(at.Add(want.at)) || got.message != "said" || want.gateOpen == got.after.GateStarted.IsZero() {
			t.Errorf("change %d: %+v, want %+v", i, got, want)
		}
		if begins(got.before, got.after) != (i == 0) || ends(got.before, got.after) != (i == 3) {
			t.Errorf("change %d: begins or ends a rollout wrongly: %+v", i, got)
		}
	}
	if in := tellAgainIn(progress, at.Add(4*time.Second)); in != 6*time.Second {
		t.Errorf("the oldest goes in %s, want 6s", in)
	}
	if left := untold(progress, states[5], states[5], "", at.Add(12*time.Second)); len(left) != 2 {
		t.Errorf("%d are left after 12 s, want the last 2", len(left))
	}
	if left := untold(progress, states[5], rollout.State{Phase: rollout.PhaseProgressing, Attempt: 3}, "", at.Add(5*time.Second)); len(left) != 1 {
		t.Errorf("%d are left when the next rollout begins, want its beginning alone", len(left))
	}
}
