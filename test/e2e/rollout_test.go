//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/notify"
)

// A good canary goes through all steps and becomes stable, and no user's
// request fails.
func TestRolloutOfAGoodCanary(t *testing.T) {
	t.Parallel()
	s := newCanaryScene(t)
	stop := s.users(100)
	s.startController()
	s.apply(s.canaryRelease(shortGates))
	s.await("the controller to see that there is nothing to do", 20*time.Second, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1))
	cr := s.awaitPhase("Succeeded", 3*time.Minute)
	t.Logf("the canary's end:\n%s", s.kubectl("-n", s.namespace, "get", "canaryrelease", "shop", "-o", "wide"))
	time.Sleep(2 * time.Second)
	stats := stop()
	t.Logf("%d requests, %d failed, %d left out; 1.0.0 answered %d, 2.0.0 %d", stats.Sent, stats.Failed, stats.LeftOut, s.front.count("1.0.0"), s.front.count("2.0.0"))
	if stats.Failed != 0 || s.front.count("2.0.0") == 0 {
		t.Errorf("%d of %d requests failed\n%s", stats.Failed, stats.Sent, s.story())
	}
	if got := s.weight(); got != "0" {
		t.Errorf("in the end the route gives the canary %s, want 0", got)
	}
	if got := s.kubectl("-n", s.namespace, "get", "deployment", "shop", "-o", `jsonpath={.spec.template.spec.containers[0].env[?(@.name=="APP_VERSION")].value} {.spec.template.metadata.labels.track} {.spec.template.spec.containers[0].env[?(@.name=="DEPLOYMENT_TRACK")].value} {.spec.replicas}`); got != "2.0.0 stable stable 2" {
		t.Errorf("stable is %q, want it in the canary's version and still stable", got)
	}
	if got := s.kubectl("-n", s.namespace, "get", "deployment", "shop-canary", "-o", "jsonpath={.spec.replicas}"); got != "0" {
		t.Errorf("the canary has %s replicas left", got)
	}
	if cr.Status.RolloutID == "" || cr.Status.TraceID == "" || cr.Status.Parameters == "" {
		t.Errorf("status lacks identity, trace or parameters: %+v", cr.Status)
	}
}

// A canary that fails on one route of eight is rolled back at the first step,
// without a human.
func TestRolloutOfABadCanary(t *testing.T) {
	t.Parallel()
	s := newCanaryScene(t)
	stop := s.users(100)
	slack, hook := newInbox(t), newInbox(t)
	secret := s.file("slack", slack.URL+"\n")
	s.startController("--notify-slack", "file:"+secret, "--notify-webhook", hook.URL, "--notify-webhook-key", "file:"+s.file("key", "a key of this test"))
	s.apply(s.canaryRelease(`  steps: [{weight: 5, gate: 2m}, {weight: 50, gate: 10s}, {weight: 100}]
  deadline: 5m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
`))
	s.await("the controller to see that there is nothing to do", 20*time.Second, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1, "SHOP_FAULT_ROUTE=/search", "SHOP_FAULT_ERROR_RATE=0.5"))
	begun := s.awaitPhase("RollingBack", 2*time.Minute)
	cr := s.awaitPhase("RolledBack", time.Minute)
	stop()
	decided := begun.Status.Progress.PhaseStarted.Time
	last := s.front.lastOf("2.0.0")
	t.Logf("rolled back %s after the gate began; decision to the last request that the canary served: %s",
		decided.Sub(begun.Status.Progress.Gates[0].Time).Round(time.Millisecond), last.Sub(decided).Round(time.Millisecond))
	t.Logf("%d requests of users were harmed; the verdict counts %d of %d", s.front.failed.Load(), cr.Status.Verdict.CanaryErrors, cr.Status.Verdict.CanaryRequests)
	t.Logf("status:\n%s", s.kubectl("-n", s.namespace, "get", "canaryrelease", "shop", "-o", "wide"))
	if cr.Status.Reason != "AnalysisFailed" || cr.Status.Step != "1/3" {
		t.Errorf("reason %s at step %s, want AnalysisFailed at 1/3\n%s", cr.Status.Reason, cr.Status.Step, s.story())
	}
	if s.weight() != "0" || len(cr.Status.Verdict.FailedChecks) == 0 {
		t.Errorf("weight %s, failed checks %+v\n%s", s.weight(), cr.Status.Verdict, s.story())
	}
	s.await("failed traces in the status", 30*time.Second, func() bool { return len(s.get().Status.Verdict.SampleTraces) > 0 })
	cr = s.get()
	t.Logf("why: %s", cr.Status.Verdict.Explanation)

	// People are told, with the cause, the failed checks and failed traces.
	for name, in := range map[string]*inbox{"Slack": slack, "webhook": hook} {
		body, header := in.first(30 * time.Second)
		for _, want := range []string{"RolledBack of 2.0.0", "error_rate", "AnalysisFailed", cr.Status.TraceID, cr.Status.Verdict.SampleTraces[0], "/search"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s was not told %q:\n%s", name, want, body)
			}
		}
		if in == hook {
			if err := notify.Verify(header, []byte("a key of this test"), []byte(body), time.Now(), time.Minute); err != nil || !strings.Contains(body, `"alertname":"CanaryRolledBack"`) {
				t.Errorf("webhook: %v\n%s", err, body)
			}
		}
	}
	events := s.kubectl("-n", s.namespace, "get", "events.events.k8s.io", "-o", `jsonpath={range .items[?(@.regarding.kind=="CanaryRelease")]}{.type} {.reason}: {.note}{"\n"}{end}`)
	t.Logf("events:\n%s", events)
	for _, want := range []string{"Normal RolloutStarted: rolling out 2.0.0", "Normal GateStarted", "Warning AnalysisFailed: rolling back at step 1/3", "Warning RolledBack: 2.0.0", "failed checks: error_rate"} {
		if !strings.Contains(events, want) {
			t.Errorf("no event says %q", want)
		}
	}

	s.measured()

	// The server has the rollout, and all of it is one trace.
	var record struct {
		Rollout struct {
			Phase       string          `json:"phase"`
			Explanation json.RawMessage `json:"explanation"`
		} `json:"rollout"`
	}
	s.await("the server to have the rollout's end", 20*time.Second, func() bool {
		return s.ask("/api/v1/rollouts/"+cr.Status.RolloutID, &record) && record.Rollout.Phase == "RolledBack" && len(record.Rollout.Explanation) > 0
	})
	var spans string
	s.await("the rollout's trace", 20*time.Second, func() bool {
		var trace json.RawMessage
		found := s.ask("/tempo/api/traces/"+cr.Status.TraceID, &trace)
		spans = string(trace)
		return found && strings.Contains(spans, `"rollout.failed_checks"`) && strings.Contains(spans, `"canary.rollout"`) && strings.Contains(spans, `"canary.step"`) && strings.Contains(spans, `"canary.analysis"`)
	})
}

