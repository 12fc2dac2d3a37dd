package tracing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

// fake answers with the traces that a query matches, or with an error.
type fake struct {
	failing, healthy [2]int // traces of the canary and of stable
	broken           func(tracing.Query) error
	asked            chan tracing.Query
}

func (f fake) Find(_ context.Context, q tracing.Query) (tracing.Result, error) {
	if f.asked != nil {
		f.asked <- q
	}
	if f.broken != nil {
		if err := f.broken(q); err != nil {
			return tracing.Result{}, err
		}
	}
	canary := q.Track == "canary" || q.Version == "2.0"
	n := f.healthy
	if q.Status == tracing.StatusError {
		n = f.failing
	}
	count := n[1]
	if canary {
		count = n[0]
	}
	r := tracing.Result{Searched: "service shop", Truncated: count > q.Limit}
	for i := range min(count, q.Limit) {
		r.Traces = append(r.Traces, traceNumber(i, canary, q.Status == tracing.StatusError))
	}
	return r, nil
}

func (fake) Get(context.Context, string) (explain.Trace, error) {
	return explain.Trace{}, tracing.ErrNotFound
}

// traceNumber fails on /pay only; healthy traces are on ten routes.
func traceNumber(i int, canary, failed bool) explain.Trace {
	route := fmt.Sprintf("/r%d", i%10)
	if failed && canary {
		route = "/pay"
	}
	s := explain.Span{ID: "00000000000000aa", Service: "shop", Name: "GET", Start: time.Unix(int64(i), 0), Duration: time.Millisecond,
		Attributes: map[string]string{"http.route": route}, Resource: map[string]string{"service.name": "shop"}}
	if failed {
		s.Error = true
		s.Exceptions = []explain.Exception{{Type: "PoolExhausted", Message: "no connection for jane@example.com"}}
	}
	return explain.Trace{ID: fmt.Sprintf("%031x%d", i, map[bool]int{true: 1}[canary]), Spans: []explain.Span{s}}
}

func canary() tracing.Canary {
	return tracing.Canary{Service: "shop", Version: "2.0", StableVersion: "1.0", Start: time.Unix(0, 0), End: time.Unix(3600, 0)}
}

func TestExplainSaysItInASentence(t *testing.T) {
	found, err := tracing.Explain(t.Context(), fake{failing: [2]int{27, 0}, healthy: [2]int{300, 300}}, canary())
	if err != nil {
		t.Fatal(err)
	}
	want := "27 of 27 (100 %) of the canary's failing traces have http.route=/pay (0 of 300 (0 %) of its healthy ones); no failing trace of stable was found; most often PoolExhausted: no connection for <email> (27 of 27 (100 %))"
	if found.Summary != want {
		t.Errorf("summary\n%s\nwant\n%s", found.Summary, want)
	}
	if len(found.Traces) != 5 || found.Traces[0].Route != "/pay" || found.Traces[0].SpanID != "00000000000000aa" || found.Traces[0].Message == "" {
		t.Errorf("traces %+v, want five of /pay", found.Traces)
	}
}

func TestExplainNamesTheStableThatFailsToo(t *testing.T) {
	found, err := tracing.Explain(t.Context(), fake{failing: [2]int{27, 20}, healthy: [2]int{500, 300}}, canary())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(found.Summary, "not seen among 20 failing traces of stable") {
		t.Errorf("summary %s", found.Summary)
	}
	if !slices.Equal(found.Sampled, []string{"the newest 400 healthy traces of the canary"}) {
		t.Errorf("sampled %q", found.Sampled)
	}
}

func TestExplainWithoutFailuresSaysWhatWasSearched(t *testing.T) {
	found, err := tracing.Explain(t.Context(), fake{healthy: [2]int{300, 300}}, canary())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no failed trace of the canary was found", "service shop", "not sampled"} {
		if !strings.Contains(found.Summary, want) {
			t.Errorf("summary %q, want %q in it", found.Summary, want)
		}
	}
}

// A backend that answers for some groups only: what it answered is compared,
// and what is missing is told.
func TestExplainWithABackendThatAnswersPartly(t *testing.T) {
	late := errors.New("the search did not end in 30s")
	found, err := tracing.Explain(t.Context(), fake{failing: [2]int{27, 0}, healthy: [2]int{300, 300}, broken: func(q tracing.Query) error {
		if q.Version == "1.0" && q.Status == tracing.StatusError {
			return late
		}
		return nil
	}}, canary())
	if err != nil || len(found.Errors.Findings) == 0 {
		t.Fatalf("%+v %v, want what the canary's traces say", found, err)
	}
	if len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "failing traces of stable could not be read: the search did not end") {
		t.Errorf("notes %q", found.Notes)
	}
	if strings.Contains(found.Summary, "of stable") {
		t.Errorf("%q speaks of stable, whose traces could not be read", found.Summary)
	}
	_, err = tracing.Explain(t.Context(), fake{broken: func(tracing.Query) error { return late }}, canary())
	if !errors.Is(err, late) {
		t.Errorf("got %v, want that the canary's failing traces could not be read", err)
	}
}

