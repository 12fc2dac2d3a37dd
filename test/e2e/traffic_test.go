//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/traffic"
)

// trafficScene is the test application in two versions behind one HTTPRoute of
// the real gateway, with a rule for testers that nobody may touch.
type trafficScene struct {
	*scene
	router traffic.Router
	counts sync.Map // version -> *atomic.Int64
	lost   atomic.Int64
	first  atomic.Pointer[string] // request that was lost
}

func newTrafficScene(t *testing.T) *trafficScene {
	t.Helper()
	if os.Getenv("FAIRLEAD_TEST_GATEWAY") == "" {
		t.Skip("SKIPPED: needs the test bed's gateway")
	}
	s := &trafficScene{scene: newScene(t, 4)}
	for version, name := range map[string]string{"v1": "web", "v2": "web-canary"} {
		s.must("install", name, appChart, "--set", "replicas=2,image=fairlead.test/app:"+version, "--wait")
	}
	s.kubectlApply(fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: %[1]s, annotations: {team: payments}}
spec:
  parentRefs: [{name: gateway, namespace: default}]
  hostnames: [%[2]q]
  rules:
  - name: testers
    matches: [{headers: [{name: X-Canary, value: always}]}]
    backendRefs: [{name: web-canary, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Route, value: web}]}}]
    backendRefs:
    - {name: web, port: 80}
    - {name: web-canary, port: 80, weight: 0}
