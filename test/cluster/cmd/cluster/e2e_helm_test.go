//go:build e2e && linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHelm proves the chart, the images and the application with both Helms:
// what works works, and what fails fails for the reason that was asked for.
func TestHelm(t *testing.T) {
	const name = "t-helm"
	up(t, name)
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			t.Parallel()
			kubectl := func(args ...string) string {
				t.Helper()
				return must(t, name, append([]string{"exec", "--", "kubectl", "--namespace", helm}, args...)...)
			}
			release := func(code int, timeout string, set ...string) {
				t.Helper()
				args := []string{"exec", "--", helm, "upgrade", "--install", helm, chart, "--namespace", helm, "--create-namespace", "--history-max", "0", "--wait", "--timeout", timeout, "--set", strings.Join(set, ",")}
				if out, stderr, got := try(t, name, args...); got != code {
					t.Errorf("%v: exit code %d, want %d\n%s%s", set, got, code, out, stderr)
				}
			}
			release(0, "2m", "hook.enabled=true", "statefulSet.enabled=true", "daemonSet.enabled=true", "job.enabled=true",
				"init.enabled=true", "persistence.enabled=true", "route.enabled=true", "route.hostname="+helm+".test")
			// Traefik hears of the pods a moment after Helm.
			eventually(t, "the route answers", func() bool {
				got := must(t, name, "exec", "--", "curl", "-sS", "-H", "Host: "+helm+".test", "http://10.96.0.80/")
				return strings.HasPrefix(got, "version=v1 ")
			})
			release(0, "2m", "image=fairlead.test/app:v2")
			release(0, "2m", "image=fairlead.test/slow-1s/app:v3")

			for _, f := range []struct {
				set   string
				event string // of the events, or of the pods' states
			}{
				{"env.UNREADY=true", "HTTP probe failed with statuscode: 503"},
				{"image=fairlead.test/nope:v1", "not found"},
				{"image=fairlead.test/denied/app:v1", "401 Unauthorized"},
				{"image=fairlead.test/broken/app:v1", "500 Internal Server Error"},
				{"env.CRASH_AFTER=0s,env.EXIT_CODE=42,env.CRASH_MESSAGE=no database", `"no database"`},
				{"env.MEMORY_MIB=200,resources.limits.memory=50Mi", `"OOMKilled"`},
				{"hook.enabled=true,hook.result=fail", "BackoffLimitExceeded"},
				{"init.enabled=true,init.result=fail", `"job failed as told"`},
				{"persistence.enabled=true,persistence.bound=false,persistence.size=2Mi", "unbound immediate PersistentVolumeClaims"},
			} {
				release(1, "10s", f.set)
				eventually(t, f.set+": an event or a pod says "+f.event, func() bool {
					return strings.Contains(kubectl("get", "events,pods", "-o", "json"), f.event)
				})
				// Helm 3 merges with the last release that succeeded, so what a
				// failed one added would stay.
				must(t, name, "exec", "--", helm, "rollback", helm, "3", "--namespace", helm, "--history-max", "0")
			}
			release(1, "10s", "fail=stop")
			must(t, name, "exec", "--", helm, "uninstall", helm, "--namespace", helm, "--wait")
		})
	}
}

const (
	requests     = 10_000
	canaryWeight = 5 // of 100
)

// TestWeightedTraffic sends requests through Traefik to two releases behind
// one route, as a canary has them.
func TestWeightedTraffic(t *testing.T) {
	const name = "t-traffic"
	up(t, name)
	must(t, name, "exec", "--", "helm4", "install", "canary", chart, "--wait", "--timeout", "2m", "--set", "image=fairlead.test/app:v2")
	values := filepath.Join(t.TempDir(), "values.yaml")
	route := fmt.Sprintf("route:\n  enabled: true\n  backends:\n  - {name: stable, port: 80, weight: %d}\n  - {name: canary, port: 80, weight: %d}\n",
		100-canaryWeight, canaryWeight)
	if err := os.WriteFile(values, []byte(route), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, name, "exec", "--", "helm4", "install", "stable", chart, "--wait", "--timeout", "2m", "-f", values)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(trafficVariable, "app.test")
	var got trafficResult
	if err := json.Unmarshal([]byte(must(t, name, "exec", "--", self)), &got); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v, %.0f requests/s", got.Answers, requests/got.Seconds)
	// Traefik deals out by weight, not by chance; a request that was under way
	// at a change of the route may miss its turn.
	if off := math.Abs(float64(got.Answers["version=v2"]) - requests*canaryWeight/100); off > 5 ||
		got.Answers["version=v1"]+got.Answers["version=v2"] != requests {
		t.Errorf("answers %+v, want %d of %d from v2", got.Answers, requests*canaryWeight/100, requests)
	}
}

// trafficVariable makes the test binary send requests to the host it names
// instead of running tests.
const trafficVariable = "CLUSTER_TEST_TRAFFIC"

type trafficResult struct {
	Answers map[string]int // by the first word of the body, or the error
	Seconds float64
}

func trafficMain() int {
	const parallel = 8
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: parallel}}
	ask := func() string {
		req, err := http.NewRequest(http.MethodGet, os.Getenv("FAIRLEAD_TEST_GATEWAY"), nil)
		if err != nil {
			return err.Error()
		}
		req.Host = os.Getenv(trafficVariable)
		resp, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		word, _, _ := strings.Cut(string(body), " ")
		return word
	}
	for range 100 { // the route may be newer than Traefik's configuration
		if strings.HasPrefix(ask(), "version=") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	result := trafficResult{Answers: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	started := time.Now()
	for range parallel {
		wg.Go(func() {
			for range requests / parallel {
				answer := ask()
				mu.Lock()
				result.Answers[answer]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	result.Seconds = time.Since(started).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		return 1
	}
	return 0
}