// measured asks the server's PromQL for what the controller has sent over OTLP
// of a canary that was rolled back.
func (s *canaryScene) measured() {
	s.t.Helper()
	of := fmt.Sprintf(`{namespace=%q,name=%q}`, s.namespace, s.app)
	for query, is := range map[string]func(float64) bool{
		`fairlead_rollout_phase{phase="RolledBack",` + of[1:]:                                             func(v float64) bool { return v == 1 },
		`fairlead_rollout_phase{phase="RollingBack",` + of[1:]:                                            func(v float64) bool { return v == 0 },
		"max_over_time(fairlead_rollout_weight_desired" + of + "[10m])":                                   func(v float64) bool { return v == 5 },
		"max_over_time(fairlead_rollout_weight_observed" + of + "[10m])":                                  func(v float64) bool { return v == 5 },
		"fairlead_rollout_weight_observed" + of:                                                           func(v float64) bool { return v == 0 },
		"fairlead_rollout_analysis_available" + of:                                                        func(v float64) bool { return v == 1 },
		`fairlead_rollout_check_value{metric="error_rate",track="canary",` + of[1:]:                       func(v float64) bool { return v > 0.01 },
		`fairlead_rollout_check_threshold{metric="error_rate",` + of[1:]:                                  func(v float64) bool { return v > 0 && v < 0.01 },
		`sum(fairlead_rollout_duration_seconds_count{outcome="RolledBack",service_name=~".*controller"})`: func(v float64) bool { return v == 1 },
		`sum(fairlead_rollout_duration_seconds_sum{outcome="RolledBack"})`:                                func(v float64) bool { return v > 10 },
	} {
		var answer struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		s.await("PromQL to know "+query, 20*time.Second, func() bool {
			if !s.ask("/prometheus/api/v1/query?query="+url.QueryEscape(query), &answer) || len(answer.Data.Result) != 1 {
				return false
			}
			text, _ := answer.Data.Result[0].Value[1].(string)
			v, err := strconv.ParseFloat(text, 64)
			return err == nil && is(v)
		})
	}
}

// inbox is a receiver of notifications.
type inbox struct {
	*httptest.Server
	t    *testing.T
	got  chan struct{}
	mu   sync.Mutex
	body string
	head http.Header
}

func newInbox(t *testing.T) *inbox {
	in := &inbox{t: t, got: make(chan struct{})}
	in.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.body != "" || err != nil {
			t.Errorf("told twice, or not at all: %v\n%s", err, body)
			return
		}
		in.body, in.head = string(body), r.Header
		close(in.got)
	}))
	t.Cleanup(in.Close)
	return in
}

// first waits for the only message.
func (in *inbox) first(most time.Duration) (string, http.Header) {
	in.t.Helper()
	select {
	case <-in.got:
	case <-time.After(most):
		in.t.Fatalf("nothing was told within %s", most)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.body, in.head
}

// ask reads JSON from the server; false when there is none yet.
func (s *canaryScene) ask(path string, into any) bool {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.server+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(s.authorized(req))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(into) == nil
}
