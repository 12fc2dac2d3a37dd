//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newHelmShop installs the shop 1.0.0 as the stable release of the test chart,
// with Helm 3 or 4 and a route that lives outside of it, and writes a release.yaml.
func newHelmShop(t *testing.T, major int, steps string) (s *canaryScene, file string) {
	t.Helper()
	s = newShop(t)
	s.major, s.helm = major, os.Getenv(fmt.Sprintf("FAIRLEAD_TEST_HELM%d", major))
	dir := t.TempDir()
	values := filepath.Join(dir, "values.yaml")
	s.write(values, fmt.Sprintf(`
image: %s
replicas: 2
terminationGracePeriodSeconds: 15
strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
labels: {track: stable}
env:
  APP_VERSION: 1.0.0
  DEPLOYMENT_TRACK: stable
  OTEL_EXPORTER_OTLP_ENDPOINT: %s
  OTEL_METRIC_EXPORT_INTERVAL: "1000"
  OTEL_BSP_SCHEDULE_DELAY: "500"
  SHOP_ERROR_RATE: "0"
  SHOP_LINGER: 3s
`, shopImage, s.otlp))
	s.must("install", "shop", appChart, "--values", values, "--wait")
	s.apply(fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop-route, namespace: %s}
spec:
  parentRefs: [{name: gateway, namespace: default}]
  hostnames: [%q]
  rules:
  - backendRefs:
    - {name: shop, port: 80}
    - {name: shop-canary, port: 80, weight: 0}
`, s.namespace, s.host()))
	s.openFront()
	file = filepath.Join(dir, "release.yaml")
	s.write(file, fmt.Sprintf(`
apiVersion: fairlead.dev/v1alpha1
kind: CanaryRelease
metadata: {name: shop}
spec:
  service: shop
  stable: {workload: {name: shop}, service: shop}
  canary: {workload: {name: shop-canary}, service: shop-canary}
  traffic: {httpRoute: {name: shop-route}}
%s  helm:
    chart: %s
    stable: shop
    canary: shop-canary
    values: [%s]
    canarySet: [labels.track=canary, env.DEPLOYMENT_TRACK=canary]
`, steps, appChart, values))
	return s, file
}

func (s *canaryScene) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// startRollout begins `rollout run`, as a pipeline does.
func (s *canaryScene) startRollout(file string, more ...string) (*exec.Cmd, *safeBuffer) {
	s.t.Helper()
	cmd := s.command(s.t.Context(), append([]string{"rollout", "run", "-f", file, "--server", s.server, "--progress", "plain"}, more...)...)
	out := &safeBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { end(cmd) })
	return cmd, out
}

// endOf waits for a rollout and returns its exit code.
func (s *canaryScene) endOf(cmd *exec.Cmd) int {
	_ = cmd.Wait() // the code says it
	return cmd.ProcessState.ExitCode()
}

func (s *canaryScene) routeWeight() string {
	s.t.Helper()
	return s.kubectl("-n", s.namespace, "get", "httproute", "shop-route", "-o", `jsonpath={.spec.rules[0].backendRefs[?(@.name=="shop-canary")].weight}`)
}

// A good canary of two Helm releases goes through all steps, from a pipeline
// without a controller; no request fails; all of it is one trace.
func TestHelmRolloutOfAGoodCanary(t *testing.T) {
	t.Parallel()
	s, file := newHelmShop(t, 4, shortGates)
	stop := s.users(100)
	cmd, out := s.startRollout(file, "--set", "env.APP_VERSION=2.0.0")
	code := s.endOf(cmd)
	time.Sleep(2 * time.Second)
	stats := stop()
	t.Logf("rollout run:\n%s", out)
	t.Logf("%d requests, %d failed; 1.0.0 answered %d, 2.0.0 %d", stats.Sent, stats.Failed, s.front.count("1.0.0"), s.front.count("2.0.0"))
	if code != 0 || stats.Failed != 0 || s.front.count("2.0.0") == 0 {
		t.Errorf("exit code %d, %d of %d requests failed\n%s", code, stats.Failed, stats.Sent, s.front.story())
	}
	if got := s.history("shop"); got != "1 superseded, 2 deployed" {
		t.Errorf("history of stable: %q", got)
	}
	if got := s.history("shop-canary"); got != "" {
		t.Errorf("the canary release is still there: %q", got)
	}
	if w := s.routeWeight(); w != "0" {
		t.Errorf("in the end the canary has weight %s", w)
	}
	if got := s.fairlead("rollout", "get", "shop", "-n", s.namespace); !strings.Contains(got.stdout, "Succeeded") {
		t.Errorf("rollout get: %d %s%s", got.code, got.stdout, got.stderr)
	}
	tr := s.collector.trace(t)
	for _, name := range []string{"rollout-run", "helm-upgrade", "helm-uninstall"} {
		if len(tr.named(name)) == 0 {
			t.Errorf("the trace has no span %s", name)
		}
	}
	if n := len(tr.named("helm-upgrade")); n != 2 {
		t.Errorf("%d spans helm-upgrade, want canary and stable", n)
	}
	if n := len(s.collector.events("canary.rollout")); n < 5 {
		t.Errorf("%d records of the rollout", n)
	}
}

// A canary with errors on one route of eight is taken back, and the pipeline
// sees exit code 2; with Helm 3.
func TestHelmRolloutOfABadCanary(t *testing.T) {
	t.Parallel()
	s, file := newHelmShop(t, 3, strings.Replace(shortGates, "gate: 25s", "gate: 2m", 1))
	summary := filepath.Join(t.TempDir(), "summary.md")
	s.env = append(s.env, "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+summary)
	stop := s.users(100)
	cmd, out := s.startRollout(file, "--set", "env.APP_VERSION=2.0.0,env.SHOP_FAULT_ROUTE=/search,env.SHOP_FAULT_ERROR_RATE=0.5")
	code := s.endOf(cmd)
	stats := stop()
	t.Logf("rollout run:\n%s", out)
	t.Logf("%d requests, %d failed", stats.Sent, stats.Failed)
	if code != 2 {
		t.Errorf("exit code %d, want 2\n%s", code, s.front.story())
	}
	if got := s.history("shop"); got != "1 deployed" {
		t.Errorf("history of stable: %q, want it untouched", got)
	}
	if got := s.history("shop-canary"); got != "" {
		t.Errorf("the canary release is still there: %q", got)
	}
	if w := s.routeWeight(); w != "0" {
		t.Errorf("in the end the canary has weight %s", w)
	}
	text, err := os.ReadFile(summary)
	if err != nil || !strings.Contains(string(text), "Rollout of shop rolled back") || !strings.Contains(string(text), "error_rate") {
		t.Errorf("step summary: %v\n%s", err, text)
	}
	t.Logf("step summary:\n%s", text)
	if !strings.Contains(out.String(), "::error title=Rollout of shop rolled back::") {
		t.Error("no annotation of the job")
	}
}

// deployer returns a kubeconfig of a pipeline's account: with what Helm needs for
// the test chart, and what `export rbac` grants to wrapper and rollout.
func (s *canaryScene) deployer() string {
	s.t.Helper()
	for _, part := range []string{"wrapper", "rollout"} {
		s.apply(s.fairlead("export", "rbac", part, "--namespace", s.namespace, "--own-namespace", s.namespace, "--service-account", "deployer").stdout)
	}
	s.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helm, namespace: %[1]s}
rules:
- {apiGroups: [""], resources: [secrets, services], verbs: [get, list, watch, create, update, patch, delete]}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helm, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helm}
subjects: [{kind: ServiceAccount, name: deployer, namespace: %[1]s}]
`, s.namespace))
	return s.kubeconfigOf("deployer")
}

