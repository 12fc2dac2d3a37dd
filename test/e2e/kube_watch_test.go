//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

const helm4 = "FAIRLEAD_TEST_HELM4"

// waitUntil polls a condition of the cluster until it holds.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a minute is over and still not: %s", what)
		}
	}
}

// as returns a client of a service account with the rules of a Role.
func (b *bench) as(account, rules string) *kube.Client {
	b.t.Helper()
	b.kubectl("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: "+account+"}\n"+
		"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: "+account+"}\nrules: "+rules+"\n"+
		"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: "+account+"}\n"+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "+account+"}\n"+
		"subjects: [{kind: ServiceAccount, name: "+account+", namespace: "+b.namespace+"}]\n", "apply", "-f", "-")
	token := strings.TrimSpace(b.kubectl("", "create", "token", account, "-n", b.namespace))
	// A context of its own: the admin's certificate would win over the token.
	file := b.t.TempDir() + "/kubeconfig"
	admin := b.client.Config()
	config := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u, namespace: " + b.namespace + "}}]\n" +
		"clusters: [{name: c, cluster: {server: \"" + admin.Host + "\", insecure-skip-tls-verify: true}}]\nusers: [{name: u, user: {token: " + token + "}}]\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		b.t.Fatal(err)
	}
	client, err := kube.NewClient(kube.ClientOptions{Kubeconfig: file})
	if err != nil {
		b.t.Fatal(err)
	}
	if ns := client.ContextNamespace(); ns != b.namespace {
		b.t.Fatalf("namespace %s", ns)
	}
	return client
}

func TestWatchWithoutPermission(t *testing.T) {
	t.Parallel()
	b := newBench(t, helm4)
	ref := release.Ref{Namespace: b.namespace, Name: "web"}
	watchAs := func(c *kube.Client) *kube.Watch {
		w := kube.StartWatch(context.Background(), c, kube.WatchOptions{
			Namespaces: []string{b.namespace}, Release: ref, Decode: helm.ReadRecord, Snapshot: &kube.SnapshotOptions{},
		})
		t.Cleanup(w.Stop)
		<-w.Synced()
		return w
	}
	nothing := watchAs(b.as("nothing", "[]"))
	want := "daemonsets.apps: forbidden, deployments.apps: forbidden, events.events.k8s.io: forbidden, jobs.batch: forbidden, " +
		"persistentvolumeclaims: forbidden, pods: forbidden, replicasets.apps: forbidden, secrets: forbidden, statefulsets.apps: forbidden"
	if got := strings.Join(nothing.Missing(), ", "); got != want {
		t.Errorf("missing\n%s\nwant\n%s", got, want)
	}
	some := watchAs(b.as("some", `[{apiGroups: [apps, batch, events.k8s.io], resources: ["*"], verbs: [list, watch]}, {apiGroups: [""], resources: [pods], verbs: [list, watch]}]`))
	if got, want := strings.Join(some.Missing(), ", "), "persistentvolumeclaims: forbidden, secrets: forbidden"; got != want {
		t.Errorf("missing %s, want %s", got, want)
	}
	start := time.Now()
	op := b.run("install", "web", chart("app"), "--wait", "--timeout", "60s", "--set", "hook.enabled=true")
	if op.exitCode != 0 {
		t.Fatal(op.stderr)
	}
	steps := some.Steps(start, time.Now())
	one(t, op, steps, release.StepWorkload, "Deployment web")
	one(t, op, steps, release.StepHook, "Job web-hook") // by its label, where records cannot be read
	if len(some.Events()) == 0 {
		t.Error("no events through events.k8s.io")
	}
	if steps := nothing.Steps(start, time.Now()); len(steps) != 0 {
		t.Errorf("%d steps without any permission", len(steps))
	}
	if _, err := kube.ClaimLease(context.Background(), b.as("nothing", "[]"), kube.LeaseOptions{Release: ref, Holder: "x"}); !apierrors.IsForbidden(err) {
		t.Errorf("claim without permission: %v", err)
	}
	s := kube.TakeSnapshot(context.Background(), b.as("nothing", "[]"), release.Facts{Release: ref}, kube.SnapshotOptions{})
	if len(s.Missing) < 5 {
		t.Errorf("snapshot without permission: missing %v", s.Missing)
	}
}

