//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/release"
)

// TestAgent plays the same five releases with plain helm, through fairlead helm,
// and with the agent killed in the middle: the server has the same story.
func TestAgent(t *testing.T) {
	for _, c := range []struct {
		name    string
		major   int
		wrapped bool
		killed  bool
	}{
		{name: "plain helm3", major: 3},
		{name: "plain helm4", major: 4},
		{name: "wrapped helm4", major: 4, wrapped: true},
		{name: "killed helm3", major: 3, killed: true},
		{name: "wrapped and killed helm4", major: 4, wrapped: true, killed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.wrapped {
				t.Parallel() // they wait for a claim to expire
			}
			s := newScene(t, c.major)
			s.collector = nil
			b := newBackend(t)
			data := dataDir(t)
			agent := b.startAgent(s, data)
			s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+b.otlp, "FAIRLEAD_CLUSTER_NAME=bed")
			p := play{scene: s, wrapped: c.wrapped}
			restarted := make(chan struct{})
			if c.killed {
				go func() {
					// Anywhere in the middle of installs, and back a little later.
					time.Sleep(3 * time.Second)
					agent.end(syscall.SIGKILL)
					time.Sleep(time.Second)
					agent = b.startAgent(s, data)
				}()
				p.run(func() {
					agent.end(syscall.SIGKILL)
					time.Sleep(3 * time.Second)
					agent = b.startAgent(s, data)
					close(restarted)
				})
				<-restarted
			} else {
				p.run(nil)
			}
			want := p.want()
			eventually(t, 90*time.Second, "everything is told", func() string {
				got := make(map[string][]string)
				for name := range want {
					got[name] = b.told(s.namespace, name)
				}
				return cmp.Diff(want, got)
			})
			b.checkCounts(s.namespace)
			b.checkTraces(s, c.wrapped, c.killed)
			b.checkWhy(s, c.killed)
			if !c.killed {
				b.checkEvents(s)
			}
			b.checkUninstall(s, agent, data)
		})
	}
}

// checkCounts checks the counters: each operation once.
func (b *backend) checkCounts(namespace string) {
	b.t.Helper()
	for name, want := range map[string][4]int64{ // deploys, failed, rollbacks, failed
		"well": {1, 0, 0, 0}, "undone": {2, 1, 1, 0}, "back": {2, 0, 1, 0}, "crash": {1, 1, 0, 0},
	} {
		r, err := b.api.Release(b.t.Context(), namespace, name, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		if got := [4]int64{r.Deploys, r.FailedDeploys, r.Rollbacks, r.FailedRollbacks}; got != want {
			b.t.Errorf("%s: deploys, failed, rollbacks, failed = %v, want %v", name, got, want)
		}
	}
	r, err := b.api.Release(b.t.Context(), namespace, "stuck", nil)
	if err != nil || r.PendingSince == nil {
		b.t.Errorf("stuck is pending since %v (%v)", r.PendingSince, err)
	}
}

// checkTraces checks that an operation has one trace with one root, its steps
// in it, and that the automatic rollback is in the trace of its deploy.
func (b *backend) checkTraces(s *scene, wrapped, killed bool) {
	b.t.Helper()
	ops := b.operations(s.namespace, "undone")
	if len(ops) != 3 {
		b.t.Fatalf("%d operations", len(ops))
	}
	if ops[1].TraceID == "" || ops[1].TraceID != ops[2].TraceID {
		b.t.Errorf("the rollback is in trace %s, its deploy in %s", ops[2].TraceID, ops[1].TraceID)
	}
	if wrapped != slices.Contains(ops[1].Observers, "wrapper") || !slices.Contains(ops[1].Observers, "agent") {
		b.t.Errorf("observers %v", ops[1].Observers)
	}
	if uid := s.secretUID("undone", 2); ops[1].ID != uid+"/deploy" {
		b.t.Errorf("id %s, want that of the Secret %s", ops[1].ID, uid)
	}
	names := map[string]int{}
	eventually(b.t, 30*time.Second, "the trace is complete", func() string {
		clear(names)
		for _, name := range b.spans(ops[1].TraceID) {
			names[name]++
		}
		if names["helm-rollback"] == 0 || names["helm-upgrade"] == 0 {
			return fmt.Sprint(names)
		}
		return ""
	})
	for name, n := range map[string]int{"helm-upgrade": 1, "helm-upgrade-failed": 1, "helm-rollback": 1} {
		if names[name] != n {
			b.t.Errorf("%d spans %s, want %d: %v", names[name], name, n, names)
		}
	}
	// An agent that was away for a moment has not seen every pod.
	if names["k8s.workload.rollout"] == 0 || names["k8s.pod"] == 0 && !killed {
		b.t.Errorf("no steps: %v", names)
	}
}

// spans returns the names of a trace's spans.
func (b *backend) spans(traceID string) []string {
	b.t.Helper()
	var trace struct {
		Trace struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []struct{ Name string }
				}
			}
		}
	}
	if err := b.get("/tempo/api/v2/traces/"+traceID, &trace); err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, rs := range trace.Trace.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				out = append(out, span.Name)
			}
		}
	}
	return out
}