// A pipeline that is killed in a gate leaves the weight where it is; the same
// command goes on with the same rollout. With Helm 3, and with no more rights than
// are documented.
func TestHelmRolloutGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	s, file := newHelmShop(t, 3, shortGates)
	stop := s.users(100)
	args := []string{"--kubeconfig", s.deployer(), "--set", "env.APP_VERSION=2.0.0"}
	cmd, out := s.startRollout(file, args...)
	s.await("the second gate: "+out.String(), 2*time.Minute, func() bool {
		return strings.Contains(out.String(), "step 2/4 25 %") || cmd.ProcessState != nil
	})
	end(cmd) // SIGKILL
	time.Sleep(2 * time.Second)
	if w := s.routeWeight(); w != "25" {
		t.Errorf("after the kill the canary has weight %s, want the 25 it had\n%s", w, out)
	}
	// Nobody drives it now, and people can still say what they want.
	if r := s.fairlead("rollout", "pause", "shop", "-n", s.namespace); r.code != 0 || !strings.Contains(r.stdout, "paused at 25 %") {
		t.Errorf("pause: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := s.fairlead("rollout", "resume", "shop", "-n", s.namespace); r.code != 0 {
		t.Errorf("resume: %d %s%s", r.code, r.stdout, r.stderr)
	}
	killed := time.Now()
	cmd, again := s.startRollout(file, args...)
	code := s.endOf(cmd)
	time.Sleep(2 * time.Second)
	stats := stop()
	t.Logf("rollout run, killed:\n%s\nand again, ended %s after the kill:\n%s", out, time.Since(killed).Round(time.Second), again)
	if code != 0 || !strings.Contains(again.String(), "goes on with rollout") || stats.Failed != 0 {
		t.Errorf("exit code %d, %d of %d requests failed\n%s", code, stats.Failed, stats.Sent, s.front.story())
	}
	if got := s.history("shop"); got != "1 superseded, 2 deployed" {
		t.Errorf("history of stable: %q", got)
	}
	var ids []string
	for _, r := range s.collector.events("canary.rollout") {
		id, _ := r.Attributes().Get("rollout.id")
		if !slices.Contains(ids, id.AsString()) {
			ids = append(ids, id.AsString())
		}
	}
	if len(ids) != 1 {
		t.Errorf("rollouts %q, want one", ids)
	}
	s.collector.trace(t) // one
	for _, text := range []string{out.String(), again.String()} {
		if strings.Contains(text, "forbidden") {
			t.Errorf("a right is missing:\n%s", text)
		}
	}
}

