package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sample() Message {
	return Message{
		Name: "HelmDeployFailing", Severity: SeverityCritical, Summary: "4 deployments of shop/checkout failed in a row",
		Description: `container said "<!channel> a & b"`,
		Labels:      map[string]string{"helm_namespace": "shop", "helm_release": "checkout", "k8s.cluster.name": "prod"},
		Facts:       []Fact{{"Failed in a row", "4"}},
		URL:         "http://fairlead/alerts", RunbookURL: "https://docs/alerts.md#helmdeployfailing", StartsAt: at,
	}
}

// recorder keeps the last request.
type recorder struct {
	*httptest.Server
	header http.Header
	path   string
	body   []byte
}

func record(t *testing.T, status int, answer string) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.header, r.path = req.Header.Clone(), req.URL.Path
		r.body, _ = io.ReadAll(req.Body)
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func receiver(t *testing.T, o Options) *Receiver {
	t.Helper()
	if o.Name == "" {
		o.Name = "ops"
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAlertmanagerGetsAPIv2(t *testing.T) {
	srv := record(t, 200, "")
	r := receiver(t, Options{Kind: KindAlertmanager, URL: srv.URL + "/am", Token: "secret-token"})
	if err := r.Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if srv.path != "/am/api/v2/alerts" || srv.header.Get("Authorization") != "Bearer secret-token" {
		t.Errorf("path %q, authorization %q", srv.path, srv.header.Get("Authorization"))
	}
	var got []map[string]any
	if err := json.Unmarshal(srv.body, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{
		"labels": map[string]any{"alertname": "HelmDeployFailing", "severity": "critical", "helm_namespace": "shop",
			"helm_release": "checkout", "k8s_cluster_name": "prod"},
		"annotations": map[string]any{"summary": "4 deployments of shop/checkout failed in a row", "description": `container said "<!channel> a & b"`,
			"runbook_url": "https://docs/alerts.md#helmdeployfailing", "failed_in_a_row": "4"},
		"startsAt": "2026-03-01T12:00:00Z", "generatorURL": "http://fairlead/alerts",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWebhookIsSigned(t *testing.T) {
	srv := record(t, 204, "")
	key := []byte("0123456789abcdef")
	r := receiver(t, Options{Kind: KindWebhook, URL: srv.URL + "/hook", Key: key, Now: func() time.Time { return at }})
	m := sample()
	m.Status, m.EndsAt = StatusResolved, at.Add(time.Minute)
	if err := r.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var body webhookBody
	if err := json.Unmarshal(srv.body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Version != "4" || body.Status != StatusResolved || len(body.Alerts) != 1 || body.Alerts[0].EndsAt != m.EndsAt || body.Receiver != "ops" {
		t.Errorf("body: %s", srv.body)
	}
	tests := map[string]struct {
		key  string
		body []byte
		now  time.Time
		want error
	}{
		"as sent":         {string(key), srv.body, at.Add(time.Minute), nil},
		"another key":     {"another", srv.body, at, ErrSignature},
		"another body":    {string(key), append([]byte(" "), srv.body...), at, ErrSignature},
		"overheard":       {string(key), srv.body, at.Add(time.Hour), ErrSignature},
		"from the future": {string(key), srv.body, at.Add(-time.Hour), ErrSignature},
	}
	for name, tc := range tests {
		if err := Verify(srv.header, []byte(tc.key), tc.body, tc.now, 5*time.Minute); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	changed := srv.header.Clone()
	changed.Set(HeaderTimestamp, "1772366461")
	if err := Verify(changed, key, srv.body, at, time.Hour); err == nil {
		t.Error("a changed timestamp passed")
	}
}

func TestSlackEscapesAndBounds(t *testing.T) {
	srv := record(t, 200, "ok")
	r := receiver(t, Options{Kind: KindSlack, URL: srv.URL + "/services/T0/B0/x"})
	m := sample()
	m.Description += strings.Repeat("<&>é", 2000)
	m.URL = "http://fairlead/alerts?a=1&b=<|>"
	for range 20 {
		m.Facts = append(m.Facts, Fact{"More", strings.Repeat("<", 5000)})
	}
	if err := r.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var body slackBody
	if err := json.Unmarshal(srv.body, &body); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(srv.body), "<!") {
		t.Error("a mention went through")
	}
	if n := len([]rune(body.Blocks[0].Text.Text)); body.Blocks[0].Type != "header" || n > 150 {
		t.Errorf("header of %d characters", n)
	}
	if n := len(body.Blocks[1].Text.Text); n > 3000 || n < 2000 {
		t.Errorf("section of %d bytes", n)
	}
	if n := len(body.Blocks[2].Fields); n != maxFacts {
		t.Errorf("%d fields", n)
	}
	for _, f := range body.Blocks[2].Fields {
		if len(f.Text) > 2000 {
			t.Errorf("field of %d bytes", len(f.Text))
		}
	}
	if foot := body.Blocks[3].Elements[0].Text; !strings.Contains(foot, "<http://fairlead/alerts?a=1&amp;b=%3C%7C%3E|Open>") {
		t.Errorf("foot: %s", foot)
	}
}

func TestErrorsTellWhetherToRetry(t *testing.T) {
	for status, want := range map[int]bool{400: false, 401: false, 404: false, 408: true, 413: false, 429: true, 500: true, 501: false, 503: true, 302: false} {
		srv := record(t, status, "why\nnot")
		err := receiver(t, Options{Kind: KindWebhook, URL: srv.URL}).Send(t.Context(), sample())
		var e *Error
		if !errors.As(err, &e) || e.Status != status || Retryable(err) != want {
			t.Errorf("%d: %v, retryable %v, want %v", status, err, Retryable(err), want)
		}
		if !strings.Contains(err.Error(), "why not") {
			t.Errorf("%d: %v does not say why", status, err)
		}
	}
}

func TestNoAnswerIsRetryable(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	slow := receiver(t, Options{Kind: KindWebhook, URL: srv.URL, Timeout: 20 * time.Millisecond}).Send(t.Context(), sample())
	if !Retryable(slow) || !strings.Contains(slow.Error(), "no answer within 20ms") {
		t.Errorf("slow: %v", slow)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if err := receiver(t, Options{Kind: KindSlack, URL: gone.URL}).Send(t.Context(), sample()); !Retryable(err) {
		t.Errorf("gone: %v", err)
	}
}

func TestSecretsAreInNoError(t *testing.T) {
	var answers = []string{"no such hook: /services/T0/B0/SECRETPATH", "bad token SECRETTOKEN", "bad key SECRETKEY1", "user SECRETPASS"}
	for _, answer := range answers {
		srv := record(t, 403, answer)
		url := strings.Replace(srv.URL, "http://", "http://user:SECRETPASS@", 1) + "/services/T0/B0/SECRETPATH"
		err := receiver(t, Options{Kind: KindWebhook, URL: url, Token: "SECRETTOKEN", Key: []byte("SECRETKEY1")}).Send(t.Context(), sample())
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%v", err)
		}
		srv.Close()
		err = receiver(t, Options{Kind: KindWebhook, URL: url}).Send(t.Context(), sample())
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%v", err)
		}
	}
	if _, err := New(Options{Name: "x", Kind: KindSlack, URL: "SECRET"}); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("%v", err)
	}
}

func TestSendRetrying(t *testing.T) {
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	if err := receiver(t, Options{Kind: KindWebhook, URL: srv.URL}).SendRetrying(t.Context(), sample()); err != nil || n != 2 {
		t.Errorf("%v after %d attempts", err, n)
	}
	final := record(t, 400, "no")
	if err := receiver(t, Options{Kind: KindWebhook, URL: final.URL}).SendRetrying(t.Context(), sample()); err == nil {
		t.Error("a final error was swallowed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	busy := record(t, 503, "")
	if err := receiver(t, Options{Kind: KindWebhook, URL: busy.URL}).SendRetrying(ctx, sample()); err == nil {
		t.Error("no error at the end of ctx")
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 1000: time.Minute} {
		if got := Backoff(n, time.Minute, nil); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := Backoff(1, time.Minute, &Error{RetryAfter: 90 * time.Second}); got != 90*time.Second {
		t.Errorf("Retry-After: %s", got)
	}
	if got := retryAfter(at.Add(time.Minute).Format(http.TimeFormat), at); got != time.Minute {
		t.Errorf("Retry-After as a date: %s", got)
	}
}

func TestResolve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("https://x/y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOK", "https://a/b")
	for ref, want := range map[string]string{"env:HOOK": "https://a/b", "file:" + file: "https://x/y", "https://plain": "https://plain"} {
		if got, err := Resolve(ref); err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"env:NOT_SET_AT_ALL", "file:/does/not/exist"} {
		if _, err := Resolve(ref); err == nil {
			t.Errorf("%s: no error", ref)
		}
	}
}

func FuzzFormats(f *testing.F) {
	f.Add("summary", "text <!here>", "name", "value\xff")
	f.Fuzz(func(t *testing.T, summary, text, name, value string) {
		m := Message{Name: name, Summary: summary, Description: text, Labels: map[string]string{name: value}, Facts: []Fact{{name, value}}}
		r := Receiver{o: Options{Name: "x"}}
		for _, k := range []Kind{KindAlertmanager, KindWebhook, KindSlack} {
			r.o.Kind = k
			b, err := r.encode(m.bounded())
			if err != nil || !json.Valid(b) {
				t.Fatalf("%s: %v: %s", k, err, b)
			}
			if k == KindSlack && strings.Contains(string(b), "<!") {
				t.Fatalf("a mention went through: %s", b)
			}
		}
	})
}