func (b *backend) get(path string, into any) error {
	out, err := exec.Command("curl", "-sfS", "-H", "Accept: application/json", b.api.Server+path).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return json.Unmarshal(out, into)
}

// checkWhy checks that the failure is explained though its pods are gone.
func (b *backend) checkWhy(s *scene, killed bool) {
	b.t.Helper()
	ops := b.operations(s.namespace, "undone")
	r := s.fairlead("release", "undone", "-n", s.namespace, "--revision", "2", "--why", "--server", b.api.Server)
	if r.code != 0 {
		b.t.Fatalf("fairlead release --why: exit code %d\n%s", r.code, r.stderr)
	}
	if killed {
		return // the agent may have been away at that very moment
	}
	for _, want := range []string{"no database", "keeps crashing", "Deployment undone"} {
		if !strings.Contains(r.stdout, want) {
			b.t.Errorf("fairlead release --why lacks %q:\n%s", want, r.stdout)
		}
	}
	if !strings.Contains(ops[1].Cause, "undone") {
		b.t.Errorf("cause %q", ops[1].Cause)
	}
	b.t.Logf("fairlead release undone --why:\n%s", r.stdout)
	list := s.fairlead("releases", "-n", s.namespace, "--server", b.api.Server)
	b.t.Logf("fairlead releases:\n%s%s", list.stdout, list.stderr)
}

// checkEvents checks that events carry their release, revision and trace.
func (b *backend) checkEvents(s *scene) {
	b.t.Helper()
	op := b.operations(s.namespace, "crash")[0]
	eventually(b.t, 20*time.Second, "events of the crash loop", func() string {
		var answer struct {
			Data struct {
				Result []struct {
					Stream map[string]string
					Values [][2]string
				}
			}
		}
		q := url.Values{"query": {fmt.Sprintf(`{service_name=~".+"} | helm_operation_id=%q | k8s_event_reason="BackOff"`, op.ID)}, "limit": {"50"}}
		if err := b.get("/loki/api/v1/query_range?"+q.Encode(), &answer); err != nil {
			return err.Error()
		}
		seen := map[string]bool{}
		for _, r := range answer.Data.Result {
			key := r.Stream["k8s_event_uid"] + "/" + r.Stream["k8s_event_count"]
			if seen[key] && r.Stream["k8s_event_uid"] != "" || len(r.Values) > 1 {
				b.t.Errorf("the event %s came twice", key)
			}
			seen[key] = true
			if r.Stream["helm_release"] != "crash" || r.Stream["helm_revision"] != "1" || r.Stream["trace_id"] != op.TraceID {
				return fmt.Sprintf("stamped with %v, want trace %s", r.Stream, op.TraceID)
			}
		}
		if len(answer.Data.Result) == 0 {
			return "none"
		}
		return ""
	})
}

// checkUninstall uninstalls one release under the agent's eyes and one while it
// is away.
func (b *backend) checkUninstall(s *scene, agent *process, data string) {
	b.t.Helper()
	s.must("uninstall", "well")
	b.waitTold(s.namespace, "well", "install 1 succeeded", "uninstall 1 succeeded")
	agent.end(syscall.SIGTERM)
	s.must("uninstall", "back")
	s.must("upgrade", "crash", appChart, "--set", "replicas=0")
	s.must("upgrade", "crash", appChart, "--set", "replicas=0")
	b.startAgent(s, data)
	b.waitTold(s.namespace, "back", "install 1 succeeded", "upgrade 2 succeeded", "rollback 3 succeeded to 1", "uninstall 3 succeeded")
	b.waitTold(s.namespace, "crash", "install 1 failed", "upgrade 2 succeeded", "upgrade 3 succeeded")
	r, err := b.api.Release(b.t.Context(), s.namespace, "crash", nil)
	if err != nil || r.Deploys != 3 || r.FailedDeploys != 1 {
		b.t.Errorf("crash: %d deploys, %d failed (%v)", r.Deploys, r.FailedDeploys, err)
	}
}

func (b *backend) waitTold(namespace, name string, want ...string) []api.Operation {
	b.t.Helper()
	eventually(b.t, 30*time.Second, name, func() string { return cmp.Diff(want, b.told(namespace, name)) })
	return b.operations(namespace, name)
}

