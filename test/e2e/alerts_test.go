//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/alerting/alertmanagertest"
)

// writerToken may do everything in a test's own server.
const writerToken = "writer-of-this-test-alone"

// startWatched starts a server that tells the Alertmanager of its alerts, and
// lets writerToken act. More are further sections of its file.
func (s *canaryScene) startWatched(am alertmanagertest.Alertmanager, listen string, more ...string) {
	s.t.Helper()
	s.token = writerToken
	s.env = append(s.env, "FAIRLEAD_TOKEN="+writerToken, "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+writerToken)
	file := s.file("fairlead.yaml", fmt.Sprintf(`
alerts:
  interval: 1s
  receivers: [{name: pager, alertmanager: %q, repeat: 10s}]
auth:
  tokens: [{name: on-call, env: FAIRLEAD_TOKEN, access: [ingest, read, write]}]
`, am.URL))
	s.startServer(listen, append([]string{"--config", file}, more...)...)
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.otlp, "FAIRLEAD_SERVER="+s.server, "FAIRLEAD_CLUSTER_NAME=staging")
}

// deploy runs `fairlead helm` for a release of the test chart and checks how it
// ended.
func (s *scene) deploy(code int, verb, name string, set ...string) {
	s.t.Helper()
	args := []string{"--progress", "none", "--auto-rollback", "helm", verb, name, appChart, "--wait", "--timeout", "60s"}
	for _, one := range set {
		args = append(args, "--set", one)
	}
	if r := s.fairlead(args...); r.code != code {
		s.t.Errorf("helm %s %s %v: exit code %d, want %d\n%s", verb, name, set, r.code, code, r.stderr)
	}
}

// baseline gives a release as many quick deployments as a P99 needs.
func (s *scene) baseline(name string) {
	s.t.Helper()
	s.deploy(0, "install", name, "replicas=0")
	for i := range 19 {
		s.deploy(0, "upgrade", name, "replicas=0", "configMap.enabled=true", fmt.Sprintf("configMap.data.build=b%d", i))
	}
}

// failing gives a release four upgrades in a row that fail and are rolled back.
func (s *scene) failing(name string) {
	s.t.Helper()
	s.deploy(0, "install", name)
	for range 4 {
		s.deploy(1, "upgrade", name, "hook.enabled=true", "hook.result=fail")
	}
}

// The three alerts of real deployments fire in a real Alertmanager, the slow one
// while it still runs; a good deployment ends the one that it can end.
func TestAlertsOfRealDeployments(t *testing.T) {
	t.Parallel()
	am := alertmanagertest.Start(t)
	s := &canaryScene{scene: newScene(t, 4), log: &safeBuffer{}}
	s.startWatched(am, "127.0.0.1")
	other := newScene(t, 3)
	s.collector, other.collector, other.env = nil, nil, s.env

	var wg sync.WaitGroup
	wg.Go(func() { other.failing("cart") })
	s.baseline("checkout")
	wg.Wait()
	am.Await(20*time.Second, "HelmDeploymentsFailing", "HelmRollbackRateHigh")

	slow := s.command(t.Context(), "--progress", "none", "helm", "upgrade", "checkout", appChart, "--wait", "--timeout", "5m",
		"--set", "replicas=0,hook.enabled=true,hook.after=4m")
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	am.Await(2*time.Minute, "HelmDeploymentSlow", "HelmDeploymentsFailing", "HelmRollbackRateHigh")
	t.Logf("while it runs:\n%s", s.fairlead("alerts", "list").stdout)
	for _, a := range am.Active() {
		want := map[string]string{"HelmDeploymentSlow": s.namespace, "HelmDeploymentsFailing": other.namespace, "HelmRollbackRateHigh": other.namespace}[a.Name()]
		if a.Labels["helm_namespace"] != want || a.Labels["k8s_cluster_name"] != "staging" || a.Annotations["summary"] == "" {
			t.Errorf("alert %v %v", a.Labels, a.Annotations)
		}
		if a.Name() == "HelmDeploymentsFailing" && !strings.Contains(a.Annotations["cause"], "cart-hook") {
			t.Errorf("the failing deployments have the cause %q, want the hook's job", a.Annotations["cause"])
		}
	}
	_ = slow.Process.Signal(syscall.SIGTERM)
	_ = slow.Wait()
	other.deploy(0, "upgrade", "cart")
	am.Await(30*time.Second, "HelmDeploymentSlow", "HelmRollbackRateHigh")

	// A test-fire from the command line goes the same way.
	if r := s.fairlead("alerts", "test", "ReleaseStuckPending"); r.code != 0 || !strings.Contains(r.stdout, "pager") {
		t.Errorf("alerts test: %d %s%s", r.code, r.stdout, r.stderr)
	}
	am.Await(10*time.Second, "HelmDeploymentSlow", "HelmRollbackRateHigh", "ReleaseStuckPending")
	if r := s.fairlead("alerts", "list"); !strings.Contains(r.stdout, "resolved") {
		t.Errorf("the list does not say that one is resolved:\n%s", r.stdout)
	}
}

// authorized adds the scene's token to a request.
func (s *canaryScene) authorized(r *http.Request) *http.Request {
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	return r
}
