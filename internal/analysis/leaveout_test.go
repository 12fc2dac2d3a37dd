package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A harm of the version shows on every pod, and is found; one pod alone that fails is
// news only in a service whose pods never did.
func TestOnePodIsNotTheVersion(t *testing.T) {
	noisy := map[string][]GuardPair{MetricErrorRate: {{Size: 1, Cap: 0.75, Phi: 1.4, Gate: 1.4, Short: 1.4}}}
	even := func(int) float64 { return 14 }
	alone := func(pod int) float64 {
		if pod == 0 {
			return 62 // the other four are as stable is
		}
		return 2
	}
	for _, c := range []struct {
		name   string
		guard  map[string][]GuardPair
		pods   int
		errors func(pod int) float64
		want   Decision
	}{
		{"five pods fail 7 %", noisy, 5, even, Rollback},
		{"one of five fails 31 %", noisy, 5, alone, Continue},
		{"one of five, in a service without noise", nil, 5, alone, Rollback},
		{"one of two: the other could not say", noisy, 2, alone, Rollback},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Frozen{From: epoch.Add(-time.Hour), To: epoch, Routes: []FrozenRoute{{Route: "/a", Requests: 700_000, Errors: 7000}, {Route: OtherRoute}},
				Pool: 0.01, Pods: 20, ErrorsEverSeen: true, Guard: c.guard}
			cfg := Default()
			cfg.Traffic.Check = false
			j, err := New(cfg, f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Begin(StepContext{Weight: 0.25, Start: epoch, Gate: Duration(10 * time.Minute), CanaryPods: c.pods}); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				iv := Interval{Start: epoch.Add(time.Duration(i) * 15 * time.Second), End: epoch.Add(time.Duration(i+1) * 15 * time.Second)}
				iv.Cells = append(iv.Cells, Cell{Track: Stable, Route: "/a", Pod: "s", Requests: 3000, Errors: 30, HasErrors: true})
				for p := range c.pods {
					iv.Cells = append(iv.Cells, Cell{Track: Canary, Route: "/a", Pod: fmt.Sprint("c", p), Requests: 200, Errors: c.errors(p), HasErrors: true})
				}
				if err := j.Add(&iv); err != nil {
					t.Fatal(err)
				}
				if j.st.Outcome.Decision == Rollback {
					break
				}
			}
			note := ""
			for _, check := range j.Verdict().Checks {
				if check.Metric == MetricErrorRate && check.Route == "" {
					note = check.Note
				}
			}
			if told := strings.Contains(note, "one of the canary's pods, c0"); told != (c.want == Continue) {
				t.Errorf("the error check's note %q", note)
			}
			if got := j.st.Outcome; got.Decision != c.want {
				t.Errorf("%s (%s), want %s: evidence %.3g", got.Decision, got.Message, c.want, got.E)
			}
		})
	}
}
