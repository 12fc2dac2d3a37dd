package tracing_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

// kind is one kind of trace that the contract stores.
type kind struct {
	name           string
	version, track string
	failed, onSpan bool // onSpan: version and track are the span's, not the resource's
	slow           bool
}

var kinds = []kind{
	{name: "canary failed", version: "2.0", track: "canary", failed: true},
	{name: "canary failed, told on the span", version: "2.0", track: "canary", failed: true, onSpan: true},
	{name: "canary failed, no track", version: "2.0", failed: true},
	{name: "canary healthy", version: "2.0", track: "canary"},
	{name: "canary healthy, slow", version: "2.0", track: "canary", slow: true},
	{name: "stable failed", version: "1.0", track: "stable", failed: true},
	{name: "stable healthy", version: "1.0", track: "stable"},
}

// contract is what every backend owes: send stores traces, source finds them.
// The same tests run against the embedded server, a real Jaeger, and whatever
// TEMPO_URL and JAEGER_URL name.
func contract(t *testing.T, send func(ptrace.Traces), source tracing.Source) {
	// A service of its own for each run, so that a shared backend is fine.
	service := fmt.Sprintf("contract-%d", time.Now().UnixNano())
	begin := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	names := map[string]string{}
	for i, k := range kinds {
		// The first id starts with zeros, which some backends strip.
		id := pcommon.TraceID{0, 0, 7: byte(begin.UnixMilli()), 8: byte(begin.UnixMilli() >> 8), 15: byte(i + 1)}
		names[id.String()] = k.name
		send(traceOf(k, id, service, begin.Add(time.Duration(i)*time.Second)))
	}
	q := tracing.Query{Service: service, Start: begin.Add(-time.Second), End: begin.Add(time.Minute), Limit: 50}
	wait(t, source, q, len(kinds))

	for _, c := range []struct {
		reason string
		change func(*tracing.Query)
		want   []string // newest first
	}{
		{"failed traces of the canary", func(q *tracing.Query) { q.Version, q.Track, q.Status = "2.0", "canary", tracing.StatusError },
			[]string{"canary failed, no track", "canary failed, told on the span", "canary failed"}},
		{"healthy ones", func(q *tracing.Query) { q.Version, q.Track, q.Status = "2.0", "canary", tracing.StatusOK },
			[]string{"canary healthy, slow", "canary healthy"}},
		{"by the track alone", func(q *tracing.Query) { q.Track, q.Status = "stable", tracing.StatusError }, []string{"stable failed"}},
		{"slow ones", func(q *tracing.Query) { q.Version, q.MinDuration = "2.0", time.Second }, []string{"canary healthy, slow"}},
		{"the newest one", func(q *tracing.Query) { q.Version, q.Status, q.Limit = "2.0", tracing.StatusError, 1 }, []string{"canary failed, no track"}},
		{"none in that time", func(q *tracing.Query) { q.Start, q.End = begin.Add(-2*time.Hour), begin.Add(-time.Hour) }, nil},
		{"none of that service", func(q *tracing.Query) { q.Service += "-other" }, nil},
	} {
		t.Run(c.reason, func(t *testing.T) {
			q := q
			c.change(&q)
			r, err := source.Find(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range r.Traces {
				got = append(got, names[one.ID])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if r.Searched == "" {
				t.Error("it does not say what it searched")
			}
		})
	}
	t.Run("a trace is read whole", func(t *testing.T) {
		q := q
		q.Version, q.Status = "2.0", tracing.StatusError
		r, err := source.Find(context.Background(), q)
		if err != nil || len(r.Traces) == 0 {
			t.Fatal(r, err)
		}
		one, err := source.Get(context.Background(), r.Traces[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(one.Spans) != 2 {
			t.Fatalf("got %d spans, want 2", len(one.Spans))
		}
		slices.SortFunc(one.Spans, func(a, b explain.Span) int { return cmp.Compare(a.Name, b.Name) })
		s := one.Spans[1]
		if s.Name != "POST /pay" || !s.Error || s.Message != "boom" || s.Attributes["http.route"] != "/pay" || s.Duration != 40*time.Millisecond ||
			len(s.Exceptions) != 1 || s.Exceptions[0].Type != "PoolExhausted" || s.Exceptions[0].Message != "no connection" {
			t.Errorf("got %+v", s)
		}
		if one.Spans[0].ParentID != s.ID {
			t.Errorf("the child's parent is %q, want %q", one.Spans[0].ParentID, s.ID)
		}
	})
}

func traceOf(k kind, id pcommon.TraceID, service string, start time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	sp := spans.AppendEmpty()
	tags := rs.Resource().Attributes()
	if k.onSpan {
		tags = sp.Attributes()
	}
	tags.PutStr("service.version", k.version)
	if k.track != "" {
		tags.PutStr("deployment.track", k.track)
	}
	d := 40 * time.Millisecond
	if k.slow {
		d = 2 * time.Second
	}
	sp.SetTraceID(id)
	sp.SetSpanID(pcommon.SpanID{7: 1})
	sp.SetName("POST /pay")
	sp.SetKind(ptrace.SpanKindServer)
	sp.Attributes().PutStr("http.route", "/pay")
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(d)))
	if k.failed {
		sp.Status().SetCode(ptrace.StatusCodeError)
		sp.Status().SetMessage("boom")
		ev := sp.Events().AppendEmpty()
		ev.SetName("exception")
		ev.SetTimestamp(pcommon.NewTimestampFromTime(start))
		ev.Attributes().PutStr("exception.type", "PoolExhausted")
		ev.Attributes().PutStr("exception.message", "no connection")
	}
	child := spans.AppendEmpty()
	child.SetTraceID(id)
	child.SetSpanID(pcommon.SpanID{7: 2})
	child.SetParentSpanID(sp.SpanID())
	child.SetName("INSERT")
	child.SetStartTimestamp(sp.StartTimestamp() + 1_000_000)
	child.SetEndTimestamp(sp.StartTimestamp() + 2_000_000)
	return td
}

// wait until a backend that indexes in the background shows all traces.
func wait(t *testing.T, source tracing.Source, q tracing.Query, n int) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		r, err := source.Find(context.Background(), q)
		if err == nil && len(r.Traces) == n {
			return
		}
		last = fmt.Sprintf("%d traces, %v", len(r.Traces), err)
	}
	t.Fatalf("the backend shows not all %d traces: %s", n, last)
}

// sender sends to an OTLP/HTTP endpoint.
func sender(t *testing.T, endpoint string) func(ptrace.Traces) {
	return func(td ptrace.Traces) {
		t.Helper()
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(strings.TrimSuffix(endpoint, "/")+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("send traces: %s", resp.Status)
		}
	}
}
