//go:build e2e

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAgentBehindATroubledAPI throttles the agent, and then hides the API server
// from it for so long that its watches have expired: each operation is told once.
func TestAgentBehindATroubledAPI(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	s.collector = nil
	b := newBackend(t)
	proxy := newAPIProxy(s)
	p := b.startAgent(s, dataDir(t), "--kubeconfig", proxy.kubeconfig)
	s.must("install", "web", appChart, "--set", "replicas=0")
	s.must("install", "gone", appChart, "--set", "replicas=0")
	b.waitTold(s.namespace, "web", "install 1 succeeded")
	b.waitTold(s.namespace, "gone", "install 1 succeeded")

	proxy.ahead.Store(true)
	proxy.busy.Store(true)
	proxy.cut()
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	ops := b.waitTold(s.namespace, "web", "install 1 succeeded", "upgrade 2 succeeded")
	if ops[1].Chart != "app" {
		t.Errorf("the record of revision 2 was not read: chart %q", ops[1].Chart)
	}
	proxy.busy.Store(false)
	p.waitLog("clocks differ")
	if start := ops[1].Start; start == nil || start.After(time.Now()) || time.Since(*start) > 2*time.Minute {
		t.Errorf("revision 2 began at %s", start)
	}

	proxy.blind(t, func() {
		s.must("upgrade", "web", appChart, "--set", "replicas=0")
		s.must("uninstall", "gone")
		s.must("install", "new", appChart, "--set", "replicas=0")
	})
	b.waitTold(s.namespace, "web", "install 1 succeeded", "upgrade 2 succeeded", "upgrade 3 succeeded")
	b.waitTold(s.namespace, "gone", "install 1 succeeded", "uninstall 1 succeeded")
	b.waitTold(s.namespace, "new", "install 1 succeeded")
	s.must("upgrade", "new", appChart, "--set", "replicas=0")
	b.waitTold(s.namespace, "new", "install 1 succeeded", "upgrade 2 succeeded")
	if proxy.refused.Load() == 0 || proxy.expired.Load() == 0 {
		t.Errorf("%d requests were refused and %d watches expired: nothing was tested", proxy.refused.Load(), proxy.expired.Load())
	}
	if n := proxy.whole.Load(); n > 0 {
		t.Errorf("%d lists or watches of whole Secrets", n)
	}
	if log := p.log.String(); strings.Contains(log, "level=ERROR") {
		t.Error(log)
	}
}

// TestAgentLeaderElection lets one of two replicas work: the other goes on when
// it ends in order, and when it is killed.
func TestAgentLeaderElection(t *testing.T) {
	t.Parallel()
	s := newScene(t, 3)
	s.collector = nil
	b := newBackend(t)
	replica := func(name, leader string) *process {
		p := b.launchAgent(s, dataDir(t), "--leader-elect", "--identity", name)
		p.waitLog("leader=" + leader)
		return p
	}
	one := replica("one", "one")
	one.waitLog("caught up")
	two := replica("two", "one")
	s.must("install", "web", appChart, "--set", "replicas=0")
	b.waitTold(s.namespace, "web", "install 1 succeeded")
	if log := two.log.String(); strings.Contains(log, "watching Helm releases") {
		t.Errorf("both work:\n%s", log)
	}
	one.end(syscall.SIGTERM)
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	two.waitLog("leader=two")
	b.waitTold(s.namespace, "web", "install 1 succeeded", "upgrade 2 succeeded")

	one = replica("one", "two")
	two.end(syscall.SIGKILL)
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	one.waitLog("leader=one")
	b.waitTold(s.namespace, "web", "install 1 succeeded", "upgrade 2 succeeded", "upgrade 3 succeeded")
	r, err := b.api.Release(t.Context(), s.namespace, "web", nil)
	if err != nil || r.Deploys != 3 || r.FailedDeploys != 0 {
		t.Errorf("%d deploys, %d failed (%v)", r.Deploys, r.FailedDeploys, err)
	}
}

// TestAgentConfigMapStorage watches records that Helm keeps in ConfigMaps.
func TestAgentConfigMapStorage(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		s.collector = nil
		s.env = append(s.env, "HELM_DRIVER=configmap")
		b := newBackend(t)
		b.startAgent(s, dataDir(t), "--storage", "configmaps")
		s.must("install", "web", appChart, "--set", "replicas=0")
		s.must("upgrade", "web", appChart, "--set", "replicas=0")
		s.must("rollback", "web", "1")
		told := []string{"install 1 succeeded", "upgrade 2 succeeded", "rollback 3 succeeded to 1"}
		ops := b.waitTold(s.namespace, "web", told...)
		if ops[0].Chart != "app" {
			t.Errorf("chart %q", ops[0].Chart)
		}
		s.must("uninstall", "web")
		b.waitTold(s.namespace, "web", append(told, "uninstall 3 succeeded")...)
	})
}

// TestAllInOne runs server, agent and controller in one process.
func TestAllInOne(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	s.collector = nil
	s.kubectl("apply", "--server-side", "--force-conflicts", "-f", s.file("crds.yaml", s.fairlead("export", "crds").stdout))
	s.kubectl("wait", "--for=condition=Established", "crd/canaryreleases.fairlead.dev", "--timeout=20s")
	b := newBackend(t, "--agent", "--controller", "--namespace", s.namespace, "--cluster-name", "bed")
	b.process.waitLog("caught up")
	s.must("install", "web", appChart, "--set", "replicas=0")
	b.waitTold(s.namespace, "web", "install 1 succeeded")
	if r, err := b.api.Release(t.Context(), s.namespace, "web", nil); err != nil || r.Deploys != 1 || r.Cluster != "bed" {
		t.Errorf("%+v (%v)", r, err)
	}
	b.process.waitLog("Starting workers") // of the controller
	b.process.end(syscall.SIGTERM)
	if code := b.process.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
