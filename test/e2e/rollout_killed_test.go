//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// kill ends the controller once something is so, and starts another two seconds
// later.
func (s *canaryScene) kill(when string, is func() bool) {
	s.t.Helper()
	s.await(when, 2*time.Minute, is)
	s.killController()
	before := s.get().Status
	time.Sleep(2 * time.Second)
	s.startController()
	s.t.Logf("killed: %s; phase %q, step %q, reason %s", when, before.Phase, before.Step, before.Reason)
}

func (s *canaryScene) phaseIs(phase string) func() bool {
	return func() bool { return s.get().Status.Phase == phase }
}

// beforeTheGate holds while the canary gets its pods and its first weight.
func (s *canaryScene) beforeTheGate() bool {
	st := s.get().Status
	return st.Phase == "Progressing" && st.Progress.Step == 0 && st.Progress.GateStarted == nil
}

// inTheGate holds once the first step has been looked at.
func (s *canaryScene) inTheGate() bool {
	st := s.get().Status
	return st.Phase == "Progressing" && st.Progress.Step == 0 && st.Verdict != nil && st.Verdict.CanaryRequests > 30
}

func (s *canaryScene) reasonIs(reason string) func() bool {
	return func() bool { return s.get().Status.Reason == reason }
}

// A good canary whose controller is killed in every phase, before and after them
// too, is promoted in one attempt, and no user's request fails.
func TestRolloutSurvivesItsController(t *testing.T) {
	t.Parallel()
	s := newCanaryScene(t)
	stop := s.users(100)
	s.startController()
	s.apply(s.canaryRelease(`  steps: [{weight: 5, gate: 25s}, {weight: 50, gate: 10s}, {weight: 100}]
  deadline: 5m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
`))
	s.kill("before a rollout", s.reasonIs("NothingToDo"))
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1))
	s.kill("while the canary gets its pods", s.beforeTheGate)
	s.kill("in the first gate", s.inTheGate)
	id := s.get().Status.RolloutID
	s.kill("on the way to the second step", func() bool { return s.get().Status.Step == "2/3" })
	s.kill("while stable is upgraded", s.phaseIs("Promoting"))
	s.kill("while stable gets its traffic back", s.phaseIs("Returning"))
	cr := s.awaitPhase("Succeeded", 2*time.Minute)
	s.kill("after the end", func() bool { return true })
	s.stays("it has ended", 5*time.Second, func() bool { return s.get().Status.Phase == "Succeeded" && s.weight() == "0" })
	stats := stop()
	t.Logf("%d requests, %d failed", stats.Sent, stats.Failed)
	if stats.Failed != 0 {
		t.Errorf("%d of %d requests failed\n%s", stats.Failed, stats.Sent, s.story())
	}
	if cr.Status.RolloutID != id || cr.Status.Progress.Attempt != 1 {
		t.Errorf("the rollout %s began again as %s", id, cr.Status.RolloutID)
	}
}

// spansNamed counts the spans of a trace that the server has under a name.
func (s *canaryScene) spansNamed(traceID, name string) int {
	var trace any
	if !s.ask("/tempo/api/traces/"+traceID, &trace) {
		return 0
	}
	n := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if v["spanId"] != nil && v["name"] == name {
				n++
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(trace)
	return n
}

// A canary with errors on one route is rolled back at 5 % although its
// controller is killed on the way there, in the gate and in the rollback.
func TestRolloutOfABadCanaryWhoseControllerDies(t *testing.T) {
	t.Parallel()
	s := newCanaryScene(t)
	stop := s.users(100)
	s.startController()
	s.apply(s.canaryRelease(`  steps: [{weight: 5, gate: 2m}, {weight: 50, gate: 10s}, {weight: 100}]
  deadline: 5m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
`))
	s.await("the controller to see that there is nothing to do", 20*time.Second, s.reasonIs("NothingToDo"))
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1, "SHOP_FAULT_ROUTE=/search", "SHOP_FAULT_ERROR_RATE=0.5"))
	s.kill("while the canary gets its pods", s.beforeTheGate)
	s.kill("in the gate", s.inTheGate)
	s.kill("while it is rolled back", s.phaseIs("RollingBack"))
	cr := s.awaitPhase("RolledBack", time.Minute)
	stop()
	t.Logf("%d requests of users were harmed; the verdict counts %d of %d\n%s", s.front.failed.Load(), cr.Status.Verdict.CanaryErrors, cr.Status.Verdict.CanaryRequests,
		s.kubectl("-n", s.namespace, "get", "canaryrelease", "shop", "-o", "wide"))
	// The controller that was killed had this step's span in memory.
	var steps, rollouts int
	s.await("the step and the rollout in the trace", 30*time.Second, func() bool {
		steps, rollouts = s.spansNamed(cr.Status.TraceID, "canary.step"), s.spansNamed(cr.Status.TraceID, "canary.rollout")
		return steps > 0 && rollouts > 0
	})
	if steps != 1 || rollouts != 1 {
		t.Errorf("the trace has %d spans of the step and %d of the rollout, want each once", steps, rollouts)
	}
	if cr.Status.Reason != "AnalysisFailed" || cr.Status.Step != "1/3" || s.weight() != "0" || cr.Status.Progress.Attempt != 1 {
		t.Errorf("reason %s at step %s, weight %s, attempt %d\n%s", cr.Status.Reason, cr.Status.Step, s.weight(), cr.Status.Progress.Attempt, s.story())
	}
}
