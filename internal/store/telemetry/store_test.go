package telemetry

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlptest"
)

var day = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func testStore(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return day.Add(12 * time.Hour) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func shop(step time.Duration) *otlptest.Shop {
	return &otlptest.Shop{Seed: 1, Start: day, Step: step}
}

// fill stores traces [from, to) and returns all their spans.
func fill(t *testing.T, s *Store, sh *otlptest.Shop, from, to, size int, perPod bool) []ptrace.Traces {
	t.Helper()
	var sent []ptrace.Traces
	sh.Batches(from, to, size, perPod, func(td ptrace.Traces) {
		if err := s.ConsumeTraces(context.Background(), td); err != nil {
			t.Fatalf("ConsumeTraces: %v", err)
		}
		sent = append(sent, td)
	})
	return sent
}

// flat lists the spans of several Traces.
func flat(all []ptrace.Traces) (spans []Span) {
	for _, td := range all {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					spans = append(spans, Span{Resource: rs.Resource(), Scope: ss.Scope(), Span: sp})
				}
			}
		}
	}
	return spans
}

// checkTraces compares each trace in the store with what was sent.
func checkTraces(t *testing.T, s *Store, sh *otlptest.Shop, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		td, err := s.Trace(context.Background(), sh.TraceID(i))
		if err != nil {
			t.Fatalf("Trace: %v", err)
		}
		if td.SpanCount() != otlptest.SpansPerTrace {
			t.Fatalf("trace %d: %d spans, want %d", i, td.SpanCount(), otlptest.SpansPerTrace)
		}
		want := map[pcommon.SpanID]ptrace.Span{}
		for _, sp := range sh.Trace(i) {
			w := ptrace.NewSpan()
			sp.Write(w)
			want[w.SpanID()] = w
		}
		for _, sp := range flat([]ptrace.Traces{td}) {
			w, ok := want[sp.SpanID()]
			if !ok || w.Name() != sp.Name() || !w.Attributes().Equal(sp.Attributes()) {
				t.Fatalf("trace %d: span %s is not as it was sent", i, sp.SpanID())
			}
		}
	}
}

func TestTraceByID(t *testing.T) {
	for _, tc := range []struct {
		reason string
		size   int
		perPod bool
	}{
		{"a pod exports its own spans", 64, true},
		{"a Collector sends mixed batches", 512, false},
		{"each span comes alone", 1, true},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			dir := t.TempDir()
			s := testStore(t, dir, Options{})
			sh := shop(time.Second)
			fill(t, s, sh, 0, 200, tc.size, tc.perPod)
			checkTraces(t, s, sh, 0, 200)
			if err := s.Seal(context.Background()); err != nil {
				t.Fatalf("Seal: %v", err)
			}
			checkTraces(t, s, sh, 0, 200)
			fill(t, s, sh, 200, 250, tc.size, tc.perPod)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = testStore(t, dir, Options{})
			checkTraces(t, s, sh, 0, 250)
			if got := s.Stats().Spans; got != 250*otlptest.SpansPerTrace {
				t.Errorf("Stats().Spans = %d, want %d", got, 250*otlptest.SpansPerTrace)
			}
		})
	}
}

func TestSearchNewestFirst(t *testing.T) {
	s := testStore(t, t.TempDir(), Options{})
	sh := shop(30 * time.Second)
	sent := flat(fill(t, s, sh, 0, 2000, 128, true))
	for _, sealed := range []bool{false, true} {
		if sealed {
			if err := s.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for _, tc := range []struct {
			reason string
			q      SpanQuery
			match  func(Span) bool
		}{
			{"everything", SpanQuery{}, func(Span) bool { return true }},
			{"failed canary", SpanQuery{Service: "payment", Version: otlptest.CanaryVersion, Track: "canary", Status: ptrace.StatusCodeError, HasStatus: true}, func(sp Span) bool {
				return attr(sp, "service.name") == "payment" && attr(sp, "deployment.track") == "canary" && sp.Status().Code() == ptrace.StatusCodeError
			}},
			{"a service in two hours", SpanQuery{Service: "cart", From: day.Add(3 * time.Hour), To: day.Add(5 * time.Hour)}, func(sp Span) bool {
				at := sp.StartTimestamp().AsTime()
				return attr(sp, "service.name") == "cart" && !at.Before(day.Add(3*time.Hour)) && at.Before(day.Add(5*time.Hour))
			}},
			{"slow spans of a route", SpanQuery{Attributes: map[string]string{"http.route": "/api/v1/auth/{id}"}, MinDuration: 150 * time.Millisecond}, func(sp Span) bool {
				return attr(sp, "http.route") == "/api/v1/auth/{id}" && sp.Duration() >= 150*time.Millisecond
			}},
			{"none", SpanQuery{Service: "nobody"}, func(Span) bool { return false }},
		} {
			want := 0
			for _, sp := range sent {
				if tc.match(sp) {
					want++
				}
			}
			q := tc.q
			q.Limit = MaxLimit
			got, sc, err := s.SearchSpans(context.Background(), q)
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if len(sc.Skipped) > 0 {
				t.Errorf("%s: skipped %v", tc.reason, sc.Skipped)
			}
			if len(got) != want {
				t.Errorf("%s (sealed %v): %d spans, want %d", tc.reason, sealed, len(got), want)
			}
			for i, sp := range got {
				if !tc.match(sp) {
					t.Fatalf("%s: span %s does not match", tc.reason, sp.SpanID())
				}
				if i > 0 && got[i-1].StartTimestamp() < sp.StartTimestamp() {
					t.Fatalf("%s: span %d is newer than the one before it", tc.reason, i)
				}
			}
			q.Limit = 7
			first, _, err := s.SearchSpans(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(first) != min(7, want) {
				t.Fatalf("%s: limit 7 gave %d of %d", tc.reason, len(first), want)
			}
			for i := range first {
				if first[i].StartTimestamp() != got[i].StartTimestamp() {
					t.Fatalf("%s: the first 7 are not the newest 7", tc.reason)
				}
			}
		}
	}
}

func attr(sp Span, key string) string {
	if v, ok := sp.Attributes().Get(key); ok {
		return v.AsString()
	}
	if v, ok := sp.Resource.Attributes().Get(key); ok {
		return v.AsString()
	}
	return ""
}
