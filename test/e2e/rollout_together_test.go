//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/api/v1alpha1"
)

// Faults that do not disturb one another, each with a shop of its own, at the
// same time in one namespace under one controller.
func TestRolloutFaultsTogether(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.installCRDs()
	s.startController()
	var wg sync.WaitGroup
	for app, fault := range map[string]func(*canaryScene){
		"sets": (*canaryScene).statefulSets, "unpromoted": (*canaryScene).promotionFails, "scaled": (*canaryScene).autoscaled,
		"both": (*canaryScene).stableBreaksToo, "nowhere": (*canaryScene).nodeGoes, "starved": (*canaryScene).tooFewReplicas, "dark": (*canaryScene).darkCanary,
		"ill": (*canaryScene).stableFallsIll,
	} {
		wg.Go(func() { fault(s.named(app)) }) // Fatal ends the one that calls it
	}
	wg.Wait()
}

// standing applies manifests and a CanaryRelease, and waits until it is seen.
func (s *canaryScene) standing(manifests, spec string) {
	s.t.Helper()
	s.apply(manifests + s.canaryRelease(spec))
	s.await("the controller to see "+s.app, time.Minute, func() bool { return s.get().Status.Reason == "NothingToDo" })
}

// patch changes an object as people do.
func (s *canaryScene) patch(kind, name, patch string) {
	s.t.Helper()
	s.kubectl("-n", s.namespace, "patch", kind, name, "--type=merge", "-p", patch)
}

const versionPath = `{.spec.template.spec.containers[0].env[?(@.name=="APP_VERSION")].value}`

// statefulSets are rolled out and promoted like Deployments, once the time
// window opens.
func (s *canaryScene) statefulSets() {
	set := func(track, name, version string, replicas int) string {
		text := strings.Replace(s.deployment(name, track, version, replicas), "kind: Deployment", "kind: StatefulSet", 1)
		return strings.Replace(text, "  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}\n", "  serviceName: "+s.app+"\n", 1)
	}
	// Any day but this one, in any time zone.
	closed := time.Now().AddDate(0, 0, 3).Format("Mon")
	spec := "  steps: [{weight: 50}, {weight: 100}]\n  windows: [{days: [" + closed + "], from: \"00:00\", to: \"24:00\"}]\n"
	manifests := set("stable", s.app, "1.0.0", 1) + set("canary", s.canary(), "1.0.0", 0) + s.entrance()
	s.apply(manifests + strings.ReplaceAll(s.canaryRelease(spec), "workload: {name:", "workload: {kind: StatefulSet, name:"))
	s.await("the controller to see "+s.app, time.Minute, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.apply(set("canary", s.canary(), "2.0.0", -1))
	s.await("the closed window", time.Minute, func() bool { return s.get().Status.Reason == "OutsideWindow" })
	s.stays("outside its window the canary has no traffic", 3*time.Second, func() bool { return s.weight() == "0" })
	s.patch("canaryrelease", s.app, `{"spec":{"windows":[]}}`)
	s.awaitPhase("Succeeded", 3*time.Minute)
	if got := s.of("statefulset", s.app, versionPath); got != "2.0.0" || s.weight() != "0" {
		s.t.Errorf("StatefulSet: stable runs %s, weight %s", got, s.weight())
	}
}

// promotionFails: stable finds no node in the new version. The canary keeps
// serving, which is said, and another attempt succeeds when the node is there.
func (s *canaryScene) promotionFails() {
	label := "e2e-" + s.namespace
	kubectl := os.Getenv("FAIRLEAD_TEST_KUBECTL")
	s.kubectl("label", "nodes", "--all", label+"=yes")
	s.t.Cleanup(func() { _ = exec.Command(kubectl, "label", "nodes", "--all", label+"-").Run() })
	bound := strings.Replace(s.deployment(s.app, "stable", "1.0.0", 1), "    spec:\n", "    spec:\n      nodeSelector: {"+label+": \"yes\"}\n", 1)
	s.standing(bound+s.deployment(s.canary(), "canary", "1.0.0", 0)+s.entrance(), "  steps: [{weight: 50, approval: true}, {weight: 100}]\n  promotion: {timeout: 20s, keep: [spec.nodeSelector]}\n")
	s.openFront()
	s.apply(s.deployment(s.canary(), "canary", "2.0.0", -1))
	s.await("approval to be waited for", time.Minute, func() bool { return s.get().Status.Reason == "AwaitingApproval" })
	s.kubectl("label", "nodes", "--all", label+"-")
	s.approve(1)
	cr := s.awaitPhase("PromotionFailed", 2*time.Minute)
	if cr.Status.Reason != "StableNotReady" || !strings.Contains(cr.Status.Message, "the canary keeps serving: not ready within 20s") || s.weight() != "100" {
		s.t.Errorf("a promotion that fails: reason %s, weight %s, message %s", cr.Status.Reason, s.weight(), cr.Status.Message)
	}
	s.t.Logf("it says: %s", cr.Status.Message)
	s.kill("in a failed promotion, and in whatever the others are in", s.phaseIs("PromotionFailed"))
	s.await("the canary to serve", 20*time.Second, func() bool { return s.visit() == "200 2.0.0" })
	s.kubectl("label", "nodes", "--all", label+"=yes")
	s.annotate(v1alpha1.AnnotationRetry, "1")
	s.awaitPhase("Succeeded", 2*time.Minute)
	if got := s.of("deployment", s.app, versionPath); got != "2.0.0" || s.weight() != "0" {
		s.t.Errorf("after another attempt stable runs %s, weight %s", got, s.weight())
	}
}

// visit is what a user gets: status and version.
func (s *canaryScene) visit(header ...string) string {
	req, err := http.NewRequest(http.MethodGet, s.front.URL+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, "=")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	return fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get("X-App-Version"))
}

