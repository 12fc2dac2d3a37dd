package replay_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
	"fairlead.dev/fairlead/internal/replay"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rollout is a recording of a service that is quick to draw.
func rollout(change func(*simulate.Options)) simulate.Options {
	o := simulate.Options{Seed: 7, Start: start, Rate: 40, Routes: 4, Pods: 5,
		Steps: []simulate.Step{{Weight: 0.05, Length: 10 * time.Minute, Pods: 1}, {Weight: 0.25, Length: 10 * time.Minute, Pods: 2}, {Weight: 0.5, Length: 15 * time.Minute, Pods: 4}}}
	if change != nil {
		change(&o)
	}
	return o
}

type replayed struct {
	outcome  replay.Outcome
	segments []replay.Segment
	looks    []replay.Look
}

func run(t *testing.T, o simulate.Options, plan replay.Plan) replayed {
	t.Helper()
	var text bytes.Buffer
	if err := recording.Write(&text, simulate.Rollout(o)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "r.om")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := judge.Open(context.Background(), prom.NewSource(r), analysis.Default(), judge.Subject{Service: "shop", CanaryVersion: "2.0.0", StableVersion: "1.0.0"}, start)
	if err != nil {
		t.Fatal(err)
	}
	_, to := r.Range()
	intervals, err := s.Collect(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	out := replayed{segments: replay.Segments(intervals, plan.Weights())}
	out.outcome, err = replay.Run(s.Judge(), plan, start, intervals, out.segments, func(l replay.Look, _ *analysis.Judge) error {
		out.looks = append(out.looks, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var plan = replay.Plan{Steps: []replay.Step{{0.05, 10 * time.Minute}, {0.25, 10 * time.Minute}, {0.5, 15 * time.Minute}, {Weight: 1}}}

func TestHealthyRolloutIsPromoted(t *testing.T) {
	got := run(t, rollout(nil), plan)
	if got.outcome.Decision != analysis.Promote || got.outcome.Step != 2 || got.outcome.Elapsed < 34*time.Minute {
		t.Errorf("outcome %s at step %d after %s, want promote of the last step after its gate", got.outcome.Decision, got.outcome.Step, got.outcome.Elapsed)
	}
	var weights []float64
	for _, s := range got.segments {
		weights = append(weights, s.Weight)
	}
	if len(weights) != 3 || weights[0] != 0.05 || weights[1] != 0.25 || weights[2] != 0.5 {
		t.Fatalf("weights %v, want 0.05, 0.25, 0.5", weights)
	}
	for i, want := range []time.Duration{0, 10 * time.Minute, 20 * time.Minute} {
		if off := got.segments[i].Start.Sub(start) - want; off.Abs() > 15*time.Second {
			t.Errorf("step %d begins after %s, want %s", i, got.segments[i].Start.Sub(start), want)
		}
	}
}

func TestBrokenRouteIsRolledBack(t *testing.T) {
	got := run(t, rollout(func(o *simulate.Options) { o.Fault = simulate.Fault{Route: 2, Errors: 0.2} }), plan)
	if got.outcome.Decision != analysis.Rollback || got.outcome.Reason != analysis.ReasonHarm {
		t.Fatalf("outcome %s (%s), want rollback (harm)", got.outcome.Decision, got.outcome.Reason)
	}
	if !slices.Contains(got.outcome.Verdict.Attributed, "error_rate /route/02") {
		t.Errorf("traced to %v, want error_rate /route/02 among it", got.outcome.Verdict.Attributed)
	}
	if last := got.looks[len(got.looks)-1]; last.At != got.outcome.At {
		t.Errorf("looks go on after the decision: %s, %s", last.At, got.outcome.At)
	}
}

// A recording that never leaves its first weight still goes through all gates.
func TestConstantWeight(t *testing.T) {
	got := run(t, rollout(func(o *simulate.Options) {
		o.Steps = []simulate.Step{{Weight: 0.3, Length: 36 * time.Minute, Pods: 3}}
	}), plan)
	if len(got.segments) != 1 || got.segments[0].Weight < 0.28 || got.segments[0].Weight > 0.32 {
		t.Fatalf("segments %+v, want one of about 0.3", got.segments)
	}
	if got.outcome.Decision != analysis.Promote || got.outcome.Step != 2 {
		t.Errorf("outcome %s at step %d, want promote of the last step", got.outcome.Decision, got.outcome.Step)
	}
}

// A canary that dies is no step down: it is missing, and nothing is promoted.
func TestCanaryThatDies(t *testing.T) {
	got := run(t, rollout(func(o *simulate.Options) {
		o.Change = func(l labels.Labels, at time.Time, v float64) (float64, bool) {
			return v, l.Get("deployment_track") != "canary" || at.Before(start.Add(5*time.Minute))
		}
	}), plan)
	if got.outcome.Decision != analysis.Continue || got.outcome.Reason != analysis.ReasonAttribution || !got.outcome.Ended {
		t.Errorf("outcome %s (%s), want continue (attribution) at the recording's end", got.outcome.Decision, got.outcome.Reason)
	}
	hurried := plan
	hurried.Deadline, hurried.RollbackAtDeadline = 20*time.Minute, true
	got = run(t, rollout(func(o *simulate.Options) {
		o.Change = func(l labels.Labels, at time.Time, v float64) (float64, bool) {
			return v, l.Get("deployment_track") != "canary" || at.Before(start.Add(5*time.Minute))
		}
	}), hurried)
	if got.outcome.Decision != analysis.Rollback || got.outcome.Elapsed != 20*time.Minute {
		t.Errorf("outcome %s after %s, want rollback at the deadline", got.outcome.Decision, got.outcome.Elapsed)
	}
}

func TestRecordingThatIsTooShort(t *testing.T) {
	got := run(t, rollout(func(o *simulate.Options) { o.Steps = o.Steps[:1] }), plan)
	if got.outcome.Decision != analysis.Continue || !got.outcome.Ended {
		t.Errorf("outcome %s, want continue: one gate of three is no rollout", got.outcome.Decision)
	}
}
