//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestStory checks what goes with a failing upgrade in CI: the context from the
// environment, the pipeline's attributes, events and snapshot in the trace, the
// summary, the progress, the Lease.
func TestStory(t *testing.T) {
	s := newScene(t, 4)
	s.must("install", "web", appChart, "--wait")
	summary := filepath.Join(t.TempDir(), "summary.md")
	s.env = append(s.env, "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"GITHUB_ACTIONS=true", "GITHUB_WORKFLOW=deploy", "GITHUB_RUN_ID=42", "GITHUB_SERVER_URL=https://github.com", "GITHUB_REPOSITORY=shop/checkout",
		"GITHUB_SHA=abc", "GITHUB_REF_NAME=main", "GITHUB_STEP_SUMMARY="+summary,
		"OTEL_RESOURCE_ATTRIBUTES=k8s.cluster.name=prod,deployment.environment.name=live")
	lease := make(chan string, 1)
	go func() {
		s.started("web", 2)
		time.Sleep(time.Second)
		out, _ := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "-n", s.namespace, "get", "lease", "fairlead-helm-web", "-o", "yaml").CombinedOutput()
		lease <- string(out)
	}()
	r := s.fairlead("--progress", "plain", "--trace-url", "https://t.example/{trace_id}", "helm", "upgrade", "web", appChart, "--wait", "--timeout", "10s", "--set", failedImage)
	if r.code != 1 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	tr := s.collector.trace(t)
	root := tr.one("helm-upgrade")
	if root.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || root.ParentSpanID().String() != "b7ad6b7169203331" {
		t.Errorf("trace %s, parent %s: TRACEPARENT was not joined", root.TraceID(), root.ParentSpanID())
	}
	wantAttrs(t, "root", root.Attributes(), map[string]string{
		"cicd.pipeline.name": "deploy", "cicd.pipeline.run.id": "42", "cicd.pipeline.run.url.full": "https://github.com/shop/checkout/actions/runs/42",
		"vcs.repository.url.full": "https://github.com/shop/checkout", "vcs.ref.head.name": "main", "vcs.ref.head.revision": "abc",
		"k8s.cluster.name": "prod", "cicd.pipeline.task.run.result": "failure", "helm.operation.id": s.secretUID("web", 2) + "/deploy",
	})
	if uid := attr(root.Attributes(), "k8s.cluster.uid"); uid != strings.TrimSpace(s.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")) {
		t.Errorf("k8s.cluster.uid = %q", uid)
	}
	pulls := 0
	for _, l := range s.collector.kubernetesEvents() {
		if l.TraceID() != root.TraceID() || attr(l.Attributes(), "helm.revision") != "2" || attr(l.resource, "k8s.object.kind") == "" {
			t.Errorf("an event without its operation: %v %v", l.Attributes().AsRaw(), l.resource.AsRaw())
		}
		if attr(l.Attributes(), "k8s.event.reason") == "Failed" {
			pulls++
		}
	}
	if pulls == 0 {
		t.Error("no event of the failed pull")
	}
	if got := s.collector.events("helm.snapshot"); len(got) != 1 || !strings.Contains(got[0].Body().AsString(), "fairlead.test/nope:v1") {
		t.Errorf("%d snapshots", len(got))
	}
	for _, l := range s.collector.events("helm.operation") {
		if attr(l.Attributes(), "helm.operation.state") == "running" && l.received.After(root.EndTimestamp().AsTime()) {
			t.Error("a record of the running operation came after its end")
		}
	}
	page, err := os.ReadFile(summary)
	if err != nil || !strings.Contains(string(page), "❌ helm upgrade") || !strings.Contains(string(page), "https://t.example/0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("summary %v: %s", err, page)
	}
	for _, want := range []string{`(?m)^fairlead: \d+s waiting for Deployment web: 0/1 ready`, `(?m)^::error title=helm upgrade \S+/web failed::Deployment web`,
		`next\s+kubectl -n \S+ describe pod web-`, `helm rollback web 1`, `trace\s+https://t.example/0af7`} {
		if !regexp.MustCompile(want).MatchString(r.stderr) {
			t.Errorf("stderr lacks %s:\n%s", want, r.stderr)
		}
	}
	if got := <-lease; !strings.Contains(got, "0af7651916cd43dd8448eb211c80319c") || !strings.Contains(got, "github run 42") {
		t.Errorf("the Lease while Helm ran: %s", got)
	}
	if out, err := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "-n", s.namespace, "get", "lease", "fairlead-helm-web").CombinedOutput(); err == nil {
		t.Errorf("the Lease is still there: %s", out)
	}
	if points, n := s.collector.sum("helm.deploy.count", map[string]string{"k8s.cluster.name": "prod", "helm.success": "false"}); points != 1 || n == 0 {
		t.Errorf("helm.deploy.count of the cluster = %v", points)
	}
}