// The number of requests must not depend on the number of pods: a release of
// two hundred costs what one of a single pod does.
func TestRequestsDoNotGrowWithPods(t *testing.T) {
	b := newBench(t, helm4)
	measure := func(replicas, timeout string, set ...string) kube.Requests {
		before := b.client.Requests()
		args := []string{"install", "web", chart("app"), "--wait", "--timeout", timeout, "--set", "replicas=" + replicas}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		op := b.run(args...)
		after := b.client.Requests()
		facts := op.watch.Facts()
		r := kube.Requests{
			Get: after.Get - before.Get, List: after.List - before.List, Watch: after.Watch - before.Watch,
			Write: after.Write - before.Write, Log: after.Log - before.Log,
		}
		t.Logf("%s replicas: %d pods, %d events seen; requests: %+v, %d in all", replicas, len(facts.Pods), len(op.watch.Events()), r, r.Total())
		if out, err := exec.Command(b.helm, "uninstall", "web", "-n", b.namespace, "--wait").CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
		return r
	}
	unschedulable := "nodeSelector.disk=fast"
	few, many := measure("1", "10s", unschedulable), measure("200", "10s", unschedulable)
	if few != many {
		t.Errorf("1 pod: %+v, 200 pods: %+v", few, many)
	}
	crash := []string{"env.CRASH_AFTER=0s", "terminationGracePeriodSeconds=0"}
	// Logs are read of a bounded number of containers.
	if crashes := measure("20", "20s", crash...); crashes.Log > 24 || crashes.Get+crashes.List+crashes.Watch > few.Get+few.List+few.Watch+2 {
		t.Errorf("20 crashing pods: %+v", crashes)
	}
}

func TestStartWatchDoesNotWait(t *testing.T) {
	b := newBench(t, helm4)
	start := time.Now()
	w := kube.StartWatch(context.Background(), b.client, kube.WatchOptions{Namespaces: []string{b.namespace}, Release: release.Ref{Namespace: b.namespace, Name: "web"}})
	returned := time.Since(start)
	<-w.Synced()
	t.Logf("StartWatch returned after %s, synced after %s, %+v", returned, time.Since(start), b.client.Requests())
	start = time.Now()
	w.Stop()
	t.Logf("Stop took %s", time.Since(start))
}

func TestSnapshotOfAFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, helm4)
	b.kubectl("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: pods}\nspec: {hard: {pods: \"7\"}}\n", "apply", "-f", "-")
	op := b.run("install", "web", chart("app"), "--wait", "--timeout", "10s", "--set", "replicas=2,env.CRASH_AFTER=0s,env.LOG=token=hunter2,env.CRASH_MESSAGE=no database")
	if op.exitCode == 0 {
		t.Fatal("helm succeeded")
	}
	redact := func(s string) string { return strings.ReplaceAll(s, "hunter2", "[redacted]") }
	for name, facts := range map[string]release.Facts{
		"with what the watch knows": op.watch.Facts(),
		"by itself":                 {Release: release.Ref{Namespace: b.namespace, Name: "web"}},
	} {
		start := time.Now()
		s := kube.TakeSnapshot(context.Background(), b.client, facts, kube.SnapshotOptions{Redact: redact})
		data, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes in %s", name, len(data), time.Since(start))
		if len(s.Pods) != 2 || len(s.Nodes) != 1 || len(s.Quotas) != 1 || len(s.Missing) != 0 || len(s.Events) < 4 {
			t.Errorf("%s: %s", name, data)
		}
		if strings.Contains(string(data), "hunter2") || !strings.Contains(string(data), "token=[redacted]") {
			t.Errorf("%s: the log is not redacted: %+v", name, s.Logs)
		}
		cause := release.FindCause(s, release.ErrorTimeout, "timed out")
		if cause.Log == nil || !strings.Contains(cause.Sentence, `it last said "no database"`) {
			t.Errorf("%s: cause %s", name, cause.Sentence)
		}
		if os.Getenv("FAIRLEAD_PRINT") != "" && name == "with what the watch knows" {
			t.Logf("%s", data)
		}
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	b := newBench(t, helm4)
	ctx := context.Background()
	ref := release.Ref{Namespace: b.namespace, Name: "web"}
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	claim := func(holder string) (*kube.Lease, error) {
		return kube.ClaimLease(ctx, b.client, kube.LeaseOptions{
			Release: ref, Holder: holder, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Command: "upgrade", Now: clock,
		})
	}
	first, err := claim("pipeline 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim("pipeline 2"); !errors.Is(err, kube.ErrClaimed) || !strings.Contains(err.Error(), "pipeline 1") {
		t.Errorf("a second claim: %v", err)
	}
	if err := kube.AcknowledgeLease(ctx, b.client, ref, "agent-0"); err != nil {
		t.Fatal(err)
	}
	if err := first.Bind(ctx, "8f1c/deploy"); err != nil {
		t.Fatal(err)
	}
	got, ok, err := kube.ReadLease(ctx, b.client, ref)
	if err != nil || !ok || got.Holder != "pipeline 1" || got.OperationID != "8f1c/deploy" || got.Acknowledged != "agent-0" || got.Command != "upgrade" || !got.Held(now) {
		t.Errorf("claim %+v, %v, %v", got, ok, err)
	}
	if acked := first.Acknowledged(ctx); acked != "agent-0" {
		t.Errorf("acknowledged by %q", acked)
	}
	mu.Lock()
	now = now.Add(31 * time.Second)
	mu.Unlock()
	second, err := claim("pipeline 2")
	if err != nil {
		t.Fatalf("an expired claim must be free: %v", err)
	}
	if acked, err := first.Release(ctx); err != nil || acked != "" {
		t.Errorf("release of a lost claim: %q, %v", acked, err)
	}
	if got, ok, _ := kube.ReadLease(ctx, b.client, ref); !ok || got.Holder != "pipeline 2" || got.Acknowledged != "" {
		t.Errorf("the release of a lost claim took the other's: %+v, %v", got, ok)
	}
	if left := second.Left(); left.Holder != "pipeline 1" {
		t.Errorf("the second claim found %+v", left)
	}
	// Nothing was read between: the release itself must notice.
	if err := kube.AcknowledgeLease(ctx, b.client, ref, "agent-1"); err != nil {
		t.Fatal(err)
	}
	if acked, err := second.Release(ctx); err != nil || acked != "agent-1" {
		t.Fatalf("release: acknowledged by %q, %v", acked, err)
	}
	if _, ok, err := kube.ReadLease(ctx, b.client, ref); ok || err != nil {
		t.Errorf("the Lease is still there: %v, %v", ok, err)
	}
}