// TestAgentNamespaceGone deletes a namespace while an upgrade runs in it, with a
// record that does not decode and a foreign Secret of Helm's type beside it.
func TestAgentNamespaceGone(t *testing.T) {
	s := newScene(t, 4)
	s.collector = nil
	own := newScene(t, 4)
	b := newBackend(t)
	s.kubectl("-n", s.namespace, "create", "secret", "generic", "sh.helm.release.v1.broken.v1", "--type=helm.sh/release.v1", "--from-literal=release=bm90IGEgcmVjb3Jk")
	s.kubectl("-n", s.namespace, "label", "secret", "sh.helm.release.v1.broken.v1", "owner=helm", "name=broken", "version=1", "status=deployed")
	s.kubectl("-n", s.namespace, "create", "secret", "generic", "foreign", "--type=helm.sh/release.v1", "--from-literal=release=x")
	s.kubectl("-n", s.namespace, "label", "secret", "foreign", "owner=helm", "name=web", "version=9", "status=deployed")
	p := startProcess(t, s.base(), "agent", "--server", b.otlp, "--data", dataDir(t), "--namespace", s.namespace, "--own-namespace", own.namespace)
	eventually(t, 30*time.Second, "the broken record is named", func() string {
		if log := p.log.String(); !strings.Contains(log, "secrets/sh.helm.release.v1.broken.v1") {
			return "its log: " + log
		}
		return ""
	})
	s.must("install", "web", appChart, "--wait")
	b.waitTold(s.namespace, "web", "install 1 succeeded")
	cmd := exec.Command(s.helm, "upgrade", "web", appChart, "--wait", "--timeout", "20s", "--set", notReady)
	cmd.Env = s.base()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.started("web", 2)
	time.Sleep(2 * time.Second)
	s.kubectl("delete", "namespace", s.namespace, "--wait=false")
	_ = cmd.Wait()
	ops := b.waitTold(s.namespace, "web", "install 1 succeeded", "upgrade 2 cancelled", "uninstall 2 succeeded")
	if !strings.Contains(ops[1].Cause, "record was removed") || ops[2].Attributes[release.AttrRemoval] == "" {
		t.Errorf("%q, %v", ops[1].Cause, ops[2].Attributes)
	}
}

// TestAgentForeignBackend sends to a plain OTLP endpoint: the agent's own
// metrics are right by themselves, over a kill that takes its disk along, and
// over an endpoint that is down.
func TestAgentForeignBackend(t *testing.T) {
	s := newScene(t, 4)
	run := func(data string, args ...string) *process {
		p := startProcess(t, s.base(), append([]string{"agent", "--data", data, "--namespace", s.namespace, "--own-namespace", s.namespace, "--cluster-name", "bed"}, args...)...)
		eventually(t, 30*time.Second, "the agent has caught up", func() string {
			if !strings.Contains(p.log.String(), "caught up") {
				return "its log: " + p.log.String()
			}
			return ""
		})
		return p
	}
	s.must("install", "old", appChart, "--set", "replicas=0")
	p := run(dataDir(t))
	s.must("install", "web", appChart, "--set", "replicas=0")
	good := map[string]string{"helm.release": "web", "helm.success": "true", "k8s.cluster.name": "bed"}
	count := func(want float64) {
		t.Helper()
		eventually(t, 30*time.Second, "helm.deploy.count", func() string {
			if first, last, ok := s.collector.cumulative("helm.deploy.count", good); !ok || first != 0 || last != want {
				return fmt.Sprintf("from %v to %v, want from 0 to %v", first, last, want)
			}
			return ""
		})
	}
	count(1)
	eventually(t, 10*time.Second, "the release that was there before is shown and not counted", func() string {
		_, last, ok := s.collector.cumulative("helm.deploy.count", map[string]string{"helm.release": "old", "helm.success": "true"})
		if revision, has := s.collector.gauge("helm.release.revision", "old"); !ok || last != 0 || !has || revision != 1 {
			return fmt.Sprintf("count %v, revision %v", last, revision)
		}
		return ""
	})
	time.Sleep(2 * time.Second) // the checkpoint is written within a second
	p.end(syscall.SIGKILL)
	s.collector.reset()
	data := dataDir(t)
	p = run(data) // another disk: counters start anew, at 0
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	count(1)
	if _, has := s.collector.gauge("helm.release.last_deploy_time", "old"); !has {
		t.Error("the gauges of a release that nothing happened to are gone")
	}

	s.collector.down.Store(true)
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	time.Sleep(3 * time.Second)
	p.end(syscall.SIGKILL) // what could not be sent is on its disk
	s.collector.down.Store(false)
	s.collector.reset()
	run(data)
	eventually(t, 60*time.Second, "what was queued comes", func() string {
		for _, rec := range s.collector.events("helm.operation") {
			if attr(rec.Attributes(), "helm.revision") == "3" && attr(rec.Attributes(), "helm.operation.state") == "succeeded" {
				return ""
			}
		}
		return "not yet"
	})
	eventually(t, 30*time.Second, "the counter goes on, on the same disk", func() string {
		if _, last, ok := s.collector.cumulative("helm.deploy.count", good); !ok || last != 2 {
			return fmt.Sprint(last)
		}
		return ""
	})
}