// TestGeneratedName reads the release's name from the record that Helm made.
func TestGeneratedName(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		r := s.fairlead("helm", "install", appChart, "--generate-name", "--wait")
		if r.code != 0 {
			t.Fatalf("exit code %d\n%s", r.code, r.stderr)
		}
		root := s.collector.trace(t).one("helm-install")
		name := attr(root.Attributes(), "helm.release")
		if !strings.HasPrefix(name, "app-") || !strings.Contains(r.stdout, "NAME: "+name) {
			t.Errorf("helm.release = %q\n%s", name, r.stdout)
		}
		wantAttrs(t, "root", root.Attributes(), map[string]string{"helm.revision": "1", "helm.previous_revision": "0"})
	})
}

// TestAPIServerGone pauses the API server while Helm waits.
func TestAPIServerGone(t *testing.T) {
	ctl := os.Getenv("FAIRLEAD_TEST_CLUSTERCTL")
	if ctl == "" || os.Getenv("FAIRLEAD_TEST_CLUSTER") == "" {
		t.Skip("only on the test bed's own cluster: this stops its API server")
	}
	s := newScene(t, 4)
	s.must("install", "web", appChart, "--wait")
	cmd := s.command(t.Context(), "helm", "upgrade", "web", appChart, "--wait", "--timeout", "15s", "--set", notReady)
	go func() {
		s.started("web", 2)
		_ = exec.Command(ctl, "component", "stop", "kube-apiserver").Run()
	}()
	r := s.wait(cmd)
	component(t, ctl, "start", "kube-apiserver")
	// Each watch of these waits up to half a minute by itself before it asks the
	// API server again, and the next test would wait with it.
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kubelet"} {
		component(t, ctl, "restart", name)
	}
	s.must("install", "after", appChart, "--wait")
	if r.code != 1 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	if r.took > time.Minute {
		t.Errorf("it took %s", r.took)
	}
	root := s.collector.trace(t).one("helm-upgrade")
	wantAttrs(t, "root", root.Attributes(), map[string]string{"helm.exit_code": "1", "helm.revision": "2"})
	t.Logf("stderr:\n%s", r.stderr)
}

func component(t *testing.T, ctl, action, name string) {
	t.Helper()
	if out, err := exec.Command(ctl, "component", action, name).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", action, name, err, out)
	}
}

// TestUninstallOfSeveral gives each release of one command its own span.
func TestUninstallOfSeveral(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		s.must("install", "a", appChart, "--set", "replicas=0")
		s.must("install", "b", appChart, "--set", "replicas=0")
		if r := s.fairlead("helm", "uninstall", "a", "b"); r.code != 0 {
			t.Fatalf("exit code %d\n%s", r.code, r.stderr)
		}
		released := map[string]bool{}
		for _, span := range s.collector.trace(t).named("helm-uninstall") {
			released[attr(span.Attributes(), "helm.release")] = true
		}
		if len(released) != 2 || !released["a"] || !released["b"] {
			t.Errorf("releases with a span: %v", released)
		}
	})
}