func TestFindLock(t *testing.T) {
	forBothHelms(t, func(t *testing.T, b *bench) {
		ctx := context.Background()
		ref := release.Ref{Namespace: b.namespace, Name: "web"}
		if op := b.run("install", "web", chart("app"), "--wait", "--timeout", "60s"); op.exitCode != 0 {
			t.Fatal(op.stderr)
		}
		if _, ok, err := kube.FindLock(ctx, b.client, ref, ""); ok || err != nil {
			t.Fatalf("a deployed release is locked: %v %v", ok, err)
		}
		before := time.Now().Truncate(time.Second)
		cmd := exec.Command(b.helm, "upgrade", "web", chart("app"), "-n", b.namespace, "--wait", "--set", "env.UNREADY=true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the upgrade has begun", func() bool {
			_, ok, _ := kube.FindLock(ctx, b.client, ref, "")
			return ok
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		lock, ok, err := kube.FindLock(ctx, b.client, ref, "")
		if err != nil || !ok {
			t.Fatalf("%v %v", ok, err)
		}
		if lock.Revision != 2 || lock.Status != "pending-upgrade" || lock.LastDeployed != 1 || lock.Since.Before(before) || lock.Holder != "Helm" || lock.Alive {
			t.Errorf("lock of revision %d, %s since %s (began %s) by %q (alive: %v), deployed %d",
				lock.Revision, lock.Status, lock.Since, before, lock.Holder, lock.Alive, lock.LastDeployed)
		}
		out, err := exec.Command(b.helm, "upgrade", "web", chart("app"), "-n", b.namespace).CombinedOutput()
		if class, _ := helm.Classify(1, string(out), false); err == nil || class != release.ErrorLock {
			t.Errorf("helm does not say that the release is locked: %s", out)
		}
	})
}

// One set of watches can speak for all releases of a cluster.
func TestWatchOfAllReleases(t *testing.T) {
	t.Parallel()
	b, other := newBench(t, helm4), newBench(t, "FAIRLEAD_TEST_HELM3")
	var mu sync.Mutex
	seen := make(map[release.Ref][]string)
	w := kube.StartWatch(context.Background(), b.client, kube.WatchOptions{
		Decode: helm.ReadRecord, AllEvents: true,
		Handler: func(o release.Observation) {
			mu.Lock()
			defer mu.Unlock()
			if o.Record != nil {
				seen[o.Release] = append(seen[o.Release], o.Record.Status)
			}
		},
	})
	defer w.Stop()
	<-w.Synced()
	start := time.Now()
	var wg sync.WaitGroup
	for _, x := range []*bench{b, other} {
		wg.Go(func() {
			if out, err := exec.Command(x.helm, "install", "web", chart("app"), "-n", x.namespace, "--wait", "--set", "hook.enabled=true").CombinedOutput(); err != nil {
				t.Errorf("%s", out)
			}
		})
	}
	wg.Wait()
	end := time.Now()
	for _, x := range []*bench{b, other} {
		view := w.Of(release.Ref{Namespace: x.namespace, Name: "web"})
		waitUntil(t, "deployed", func() bool {
			r := view.Records()
			return len(r) == 1 && r[0].Status == "deployed" && r[0].Chart == "app"
		})
		steps := view.Steps(start, end)
		op := &operation{steps: steps, start: start}
		one(t, op, steps, release.StepHook, "Job web-hook")
		if d := one(t, op, steps, release.StepWorkload, "Deployment web"); len(d.Children) != 1 || d.Children[0].Object.Namespace != x.namespace {
			t.Errorf("%s", outline(steps, start, ""))
		}
		for _, e := range view.Events() {
			if e.Namespace != x.namespace {
				t.Errorf("an event of %s in the view of %s", e.Namespace, x.namespace)
			}
		}
		mu.Lock()
		states := strings.Join(seen[release.Ref{Namespace: x.namespace, Name: "web"}], " ")
		mu.Unlock()
		if !strings.Contains(states, "pending-install") || !strings.HasSuffix(states, "deployed") {
			t.Errorf("states %s", states)
		}
	}
}

func TestConfigMapDriver(t *testing.T) {
	b := newBench(t, helm4)
	t.Setenv("HELM_DRIVER", "configmap")
	ref := release.Ref{Namespace: b.namespace, Name: "web"}
	w := kube.StartWatch(context.Background(), b.client, kube.WatchOptions{
		Namespaces: []string{b.namespace}, Release: ref, Driver: "configmap", Decode: helm.ReadRecord,
	})
	defer w.Stop()
	<-w.Synced()
	if out, err := exec.Command(b.helm, "install", "web", chart("app"), "-n", b.namespace, "--wait").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	waitUntil(t, "the record is read", func() bool {
		r := w.Records()
		return len(r) == 1 && r[0].Status == "deployed" && len(r[0].Objects) > 0
	})
}

// A watch outlives a restart of the API server.
func TestWatchSurvivesAPIServer(t *testing.T) {
	clusterctl := os.Getenv("FAIRLEAD_TEST_CLUSTERCTL")
	if clusterctl == "" {
		t.Skip("FAIRLEAD_TEST_CLUSTERCTL is not set: this cluster is not ours to disturb")
	}
	b := newBench(t, helm4)
	ref := release.Ref{Namespace: b.namespace, Name: "web"}
	w := kube.StartWatch(context.Background(), b.client, kube.WatchOptions{Namespaces: []string{b.namespace}, Release: ref, Decode: helm.ReadRecord})
	defer w.Stop()
	<-w.Synced()
	start := time.Now()
	if out, err := exec.Command(clusterctl, "component", "restart", "kube-apiserver").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(b.helm, "install", "web", chart("app"), "-n", b.namespace, "--wait").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	waitUntil(t, "the rollout is seen", func() bool {
		s := find(w.Steps(start, time.Now()), release.StepWorkload, "Deployment web")
		return len(s) == 1 && s[0].Done && len(w.Missing()) == 0
	})
}
