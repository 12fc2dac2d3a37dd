//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/notify"
)

// The schema refuses what cannot be rolled out, and names the field.
func TestCanaryReleaseSchema(t *testing.T) {
	s := newCanaryScene(t)
	for name, c := range map[string]struct{ spec, want string }{
		"weights fall":      {"  steps: [{weight: 50}, {weight: 5}, {weight: 100}]\n", "spec.steps: Invalid value: weights must rise"},
		"not to the end":    {"  steps: [{weight: 5}, {weight: 50}]\n", "the weight of the last step must be 100"},
		"twice":             {"  steps: [{weight: 5}, {weight: 5}, {weight: 100}]\n", ".spec.steps: duplicate entries for key [weight=5]"},
		"no duration":       {"  deadline: soon\n", "spec.deadline: Invalid value"},
		"unknown field":     {"  weight: 5\n", "spec.weight: field not declared in schema"},
		"one Service":       {"  canary: {workload: {name: shop-canary}, service: shop}\n", "spec.canary.service: Invalid value: must not be the Service of stable"},
		"DaemonSet":         {"  canary: {workload: {kind: DaemonSet, name: shop-canary}, service: shop-canary}\n", "a DaemonSet has a pod on every node"},
		"two routes":        {"  traffic: {httpRoute: {name: shop}, ingress: {name: shop}}\n", "set exactly one of httpRoute"},
		"window":            {"  windows: [{from: '17:00', to: '09:00'}]\n", "must be later than from"},
		"credentials in it": {"  source: {prometheus: {url: 'http://me:secret@prometheus'}}\n", "spec.source.prometheus.url: Invalid value"},
	} {
		spec := s.canaryRelease("")
		for key := range map[string]bool{"canary": true, "traffic": true} {
			if strings.Contains(c.spec, "  "+key+":") {
				spec = cutLine(spec, "  "+key+":")
			}
		}
		out, err := s.tryApply(spec + c.spec)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: answer %q, want %q in it", name, out, c.want)
		}
	}
	s.apply(s.canaryRelease(""))
	if cr := s.get(); len(cr.Spec.Steps) != 4 || cr.Spec.Deadline == nil || cr.Spec.Promotion.Strategy != "template" {
		t.Errorf("defaults are missing: %+v", cr.Spec)
	}
}

func cutLine(text, prefix string) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, prefix) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// annotate sets an annotation as people do.
func (s *canaryScene) annotate(name, value string) {
	s.t.Helper()
	s.kubectl("-n", s.namespace, "annotate", "--overwrite", "canaryrelease", s.app, name+"="+value)
}

func (s *canaryScene) setWeight(canary int) {
	s.t.Helper()
	s.kubectl("-n", s.namespace, "patch", "httproute", s.app, "--type=json", "-p",
		fmt.Sprintf(`[{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":%d},{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":%d}]`, 100-canary, canary))
}

func (s *canaryScene) condition(kind string) (status, reason, message string) {
	s.t.Helper()
	cr := s.get()
	c := meta.FindStatusCondition(cr.Status.Conditions, kind)
	if c == nil {
		return "", "", ""
	}
	return string(c.Status), c.Reason, c.Message
}

// gating waits until the canary of that version is in the gate of the first step.
func (s *canaryScene) gating(version string) v1alpha1.CanaryRelease {
	s.t.Helper()
	var cr v1alpha1.CanaryRelease
	s.await("the gate of "+version, 60*time.Second, func() bool {
		cr = s.get()
		return cr.Status.Phase == "Progressing" && cr.Status.CanaryVersion == version && cr.Status.Progress.GateStarted != nil && s.weight() == "5"
	})
	return cr
}

