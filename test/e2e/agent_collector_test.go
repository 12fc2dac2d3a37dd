//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCollectorsEventsAreJoined takes events from a real OpenTelemetry
// Collector: the server knows to which release they belong, whichever of its
// receivers they come from, and keeps each once where the agent sends them too.
func TestCollectorsEventsAreJoined(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "fairlead", "tools", "collector-v0.111.0-objects")
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("no Collector: make collector (%v)", err)
	}
	const events, objects = "k8s_events: {auth_type: kubeConfig, namespaces: [%[1]s]}", "k8sobjects: {auth_type: kubeConfig, objects: [{name: events, group: %[2]q, mode: watch, namespaces: [%[1]s]}]}"
	for _, c := range []struct{ name, receiver, config, group, own string }{
		{"k8s_events", "k8s_events", events, "", "off"},
		{"k8sobjects", "k8sobjects", objects, "", "off"},
		{"k8sobjects of events.k8s.io beside the agent's own", "k8sobjects", objects, "events.k8s.io", "on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, 4)
			s.collector = nil
			b := newBackend(t)
			b.startAgent(s, dataDir(t), "--events", c.own)
			receiver := fmt.Sprintf(c.config+"%.0[2]s", s.namespace, c.group)
			startCollector(t, binary, s.file("collector.yaml", fmt.Sprintf(`receivers:
  %s
processors:
  resource: {attributes: [{key: k8s.cluster.name, value: bed, action: upsert}]}
exporters:
  otlphttp: {endpoint: %q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [%s], processors: [resource], exporters: [otlphttp]}
`, receiver, b.otlp, c.receiver)))
			s.must("install", "web", appChart, "--set", crash)
			op := b.waitTold(s.namespace, "web", "install 1 succeeded")[0]
			eventually(t, 60*time.Second, "the Collector's events, joined", func() string {
				joined := b.backOffs(op.ID)
				if len(joined) < 2 {
					return fmt.Sprintf("%d of them", len(joined))
				}
				seen := map[string]bool{}
				for _, e := range joined {
					if e["helm_release"] != "web" || e["helm_revision"] != "1" || e["trace_id"] != op.TraceID {
						t.Fatalf("stamped with %v, want trace %s", e, op.TraceID)
					}
					key := e["k8s_event_uid"] + "/" + e["k8s_event_count"]
					if seen[key] {
						t.Fatalf("the event %s came twice: %v", key, joined)
					}
					seen[key] = true
					if e["k8s_event_reason"] != "BackOff" || e["k8s_object_kind"] != "Pod" {
						t.Fatalf("not described as an event: %v", e)
					}
				}
				return ""
			})
		})
	}
}

// startCollector starts a Collector with that configuration until the test ends.
func startCollector(t *testing.T, binary, config string) {
	t.Helper()
	cmd := exec.Command(binary, "--config", config)
	var log lockedBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the Collector:\n%s", log.String())
		}
	})
}

// backOffs returns the labels of an operation's events of a crash loop.
func (b *backend) backOffs(operation string) (out []map[string]string) {
	b.t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][2]string
			}
		}
	}
	query := fmt.Sprintf(`{service_name=~".+"} | k8s_event_reason="BackOff" | helm_operation_id=%q`, operation)
	if err := b.get("/loki/api/v1/query_range?"+url.Values{"query": {query}, "limit": {"100"}}.Encode(), &answer); err != nil {
		b.t.Fatal(err)
	}
	for _, r := range answer.Data.Result {
		for range r.Values {
			out = append(out, r.Stream)
		}
	}
	return out
}
