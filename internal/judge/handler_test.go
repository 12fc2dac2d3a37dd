package judge_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// source holds a rollout: 20 % for twenty minutes.
func source(t *testing.T, fault simulate.Fault) *prom.Source {
	t.Helper()
	var text bytes.Buffer
	err := recording.Write(&text, simulate.Rollout(simulate.Options{
		Seed: 3, Start: began, History: 20 * time.Minute, Rate: 30, Routes: 3, Pods: 3, Fault: fault,
		Steps: []simulate.Step{{Weight: 0.2, Length: 20 * time.Minute, Pods: 1}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "r.om")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return prom.NewSource(r)
}

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

const query = "?service=shop&canaryVersion=2.0.0&stableVersion=1.0.0&gate=10m"

func ask(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func decision(t *testing.T, body string) string {
	t.Helper()
	// What Argo Rollouts' jsonPath {$.decision} finds.
	var v struct {
		Decision string `json:"decision"`
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v.Decision
}

func TestVerdictOverHTTP(t *testing.T) {
	for name, tc := range map[string]struct {
		fault simulate.Fault
		after time.Duration
		want  string
	}{
		"early":   {simulate.Fault{Route: 99}, 3 * time.Minute, "continue"},
		"healthy": {simulate.Fault{Route: 99}, 20 * time.Minute, "promote"},
		"broken":  {simulate.Fault{Route: 0, Errors: 0.2}, 5 * time.Minute, "rollback"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{began.Add(tc.after).Add(time.Minute)}
			h := judge.NewHandler(judge.Options{Source: source(t, tc.fault), Now: c.Now})
			code, body := ask(t, h, http.MethodGet, "/api/v1/judge"+query, "")
			if code != http.StatusOK || decision(t, body) != tc.want {
				t.Errorf("GET: %d %s, want 200 %s", code, body, tc.want)
			}
			post := `{"service":"shop","versions":{"canary":"2.0.0","stable":"1.0.0"},"gate":"10m","analysis":{"minRequests":100}}`
			if code, body = ask(t, h, http.MethodPost, "/api/v1/judge", post); code != http.StatusOK || decision(t, body) != tc.want {
				t.Errorf("POST: %d %s, want 200 %s", code, body, tc.want)
			}
		})
	}
}

// A fold that is continued says what one from the start says.
func TestContinuedFoldIsTheSame(t *testing.T) {
	src := source(t, simulate.Fault{Route: 99})
	c := &clock{began.Add(2 * time.Minute)}
	h := judge.NewHandler(judge.Options{Source: src, Now: c.Now})
	verdict := func(h http.Handler) (v analysis.Verdict) {
		_, body := ask(t, h, http.MethodGet, "/api/v1/judge"+query+"&start="+began.Format(time.RFC3339), "")
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	var kept analysis.Verdict
	for range 12 {
		c.now = c.now.Add(time.Minute)
		kept = verdict(h)
	}
	fresh := verdict(judge.NewHandler(judge.Options{Source: src, Now: c.Now}))
	if kept.Evidence.E != fresh.Evidence.E || kept.Decision != fresh.Decision || kept.At != fresh.At {
		t.Errorf("continued: %s with %v at %s; folded again: %s with %v at %s", kept.Decision, kept.Evidence.E, kept.At, fresh.Decision, fresh.Evidence.E, fresh.At)
	}
}

func TestFlagger(t *testing.T) {
	payload := `{"name":"shop","namespace":"test","phase":"Progressing","checksum":"85d557f47b","buildId":"1",
		"metadata":{"service":"shop","canaryMatch":"service_version=2.0.0; deployment_track=canary","stableMatch":"service_version=1.0.0;deployment_track=stable","gate":"10m"}}`
	for name, tc := range map[string]struct {
		fault                      simulate.Fault
		after                      time.Duration
		rollback, confirm, rollout int
	}{
		"early":   {simulate.Fault{Route: 99}, 3 * time.Minute, 412, 412, 200},
		"healthy": {simulate.Fault{Route: 99}, 20 * time.Minute, 412, 200, 200},
		"broken":  {simulate.Fault{Route: 0, Errors: 0.2}, 5 * time.Minute, 200, 412, 412},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{began.Add(tc.after).Add(time.Minute)}
			h := judge.NewHandler(judge.Options{Source: source(t, tc.fault), Now: c.Now})
			for hook, want := range map[string]int{"rollback": tc.rollback, "confirm": tc.confirm, "rollout": tc.rollout} {
				if code, body := ask(t, h, http.MethodPost, "/api/v1/judge/flagger/"+hook, payload); code != want {
					t.Errorf("%s: %d %s, want %d", hook, code, body, want)
				}
			}
		})
	}
}

func TestMissingCanary(t *testing.T) {
	c := &clock{began.Add(-5 * time.Minute)}
	h := judge.NewHandler(judge.Options{Source: source(t, simulate.Fault{Route: 99}), Now: c.Now})
	code, body := ask(t, h, http.MethodGet, "/api/v1/judge"+query, "")
	if code != http.StatusOK || decision(t, body) != "continue" || !strings.Contains(body, `"reason":"attribution"`) {
		t.Errorf("%d %s, want continue (attribution)", code, body)
	}
	// It comes, and is judged from then on.
	c.now = began.Add(20 * time.Minute)
	if code, body = ask(t, h, http.MethodGet, "/api/v1/judge"+query, ""); code != http.StatusOK || decision(t, body) != "promote" {
		t.Errorf("%d %s, want promote", code, body)
	}
}

func TestBadRequests(t *testing.T) {
	h := judge.NewHandler(judge.Options{Source: source(t, simulate.Fault{Route: 99}), Now: (&clock{began}).Now})
	for name, tc := range map[string]struct{ path, body, want string }{
		"no service":        {"/api/v1/judge?canaryVersion=2&stableVersion=1", "", "service"},
		"half the versions": {"/api/v1/judge?service=shop&canaryVersion=2", "", "versions"},
		"unknown parameter": {"/api/v1/judge?service=shop&url=http://x", "", "url: no such parameter"},
		"weight":            {"/api/v1/judge" + query + "&weight=150", "", "weight = 150"},
		"analysis":          {"/api/v1/judge" + query + "&analysis=" + url.QueryEscape("rule: astrology"), "", "analysis.rule = astrology"},
		"unknown field":     {"/api/v1/judge", `{"service":"shop","nonsense":1}`, "nonsense"},
		"unknown setting":   {"/api/v1/judge", `{"service":"shop","analysis":{"minReqests":1}}`, "minReqests"},
		"no JSON":           {"/api/v1/judge/flagger/rollback", `{`, "Flagger's payload"},
		"unknown hook":      {"/api/v1/judge/flagger/launch", `{}`, "want rollback, confirm or rollout"},
	} {
		t.Run(name, func(t *testing.T) {
			method := http.MethodGet
			if tc.body != "" {
				method = http.MethodPost
			}
			if code, body := ask(t, h, method, tc.path, tc.body); code != http.StatusBadRequest || !strings.Contains(body, tc.want) {
				t.Errorf("%d %s, want 400 with %q", code, body, tc.want)
			}
		})
	}
}