`, s.namespace, s.host()))
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.router, err = traffic.New(c, traffic.Target{Kind: traffic.KindHTTPRoute, Namespace: s.namespace, Name: "web", Stable: "web", Canary: "web-canary"})
	if err != nil {
		t.Fatal(err)
	}
	// A gateway that lost the API server asks again after up to half a minute, and
	// other tests restart that.
	deadline := time.Now().Add(90 * time.Second)
	for {
		if version, err := s.request(); err == nil && version == "v1" {
			return s
		} else if time.Now().After(deadline) {
			t.Fatalf("the gateway does not route: %q %v", version, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *trafficScene) host() string { return s.namespace + ".example" }

func (s *trafficScene) kubectlApply(manifest string) {
	s.t.Helper()
	b := &bench{t: s.t, namespace: s.namespace}
	b.kubectl(manifest, "apply", "-f", "-")
}

// request asks the gateway once and returns the version that answered.
func (s *trafficScene) request(headers ...string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, os.Getenv("FAIRLEAD_TEST_GATEWAY"), nil)
	if err != nil {
		return "", err
	}
	req.Host = s.host()
	for _, h := range headers {
		k, v, _ := strings.Cut(h, "=")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(string(body), "version="), " ")
	return version, nil
}

// flood sends requests from several users until the returned function is called.
func (s *trafficScene) flood(users int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range users {
		wg.Go(func() {
			for ctx.Err() == nil {
				version, err := s.request()
				if err != nil {
					text := err.Error()
					s.first.CompareAndSwap(nil, &text)
					s.lost.Add(1)
				}
				s.counter(version).Add(1)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func (s *trafficScene) counter(version string) *atomic.Int64 {
	n, _ := s.counts.LoadOrStore(version, &atomic.Int64{})
	return n.(*atomic.Int64)
}

// shift sets a weight and returns how long it took until the data plane had
// accepted it.
func (s *trafficScene) shift(percent int) time.Duration {
	s.t.Helper()
	began := time.Now()
	if err := s.router.SetWeight(s.t.Context(), percent); err != nil {
		s.t.Fatal(err)
	}
	for {
		state, err := s.router.Observe(s.t.Context())
		switch {
		case err != nil:
			s.t.Fatal(err)
		case state.OK && state.Weight == percent:
			return time.Since(began)
		case time.Since(began) > 20*time.Second:
			s.t.Fatalf("weight %d: %+v after %s", percent, state, time.Since(began))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// route is the HTTPRoute's spec without the weights of the pair.
func (s *trafficScene) route() string {
	s.t.Helper()
	var route struct {
		Metadata struct{ Annotations map[string]string }
		Spec     map[string]any
	}
	if err := json.Unmarshal([]byte(s.kubectl("-n", s.namespace, "get", "httproute", "web", "-o", "json")), &route); err != nil {
		s.t.Fatal(err)
	}
	pair := route.Spec["rules"].([]any)[1].(map[string]any)["backendRefs"].([]any)
	for _, ref := range pair {
		delete(ref.(map[string]any), "weight")
	}
	out, err := json.Marshal([]any{route.Spec, route.Metadata.Annotations["team"]})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}

// share counts n requests, or those of 20 s, and returns the canary's percentage
// and how many they were.
func (s *trafficScene) share(n int64) (percent, requests float64) {
	was := [2]int64{s.counter("v1").Load(), s.counter("v2").Load()}
	deadline := time.Now().Add(20 * time.Second)
	for s.counter("v1").Load()+s.counter("v2").Load()-was[0]-was[1] < n && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	stable, canary := float64(s.counter("v1").Load()-was[0]), float64(s.counter("v2").Load()-was[1])
	return 100 * canary / (stable + canary), stable + canary
}

// The gateway gives the canary what the weights say, counted by real requests;
// none is lost while they move; and nothing but two weights is written, although
// somebody else edits the route all the time.
func TestWeightsOfAnHTTPRouteAreRequests(t *testing.T) {
	t.Parallel()
	s := newTrafficScene(t)
	if problems, err := s.router.Preflight(t.Context()); err != nil || len(problems) > 0 {
		t.Fatalf("Preflight() = %v, %v", problems, err)
	}
	before := s.route()
	stopEdits := make(chan struct{})
	var edits sync.WaitGroup
	edits.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopEdits:
				return
			case <-time.After(50 * time.Millisecond):
				s.kubectl("-n", s.namespace, "annotate", "--overwrite", "httproute", "web", fmt.Sprintf("edit=%d", i))
			}
		}
	})
	stop := s.flood(4)
	for _, percent := range []int{5, 25, 50, 100, 25, 0} {
		took := s.shift(percent)
		// Traefik follows at most every 100 ms here, but on a busy machine it may
		// be late: the share must be right in one of the first windows.
		var got, n float64
		for window := 1; window <= 5; window++ {
			time.Sleep(time.Second)
			got, n = s.share(1000)
			t.Logf("weight %3d %%: accepted after %4d ms, then in window %d %.1f %% of %.0f requests", percent, took.Milliseconds(), window, got, n)
			if math.Abs(got-float64(percent)) <= 3 {
				break
			}
		}
		if n < 1000 || math.Abs(got-float64(percent)) > 3 {
			t.Errorf("weight %d %%: the canary has %.1f %% of %.0f requests", percent, got, n)
		}
		if version, err := s.request("X-Canary=always"); err != nil || version != "v2" {
			t.Errorf("at %d %% a tester reaches %q, %v, want the canary", percent, version, err)
		}
	}
	stop()
	close(stopEdits)
	edits.Wait()
	if lost := s.lost.Load(); lost > 0 {
		t.Errorf("%d requests were lost, the first: %s", lost, *s.first.Load())
	}
	if after := s.route(); after != before {
		t.Errorf("the route is\n%s\nwant\n%s", after, before)
	}
}

// A canary Service that is gone is a route that cannot be moved, and no harm to
// the users of stable.
func TestARouteWhoseCanaryServiceIsGone(t *testing.T) {
	t.Parallel()
	s := newTrafficScene(t)
	s.kubectl("-n", s.namespace, "delete", "service", "web-canary")
	var state traffic.State
	var err error
	for range 100 {
		if state, err = s.router.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !state.OK {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if state.OK || !state.Writable || !strings.Contains(state.Problem, "cannot resolve a backend") {
		t.Errorf("Observe() = %+v", state)
	}
	for range 50 {
		if version, err := s.request(); err != nil || version != "v1" {
			t.Fatalf("a user of stable got %q, %v", version, err)
		}
	}
}
