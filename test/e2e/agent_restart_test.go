//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAgentAPIServerRestart ends the API server under one agent: its watches
// begin anew, and nothing is lost or told twice. Another agent is cut off
// meanwhile, and what it missed is compacted away in etcd: the API server
// answers its watches with 410, and it tells the same.
func TestAgentAPIServerRestart(t *testing.T) {
	ctl := os.Getenv("FAIRLEAD_TEST_CLUSTERCTL")
	if ctl == "" || os.Getenv("FAIRLEAD_TEST_CLUSTER") == "" {
		t.Skip("only on the test bed's own cluster: this stops its API server")
	}
	s := newScene(t, 3)
	s.collector = nil
	own := newScene(t, 3) // the other agent's
	here, away := newBackend(t), newBackend(t)
	proxy := newAPIProxy(s)
	agents := []*process{
		here.startAgent(s, dataDir(t)),
		away.startAgent(s, dataDir(t), "--kubeconfig", proxy.kubeconfig, "--own-namespace", own.namespace),
	}
	s.must("install", "web", appChart, "--set", "replicas=0")
	s.must("install", "gone", appChart, "--set", "replicas=0")
	for _, b := range []*backend{here, away} {
		b.waitTold(s.namespace, "web", "install 1 succeeded")
		b.waitTold(s.namespace, "gone", "install 1 succeeded")
	}

	proxy.away.Store(true)
	proxy.cut()
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	s.must("uninstall", "gone")
	here.waitTold(s.namespace, "gone", "install 1 succeeded", "uninstall 1 succeeded")
	compact(t)
	component(t, ctl, "restart", "kube-apiserver")
	s.must("upgrade", "web", appChart, "--set", "replicas=0")
	s.must("install", "other", appChart, "--set", "replicas=0")
	proxy.away.Store(false)
	for i, b := range []*backend{here, away} {
		b.waitTold(s.namespace, "web", "install 1 succeeded", "upgrade 2 succeeded", "upgrade 3 succeeded")
		b.waitTold(s.namespace, "gone", "install 1 succeeded", "uninstall 1 succeeded")
		b.waitTold(s.namespace, "other", "install 1 succeeded")
		for line := range strings.SplitSeq(agents[i].log.String(), "\n") {
			if strings.Contains(line, "level=ERROR") {
				t.Error(line)
			}
		}
	}
	if proxy.gone.Load() == 0 {
		t.Error("the API server refused no watch with 410: nothing was tested")
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kubelet"} {
		component(t, ctl, "restart", name)
	}
}

// compact makes etcd forget all that it no longer holds, as it does by itself
// every five minutes.
func compact(t *testing.T) {
	t.Helper()
	ask := func(path, body string) (answer struct {
		Header struct{ Revision string }
	}) {
		client := http.Client{Timeout: 10 * time.Second}
		resp, err := client.Post("http://127.0.0.1:2379/v3/kv/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("etcd %s: %s: %s (%v)", path, resp.Status, data, err)
		}
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	now := ask("range", `{"key":"AA==","limit":"1"}`)
	ask("compaction", fmt.Sprintf(`{"revision":%q,"physical":true}`, now.Header.Revision))
}