// Two versions tell the tracks apart as they do for the judge; one alone does
// not, since the canary's version may be stable's too.
func TestVersionsOrTracksTellTheGroups(t *testing.T) {
	for reason, tc := range map[string]struct {
		stable string
		want   []string
	}{
		"two versions": {"1.0", []string{"1.0//1", "1.0//2", "2.0//1", "2.0//2"}},
		"one version":  {"", []string{"/stable/1", "/stable/2", "2.0/canary/1", "2.0/canary/2"}},
	} {
		c := canary()
		c.StableVersion = tc.stable
		asked := make(chan tracing.Query, 4)
		if _, err := tracing.Explain(t.Context(), fake{asked: asked}, c); err != nil {
			t.Fatal(err)
		}
		close(asked)
		var got []string
		for q := range asked {
			got = append(got, fmt.Sprintf("%s/%s/%d", q.Version, q.Track, q.Status))
		}
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: asked %q, want %q", reason, got, tc.want)
		}
	}
}

func TestBounded(t *testing.T) {
	found, err := tracing.Explain(t.Context(), fake{failing: [2]int{200, 20}, healthy: [2]int{400, 400}}, canary())
	if err != nil {
		t.Fatal(err)
	}
	found.Notes = []string{strings.Repeat("long ", 2000)}
	whole, _ := json.Marshal(found)
	for _, most := range []int{100_000, 16_000, 4_000, 2_000, 1_000} {
		text, err := json.Marshal(found.Bounded(most))
		if err != nil || len(text) > most {
			t.Errorf("%d bytes, want at most %d (%v)", len(text), most, err)
		}
	}
	if got := found.Bounded(4_000); got.Summary != found.Summary || len(got.Traces) != len(found.Traces) {
		t.Errorf("4,000 bytes have no room for summary and traces: %+v", got)
	}
	if again, _ := json.Marshal(found); string(again) != string(whole) {
		t.Error("what was bounded has changed")
	}
}

func TestInProcessAnswersAsOverHTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/search" {
			http.Error(w, "trace not there", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, `{"traces":[{"traceID":"1"}]}`)
	})
	srv := httptest.NewServer(handler)
	defer srv.Close()
	for name, s := range map[string]struct {
		url    string
		client *http.Client
	}{"HTTP": {srv.URL, nil}, "in process": {"http://in-process", tracing.InProcess(handler)}} {
		tempo, err := tracing.NewTempo(s.url, tracing.Options{HTTP: s.client})
		if err != nil {
			t.Fatal(err)
		}
		r, err := tempo.Find(t.Context(), query)
		if err != nil || r.Missing != 1 {
			t.Errorf("%s: %+v %v, want one missing trace", name, r, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := tempo.Find(ctx, query); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context canceled", name, err)
		}
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for want, c := range map[string]tracing.Config{
		"traces: tempo and jaeger are set":                 {Tempo: &tracing.Backend{URL: "http://a"}, Jaeger: &tracing.Backend{URL: "http://b"}},
		"traces.tempo.url: the server's address":           {Tempo: &tracing.Backend{}},
		"traces.jaeger.url = jaeger:16686: want http":      {Jaeger: &tracing.Backend{URL: "jaeger:16686"}},
		"traces.tempo.url = http://u:xxxxx@a: holds":       {Tempo: &tracing.Backend{URL: "http://u:p@a"}},
		"traces.tempo.bearerToken: bearerTokenFile is set": {Tempo: &tracing.Backend{URL: "http://a", BearerToken: "x", BearerTokenFile: "y"}},
		`traces.link = "javascript:alert({traceId})"`:      {Link: "javascript:alert({traceId})"},
		`traces.link = "http://grafana/": want {traceId}`:  {Link: "http://grafana/"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	good := tracing.Config{Jaeger: &tracing.Backend{URL: "http://jaeger:16686"}, Link: "https://grafana.example/trace/{traceId}"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if s, err := (&tracing.Config{}).Open(nil); s != nil || err != nil {
		t.Errorf("a section without a backend: %v %v, want none", s, err)
	}
}