// autoscaled: a HorizontalPodAutoscaler gives stable more pods in the middle, and
// the canary follows; one that keeps the canary small is told of, and the canary
// gets no traffic that it has no pods for.
func (s *canaryScene) autoscaled() {
	s.standing(s.deployment(s.app, "stable", "1.0.0", 1)+s.deployment(s.canary(), "canary", "1.0.0", 0)+s.entrance(), "  steps: [{weight: 50, approval: true}, {weight: 100}]\n")
	s.apply(s.deployment(s.canary(), "canary", "2.0.0", -1))
	s.await("approval to be waited for", time.Minute, func() bool { return s.get().Status.Reason == "AwaitingApproval" })
	s.apply(fmt.Sprintf(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %[1]s}
  minReplicas: 4
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`, s.app, s.namespace))
	replicas := func() string { return s.of("deployment", s.canary(), "{.spec.replicas}") }
	s.await("the canary to follow stable", time.Minute, func() bool {
		return s.of("deployment", s.app, "{.spec.replicas}") == "4" && replicas() == "2"
	})
	// Somebody keeps on taking the canary's pods: not for ever.
	taken := 0
	s.await("the canary to be left as somebody wants it", time.Minute, func() bool {
		if replicas() == "2" {
			s.kubectl("-n", s.namespace, "scale", "deployment", s.canary(), "--replicas=1")
			taken++
			time.Sleep(1500 * time.Millisecond)
		}
		return s.get().Status.Progress.Resizes == 5
	})
	s.t.Logf("the canary was given its pods again %d times", taken-1)
	s.kubectl("-n", s.namespace, "scale", "deployment", s.canary(), "--replicas=2")
	s.approve(1)
	s.awaitPhase("Succeeded", 2*time.Minute)
	if got := s.of("deployment", s.app, "{.spec.replicas}") + " " + s.of("deployment", s.app, versionPath); got != "4 2.0.0" {
		s.t.Errorf("stable has %s, want the 4 pods of its autoscaler, promoted", got)
	}
}

// stableBreaksToo: both tracks crash, so the canary is not blamed; when stable is
// well again it is.
func (s *canaryScene) stableBreaksToo() {
	crash := "SHOP_LATENCY=slow"
	s.standing(s.deployment(s.app, "stable", "1.0.0", 1)+s.deployment(s.canary(), "canary", "1.0.0", 0)+s.entrance(), "  steps: [{weight: 5, gate: 10m}, {weight: 100}]\n")
	s.apply(s.deployment(s.app, "stable", "1.0.1", 1, crash))
	s.await("stable to crash", 2*time.Minute, func() bool {
		return strings.Contains(s.kubectl("-n", s.namespace, "get", "pods", "-l", "app="+s.app+",track=stable"), "CrashLoopBackOff")
	})
	s.apply(s.deployment(s.canary(), "canary", "2.0.0", -1, crash))
	s.await("the canary to crash", 2*time.Minute, func() bool {
		return strings.Contains(s.kubectl("-n", s.namespace, "get", "pods", "-l", "app="+s.app+",track=canary"), "CrashLoopBackOff")
	})
	s.stays("both crash: nobody is blamed", 5*time.Second, func() bool { return s.get().Status.Phase == "Progressing" })
	s.apply(s.deployment(s.app, "stable", "1.0.0", 1))
	if cr := s.awaitPhase("RolledBack", 2*time.Minute); cr.Status.Reason != "CanaryBroken" || s.weight() != "0" {
		s.t.Errorf("the canary alone crashes: reason %s, weight %s", cr.Status.Reason, s.weight())
	}
}

// nodeGoes: the only node that may run the canary is taken away with its pod.
// Without a ready pod and with traffic it is rolled back long before any
// statistics could tell.
func (s *canaryScene) nodeGoes() {
	label := "e2e-canary-" + s.namespace
	kubectl := os.Getenv("FAIRLEAD_TEST_KUBECTL")
	s.kubectl("label", "nodes", "--all", label+"=yes")
	s.t.Cleanup(func() { _ = exec.Command(kubectl, "label", "nodes", "--all", label+"-").Run() })
	canary := func(version string, replicas int) string {
		return strings.Replace(s.deployment(s.canary(), "canary", version, replicas), "    spec:\n", "    spec:\n      nodeSelector: {"+label+": \"yes\"}\n", 1)
	}
	s.apply(s.deployment(s.app, "stable", "1.0.0", 1) + canary("2.0.0", 0) + s.entrance())
	s.openFront()
	s.apply(s.canaryRelease("  steps: [{weight: 50, gate: 10m}, {weight: 100}]\n"))
	s.await("the gate", time.Minute, func() bool { return s.weight() == "50" })
	s.kubectl("label", "nodes", "--all", label+"-")
	gone := time.Now()
	s.kubectl("-n", s.namespace, "delete", "pods", "-l", "app="+s.app+",track=canary", "--grace-period=0", "--force")
	cr := s.awaitPhase("RolledBack", 2*time.Minute)
	s.t.Logf("a canary without a node was rolled back after %s: %s", time.Since(gone).Round(time.Second), cr.Status.Message)
	if cr.Status.Reason != "CanaryBroken" || !strings.Contains(cr.Status.Message, "none of the canary's pods has been ready for 30s, and it has 50 %") || s.weight() != "0" {
		s.t.Errorf("a canary without a node: reason %s, weight %s, message %s", cr.Status.Reason, s.weight(), cr.Status.Message)
	}
	s.await("every user to reach stable", 20*time.Second, func() bool {
		for range 10 {
			if s.visit() != "200 1.0.0" {
				return false
			}
		}
		return true
	})
}

// tooFewReplicas: of the two pods that the canary needs one finds no room. It
// gets no traffic, and the deadline decides.
func (s *canaryScene) tooFewReplicas() {
	// Pods of one node keep apart: the second has nowhere to go.
	apart := fmt.Sprintf("    spec:\n      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: %s, track: canary}}}]}}\n", s.app)
	canary := func(version string, replicas int) string {
		return strings.Replace(s.deployment(s.canary(), "canary", version, replicas), "    spec:\n", apart, 1)
	}
	s.apply(s.deployment(s.app, "stable", "1.0.0", 2) + canary("2.0.0", 0) + s.entrance() + s.canaryRelease("  steps: [{weight: 60}, {weight: 100}]\n  deadline: 50s\n"))
	s.await("the second pod to be waited for", 70*time.Second, func() bool {
		return strings.Contains(s.get().Status.Message, "1 of 2 canary pods ready for 60 %") && s.weight() == "0"
	})
	if cr := s.awaitPhase("RolledBack", 90*time.Second); cr.Status.Reason != "Inconclusive" || s.weight() != "0" {
		s.t.Errorf("a canary with too few pods: reason %s, weight %s, message %s", cr.Status.Reason, s.weight(), cr.Status.Message)
	}
}

// darkCanary: at weight 0 testers reach the canary by a header, and users do not,
// until a person has approved it.
func (s *canaryScene) darkCanary() {
	testers := fmt.Sprintf("  rules:\n  - matches: [{headers: [{name: X-Canary, value: always}]}]\n    backendRefs: [{name: %s, port: 80}]\n", s.canary())
	s.standing(s.deployment(s.app, "stable", "1.0.0", 1)+s.deployment(s.canary(), "canary", "1.0.0", 0)+strings.Replace(s.entrance(), "  rules:\n", testers, 1),
		"  steps: [{weight: 0, approval: true}, {weight: 100}]\n")
	s.openFront()
	s.apply(s.deployment(s.canary(), "canary", "2.0.0", -1))
	s.await("approval to be waited for", time.Minute, func() bool { return s.get().Status.Reason == "AwaitingApproval" })
	s.await("testers to reach the canary", 20*time.Second, func() bool { return s.visit("X-Canary=always") == "200 2.0.0" })
	s.stays("users reach stable alone", 2*time.Second, func() bool { return s.visit() == "200 1.0.0" && s.weight() == "0" })
	s.approve(1)
	s.awaitPhase("Succeeded", 2*time.Minute)
}

// stableFallsIll: stable begins to fail its users in the middle of a gate. The
// canary is neither blamed nor promoted until stable is well.
func (s *canaryScene) stableFallsIll() {
	s.standing(s.deployment(s.app, "stable", "1.0.0", 1)+s.deployment(s.canary(), "canary", "1.0.0", 0)+s.entrance(), `  steps: [{weight: 50, gate: 45s}, {weight: 100}]
  analysis: {scrapeInterval: 1s, window: 10s, history: 1m, errorsAbsent: zero}
`)
	s.openFront()
	s.users(30)
	s.apply(s.deployment(s.canary(), "canary", "2.0.0", -1))
	s.await("a look in the gate", time.Minute, func() bool { return s.get().Status.Verdict != nil })
	s.apply(s.deployment(s.app, "stable", "1.0.1", 1, "SHOP_ERROR_RATE=0.9"))
	s.await("stable to be found ill", time.Minute, func() bool {
		v := s.get().Status.Verdict
		return v != nil && v.Reason == "stable_unhealthy" && v.Decision == "continue"
	})
	s.stays("a canary is not judged by an ill stable", 3*time.Second, func() bool { return s.get().Status.Step == "1/2" && s.weight() == "50" })
	s.apply(s.deployment(s.app, "stable", "1.0.0", 1))
	s.await("the gate to be passed", 3*time.Minute, func() bool { return s.get().Status.Step == "2/2" })
}