// What goes wrong in a rollout without a single request.
func TestRolloutFaults(t *testing.T) {
	t.Parallel()
	s := newCanaryScene(t)
	s.startController()
	s.apply(s.canaryRelease(`  steps: [{weight: 5, gate: 3s}, {weight: 100}]
  deadline: 10m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m}
`))
	s.await("the controller to see that there is nothing to do", 20*time.Second, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.ownedByOthers()
	canary := func(version string, more ...string) {
		s.apply(s.deployment("shop-canary", "canary", version, -1, more...))
	}

	canary("2.0.0")
	first := s.gating("2.0.0")
	s.await("a look", 20*time.Second, func() bool { return s.get().Status.Verdict != nil })
	time.Sleep(8 * time.Second)
	if cr := s.get(); cr.Status.Phase != "Progressing" || cr.Status.Step != "1/2" || cr.Status.Verdict.Decision != "continue" {
		t.Errorf("without traffic: phase %s, step %s, verdict %+v; want it to wait\n%s", cr.Status.Phase, cr.Status.Step, cr.Status.Verdict, s.story())
	}

	// Somebody edits the route once.
	began := time.Now()
	s.setWeight(80)
	s.await("the route to be set back", 10*time.Second, func() bool { return s.weight() == "5" })
	t.Logf("an edited route was set back within %s", time.Since(began).Round(time.Millisecond))

	// Somebody keeps on editing it.
	s.await("condition RouteContested", 30*time.Second, func() bool {
		if s.weight() == "5" {
			s.setWeight(80)
		}
		status, _, _ := s.condition("RouteContested")
		return status == "True"
	})
	s.setWeight(5)
	s.await("the quarrel to end", 45*time.Second, func() bool { status, _, _ := s.condition("RouteContested"); return status == "False" })

	// A second CanaryRelease wants the same route.
	s.apply(strings.Replace(s.canaryRelease(""), "{name: shop,", "{name: shop-too,", 1))
	s.await("the second CanaryRelease to be refused", 20*time.Second, func() bool {
		return strings.Contains(s.kubectl("-n", s.namespace, "get", "canaryrelease", "shop-too", "-o", "jsonpath={.status.conditions}"), "in use by CanaryRelease shop")
	})
	s.kubectl("-n", s.namespace, "delete", "canaryrelease", "shop-too", "--timeout=20s")
	if s.weight() != "5" {
		t.Errorf("the end of the second changed the route of the first to %s", s.weight())
	}

	// A new version comes in the middle.
	canary("2.1.0")
	second := s.gating("2.1.0")
	if second.Status.RolloutID == first.Status.RolloutID || second.Status.Progress.Attempt != 2 {
		t.Errorf("a new version goes on in the rollout of the old one: %s, attempt %d", second.Status.RolloutID, second.Status.Progress.Attempt)
	}

	// A person aborts; then tries again, and deletes it in the middle.
	s.annotate(v1alpha1.AnnotationAbort, second.Status.RolloutID)
	if cr := s.awaitPhase("RolledBack", 30*time.Second); cr.Status.Reason != "Aborted" || s.weight() != "0" {
		t.Errorf("aborted: reason %s, weight %s", cr.Status.Reason, s.weight())
	}
	s.annotate(v1alpha1.AnnotationRetry, "1")
	s.await("another attempt", 60*time.Second, func() bool {
		cr := s.get()
		return cr.Status.Phase == "Progressing" && cr.Status.Progress.Attempt == 3 && s.weight() == "5"
	})

	// The new version never starts.
	canary("2.2.0", "SHOP_LATENCY=slow")
	began = time.Now()
	cr := s.awaitPhase("RolledBack", 2*time.Minute)
	t.Logf("a canary that crashes was rolled back after %s: %s", time.Since(began).Round(time.Second), cr.Status.Message)
	if cr.Status.Reason != "CanaryBroken" || !strings.Contains(cr.Status.Message, "CrashLoopBackOff") || s.weight() != "0" {
		t.Errorf("a crashing canary: reason %s, weight %s, message %s", cr.Status.Reason, s.weight(), cr.Status.Message)
	}

	canary("2.3.0")
	s.gating("2.3.0")
	s.kubectl("-n", s.namespace, "delete", "canaryrelease", "shop", "--timeout=30s")
	if s.weight() != "0" {
		t.Errorf("after its end the route gives the canary %s", s.weight())
	}
}

// ownedByOthers: a stable or a route that Argo CD or Flux would set back is
// refused, with what to do about it; and accepted once that is done.
func (s *canaryScene) ownedByOthers() {
	s.t.Helper()
	refused := func(reason, text string) {
		s.t.Helper()
		s.await("refusal: "+text, 20*time.Second, func() bool {
			status, why, message := s.condition(v1alpha1.ConditionAccepted)
			return status == "False" && why == reason && strings.Contains(message, text)
		})
	}
	accepted := func() {
		s.t.Helper()
		s.await("it to be accepted", 20*time.Second, func() bool { status, _, _ := s.condition(v1alpha1.ConditionAccepted); return status == "True" })
	}
	s.kubectl("-n", s.namespace, "label", "deployment", s.app, "kustomize.toolkit.fluxcd.io/name=shop")
	refused("StableOwned", "which Flux Kustomization shop owns and would set back: promote with spec.promotion.strategy helm or external instead")
	s.kubectl("-n", s.namespace, "label", "deployment", s.app, "kustomize.toolkit.fluxcd.io/name-")
	accepted()
	s.kubectl("-n", s.namespace, "annotate", "httproute", s.app, "argocd.argoproj.io/tracking-id=shop:gateway/HTTPRoute:shop/shop")
	refused("RouteNotUsable", `would reset the weights: have it ignore differences in the weights, then annotate the route with fairlead.dev/weights-ignored: "true"`)
	s.kubectl("-n", s.namespace, "annotate", "httproute", s.app, "fairlead.dev/weights-ignored=true")
	accepted()
}

// A source of samples that is away holds the rollout, which says so; the
// deadline decides. People approve steps and pause.
func TestRolloutWithoutASource(t *testing.T) {
	t.Parallel()
	s := newCanaryScene(t)
	s.startController()
	hooks := &receiver{t: t, key: []byte("a key of this test")}
	server := httptest.NewServer(hooks)
	defer server.Close()
	s.kubectl("-n", s.namespace, "create", "secret", "generic", "hooks", "--from-literal=key="+string(hooks.key))
	s.apply(s.canaryRelease(fmt.Sprintf(`  steps: [{weight: 5, approval: true}, {weight: 10, gate: 2s}, {weight: 100}]
  deadline: 60s
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m}
  source: {prometheus: {url: "http://127.0.0.1:9"}}
  webhooks:
  - {name: freeze, stage: beforeStep, url: %[1]q, secret: {name: hooks, key: key}}
  - {name: page, stage: afterRollback, url: %[1]q, secret: {name: hooks, key: key}}
`, server.URL)))
	s.await("the controller to see that there is nothing to do", 20*time.Second, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1))
	s.await("approval to be waited for", 40*time.Second, func() bool { return s.get().Status.Reason == "AwaitingApproval" })
	s.kubectl("-n", s.namespace, "patch", "canaryrelease", "shop", "--type=merge", "-p", `{"spec":{"pause":true}}`)
	s.await("the pause", 10*time.Second, func() bool { return s.get().Status.Reason == "Paused" })
	s.kubectl("-n", s.namespace, "patch", "canaryrelease", "shop", "--type=merge", "-p", `{"spec":{"pause":false}}`)
	s.annotate(v1alpha1.AnnotationApprove, v1alpha1.ApproveValue(s.get().Status.RolloutID, 1))
	s.await("the analysis to be unavailable", 30*time.Second, func() bool {
		status, reason, _ := s.condition(v1alpha1.ConditionAnalysisAvailable)
		return status == "False" && reason == "AnalysisError" && s.weight() == "10"
	})
	_, _, message := s.condition(v1alpha1.ConditionAnalysisAvailable)
	t.Logf("it says: %s", message)
	if cr := s.awaitPhase("RolledBack", 90*time.Second); cr.Status.Reason != "Inconclusive" || s.weight() != "0" {
		t.Errorf("at the deadline: reason %s, weight %s", cr.Status.Reason, s.weight())
	}
	// The first call got no answer and was made again.
	if got := strings.Join(hooks.stages(), " "); got != "beforeStep/1 beforeStep/1 beforeStep/2 afterRollback/2" {
		t.Errorf("webhooks were called for %s", got)
	}
}

// receiver is a webhook that is away at first, and checks signatures.
type receiver struct {
	t     *testing.T
	key   []byte
	mu    sync.Mutex
	calls []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = notify.Verify(req.Header, r.key, body, time.Now(), time.Minute)
	}
	var call struct {
		Stage string `json:"stage"`
		Step  int    `json:"step"`
	}
	if err == nil {
		err = json.Unmarshal(body, &call)
	}
	if err != nil {
		r.t.Errorf("webhook: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf("%s/%d", call.Stage, call.Step))
	if len(r.calls) == 1 {
		http.Error(w, "not yet", http.StatusServiceUnavailable)
	}
}

func (r *receiver) stages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}
