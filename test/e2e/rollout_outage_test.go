//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/api/v1alpha1"
)

// A rollout goes through a restart of the API server in the middle of its gate,
// through the end of its source of samples and its return, and through the loss
// of the node that carries both tracks. Not parallel: others would notice.
func TestRolloutThroughOutages(t *testing.T) {
	ctl := os.Getenv("FAIRLEAD_TEST_CLUSTERCTL")
	if ctl == "" || os.Getenv("FAIRLEAD_TEST_CLUSTER") == "" {
		t.Skip("SKIPPED: only on the test bed's own cluster: this stops its parts")
	}
	s := newCanaryScene(t)
	s.users(50)
	s.startController("--lease-duration", "15s") // a short lease would end with the API server
	s.apply(s.canaryRelease(`  steps: [{weight: 20, gate: 25s}, {weight: 50, approval: true}, {weight: 100}]
  deadline: 10m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
`))
	s.await("the controller to see that there is nothing to do", 20*time.Second, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1))
	s.await("a look in the gate", time.Minute, func() bool { return s.get().Status.Verdict != nil })
	gate := s.get().Status.Progress.GateStarted.Time

	began := time.Now()
	component(t, ctl, "restart", "kube-apiserver")
	at := s.get().Status.Verdict.At
	s.await("looks after the API server's restart", time.Minute, func() bool { return s.get().Status.Verdict.At.After(at.Add(2 * time.Second)) })
	t.Logf("%s after the API server's restart began the gate goes on; the step's gate still began at %s", time.Since(began).Round(time.Second), gate.Format(time.TimeOnly))

	// The kubelet ends as well: 50 s later the cluster believes that its node is gone.
	t.Cleanup(func() { _ = exec.Command(ctl, "component", "start", "kubelet").Run() }) // an error: it runs
	component(t, ctl, "stop", "kubelet")
	end(s.source)
	available := func(want string) func() bool {
		return func() bool { status, _, _ := s.condition(v1alpha1.ConditionAnalysisAvailable); return status == want }
	}
	s.await("it to be said that the source is away", time.Minute, available("False"))
	_, reason, message := s.condition(v1alpha1.ConditionAnalysisAvailable)
	if cr := s.get(); reason != "AnalysisError" || cr.Status.Reason != "AnalysisError" || !strings.Contains(cr.Status.Message, "holding at 20 %") {
		t.Errorf("without its source: %s %s; %s %s", reason, message, cr.Status.Reason, cr.Status.Message)
	}
	time.Sleep(time.Until(gate.Add(28 * time.Second)))
	if cr := s.get(); cr.Status.Step != "1/3" || s.weight() != "20" {
		t.Errorf("the gate's time is over and nothing can be asked: step %s, weight %s, want it to hold\n%s", cr.Status.Step, s.weight(), s.story())
	}
	s.source = s.serve()
	s.await("the source to be back", time.Minute, available("True"))
	s.await("the gate to be passed", 90*time.Second, func() bool { return s.get().Status.Reason == "AwaitingApproval" })
	cr := s.get()
	if cr.Status.Verdict.Decision != "promote" || cr.Status.Progress.Attempt != 1 || !cr.Status.Progress.Gates[0].Time.Equal(gate) {
		t.Errorf("after both outages: %+v, attempt %d, gate of %s", cr.Status.Verdict, cr.Status.Progress.Attempt, cr.Status.Progress.Gates[0])
	}

	ready := func(name string) string { return s.of("deployment", name, "{.status.readyReplicas}") }
	s.await("no pod to be ready", 90*time.Second, func() bool { return ready("shop") == "" && ready("shop-canary") == "" })
	s.stays("nobody is blamed for a node", 3*time.Second, func() bool { cr := s.get(); return cr.Status.Phase == "Progressing" && s.weight() == "50" })
	component(t, ctl, "start", "kubelet")
	s.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
	s.kubectl("wait", "--for=condition=Ready", "pods", "--all", "--all-namespaces", "--field-selector=status.phase=Running", "--timeout=60s")
	s.approve(2)
	if cr := s.awaitPhase("Succeeded", 2*time.Minute); cr.Status.Progress.Attempt != 1 {
		t.Errorf("it took %d attempts", cr.Status.Progress.Attempt)
	}
	if s.controller.ProcessState != nil {
		t.Error("the controller did not live through it")
	}
}
