package tracing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/tracing"
)

// faulty answers every request in one way, to see what a client makes of it.
func faulty(t *testing.T, status int, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

var query = tracing.Query{Service: "shop", Version: "2.0", Track: "canary", Status: tracing.StatusError,
	Start: time.Unix(1_700_000_000, 0), End: time.Unix(1_700_003_600, 0), Limit: 20}

func sources(t *testing.T, url string) map[string]tracing.Source {
	t.Helper()
	tempo, err := tracing.NewTempo(url, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	jaeger, err := tracing.NewJaeger(url, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]tracing.Source{"Tempo": tempo, "Jaeger": jaeger}
}

func TestBackendsThatCannotAnswerAreErrors(t *testing.T) {
	for _, c := range []struct {
		reason, body, want string
		status             int
	}{
		{"it is down behind its proxy", "upstream connect error\nmore", "answered 503 Service Unavailable", 503},
		{"a token is missing", "", "answered 401 Unauthorized", 401},
		{"it answers something else", "<html>", "read the answer of", 200},
	} {
		url := faulty(t, c.status, c.body)
		for name, s := range sources(t, url) {
			t.Run(name+": "+c.reason, func(t *testing.T) {
				_, err := s.Find(context.Background(), query)
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
					t.Errorf("got %v, want %s ... %q", err, name, c.want)
				}
			})
		}
	}
}

func TestBadQueriesNameWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*tracing.Query){
		"no service given":                         func(q *tracing.Query) { q.Service = "" },
		"limit 0: want 1 to 1000":                  func(q *tracing.Query) { q.Limit = 0 },
		"limit 5000: want 1 to 1000":               func(q *tracing.Query) { q.Limit = 5000 },
		"start 2023-11-14T22:13:20Z is not before": func(q *tracing.Query) { q.Start = q.Start.UTC(); q.End = q.Start },
	} {
		q := query
		change(&q)
		for name, s := range sources(t, "http://127.0.0.1:1") {
			if _, err := s.Find(context.Background(), q); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
	if _, err := tracing.NewTempo("tempo:3200", tracing.Options{}); err == nil || !strings.Contains(err.Error(), `"tempo:3200"`) {
		t.Errorf("got %v", err)
	}
}

// oneTrace is a trace with a failed span of the shop, and one of a database.
func oneTrace(id byte, track string, failed bool) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutStr("service.version", "2.0")
	if track != "" {
		rs.Resource().Attributes().PutStr("deployment.track", track)
	}
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID{15: id})
	sp.SetSpanID(pcommon.SpanID{7: id})
	sp.SetName("GET /")
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(query.Start.Add(time.Duration(id) * time.Second)))
	sp.SetEndTimestamp(sp.StartTimestamp() + 1_000_000)
	if failed {
		sp.Status().SetCode(ptrace.StatusCodeError)
	}
	return td
}

// TestJaegerThatIgnoresAttributes stands for v2.13 and before: the answer holds
// whatever the service did, as many as were asked for, those that arrived last.
// The canary's arrive in batches of their own, so the last to arrive are not the
// last to start.
func TestJaegerThatIgnoresAttributes(t *testing.T) {
	const stored = 3000
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		v := r.URL.Query()
		from, err1 := time.Parse(time.RFC3339Nano, v.Get("query.start_time_min"))
		end, err2 := time.Parse(time.RFC3339Nano, v.Get("query.start_time_max"))
		most, err3 := strconv.Atoi(v.Get("query.num_traces"))
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Error(err)
		}
		all, n := ptrace.NewTraces(), 0
		for _, stable := range []bool{true, false} { // all of stable's arrived later
			for i := stored; i > 0 && n < most; i-- {
				at := query.Start.Add(time.Duration(i) * time.Second)
				if (i%100 != 0) != stable || at.Before(from) || at.After(end) {
					continue
				}
				n++
				td := oneTrace(1, map[bool]string{true: "stable", false: "canary"}[stable], true)
				sp := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
				sp.SetTraceID(pcommon.TraceID{14: byte(i >> 8), 15: byte(i)})
				sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
				td.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
			}
		}
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(all)
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(map[string]json.RawMessage{"result": body})
	}))
	t.Cleanup(srv.Close)
	j, err := tracing.NewJaeger(srv.URL, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := query
	q.Limit = 100
	r, err := j.Find(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Traces) != stored/100 || r.Truncated {
		t.Errorf("got %d traces (truncated: %v), want all %d of the canary of %d", len(r.Traces), r.Truncated, stored/100, stored)
	}
	if requests > 20 {
		t.Errorf("%d requests, want at most 20", requests)
	}
	q.Limit = 4
	r, err = j.Find(context.Background(), q)
	if err != nil || len(r.Traces) != 4 || !r.Truncated || !r.Traces[0].Spans[0].Start.Equal(query.Start.Add(stored*time.Second)) {
		t.Errorf("got %d traces (truncated: %v) %v, want the newest 4", len(r.Traces), r.Truncated, err)
	}
}

func TestTracesAreCheckedNotOnlyFound(t *testing.T) {
	bodies := map[string]ptrace.Traces{
		"01": oneTrace(1, "canary", true),
		"02": oneTrace(2, "stable", true), // the search was wrong
		"03": oneTrace(3, "", true),       // no track: its version tells
		"04": oneTrace(4, "canary", false),
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/search" {
			// Leading zeros are stripped, the order is any, one trace is gone since.
			fmt.Fprint(w, `{"traces":[{"traceID":"1"},{"traceID":"3"},{"traceID":"2"},{"traceID":"4"},{"traceID":"5"}]}`)
			return
		}
		if got := r.Header.Get("Accept"); got != "application/protobuf" {
			t.Errorf("asked for %q", got)
		}
		id := r.URL.Path[len(r.URL.Path)-2:]
		td, ok := bodies[id]
		if !ok || len(r.URL.Path) != len("/api/traces/")+32 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	tempo, err := tracing.NewTempo(srv.URL, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tempo.Find(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, one := range r.Traces {
		ids = append(ids, one.ID[30:])
	}
	if got := strings.Join(ids, " "); got != "03 01" || r.Missing != 1 {
		t.Errorf("got %q, %d missing; want the newest first: 03 01, and one missing", got, r.Missing)
	}
	if _, err := tempo.Get(context.Background(), strings.Repeat("f", 32)); !errors.Is(err, tracing.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