// What two releases of one chart would do to each other is said before anything
// is deployed.
func TestHelmRolloutIsLinted(t *testing.T) {
	t.Parallel()
	s, file := newHelmShop(t, 4, shortGates)
	r := s.fairlead("rollout", "run", "-f", file, "--server", s.server, "--set", "hook.enabled=true")
	if r.code != 1 || !strings.Contains(r.stderr, "is a hook (pre-install, pre-upgrade) of both releases and would run twice") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	if got := s.history("shop-canary"); got != "" {
		t.Errorf("the canary was deployed: %q", got)
	}
	r = s.fairlead("rollout", "run", "-f", file, "--server", s.server, "--set", "fail=no database")
	if r.code != 1 || !strings.Contains(r.stderr, "no database") {
		t.Errorf("a chart that cannot be rendered: exit code %d\n%s", r.code, r.stderr)
	}
}

// Where the CanaryRelease is in the cluster its controller moves the weights,
// and the pipeline deploys, promotes and waits; a stable that Helm cannot upgrade
// leaves the canary serving, and the same command tries again.
func TestHelmRolloutThatAControllerDrives(t *testing.T) {
	t.Parallel()
	s, file := newHelmShop(t, 4, `  steps: [{weight: 50, gate: 8s}, {weight: 100}]
  deadline: 5m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
  promotion: {strategy: helm}
`)
	s.installCRDs()
	stop := s.users(100)
	s.startController()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.apply(strings.Replace(string(text), "metadata: {name: shop}", "metadata: {name: shop, namespace: "+s.namespace+"}", 1))
	// A Job that fails keeps the promotion, and only that, from being made.
	cmd, out := s.startRollout(file, "--set", "env.APP_VERSION=2.0.0", "--lint", "warn", "--", "--set", "hook.types=pre-upgrade,hook.enabled=true,hook.image=fairlead.test/app:v1,hook.result=fail")
	code := s.endOf(cmd)
	t.Logf("rollout run with a promotion that fails:\n%s", out)
	if code != 3 || !strings.Contains(out.String(), "the controller drives CanaryRelease") || !strings.Contains(out.String(), "the canary keeps serving all traffic") {
		t.Errorf("exit code %d, want 3\n%s", code, s.story())
	}
	if w := s.routeWeight(); w != "100" {
		t.Errorf("weight %s, want the canary to serve everything", w)
	}
	stop()
}
