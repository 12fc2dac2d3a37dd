package explain_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/explain/explaintest"
)

// The sizes of the quality target: 30 failures.
var thirty = explaintest.Sizes{Failing: 30, Healthy: 400, StableFailing: 30, StableHealthy: 400}

// hits returns in how many of n runs the planted cause is named first.
func hits(cause explaintest.Cause, n int) (named, some int, wrong []string) {
	for seed := range n {
		in, culprit := explaintest.Make(rand.New(rand.NewPCG(uint64(seed), 7)), cause, thirty)
		r := explain.Explain(in)
		if len(r.Findings) > 0 {
			some++
		}
		if explaintest.Named(r, culprit) {
			named++
		} else if len(r.Findings) > 0 {
			wrong = append(wrong, r.Findings[0].Text)
		}
	}
	return named, some, wrong
}

func TestNamesThePlantedCauseFirst(t *testing.T) {
	const n = 20 // bench/explain runs more
	for _, cause := range explaintest.Causes {
		t.Run(string(cause), func(t *testing.T) {
			named, _, wrong := hits(cause, n)
			t.Logf("named first in %d of %d", named, n)
			if named < n*95/100 {
				t.Errorf("named first in %d of %d, want 95 %%; first instead: %s", named, n, strings.Join(wrong, "\n"))
			}
		})
	}
}

func TestNamesNothingWhereThereIsNothing(t *testing.T) {
	const n = 60
	_, named, wrong := hits(explaintest.CauseNone, n)
	t.Logf("named something in %d of %d", named, n)
	if named > n*5/100 {
		t.Errorf("named something in %d of %d, want at most 5 %%: %s", named, n, strings.Join(wrong, "\n"))
	}
}

func TestTooFewFailuresSayNothing(t *testing.T) {
	in, _ := explaintest.Make(rand.New(rand.NewPCG(1, 1)), explaintest.CauseRoute, explaintest.Sizes{Failing: 4, Healthy: 100})
	if r := explain.Explain(in); len(r.Findings) != 0 || !strings.Contains(r.Note, "4 failing traces") {
		t.Errorf("got %+v", r)
	}
}

func TestWordsClaimAssociationOnly(t *testing.T) {
	in, _ := explaintest.Make(rand.New(rand.NewPCG(5, 5)), explaintest.CauseException, thirty)
	for _, f := range explain.Explain(in).Findings {
		if !strings.Contains(f.Text, "over-represented") || strings.Contains(f.Text, "cause") {
			t.Errorf("%q", f.Text)
		}
		if strings.Contains(f.Text, "@example.com") {
			t.Errorf("an e-mail address is shown: %q", f.Text)
		}
		if len(f.Examples) == 0 {
			t.Errorf("no example traces: %q", f.Text)
		}
	}
}

func TestNotSeenOnStableOnlyWithEnoughTraffic(t *testing.T) {
	in, _ := explaintest.Make(rand.New(rand.NewPCG(5, 5)), explaintest.CauseException, explaintest.Sizes{Failing: 30, Healthy: 100, StableFailing: 3, StableHealthy: 100})
	for _, f := range explain.Explain(in).Findings {
		if strings.Contains(f.Text, "not seen") {
			t.Errorf("three failing traces of stable are not enough for %q", f.Text)
		}
	}
}

func TestFailuresTellEachTrace(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	span := func(id, parent, service, name string, s explain.Span) explain.Span {
		s.ID, s.ParentID, s.Service, s.Name = id, parent, service, name
		if s.Start.IsZero() {
			s.Start = start
		}
		return s
	}
	pool := []explain.Exception{{Type: "PoolExhausted", Message: "no connection for jane@example.com after 5000 ms"}}
	cases := []struct {
		reason string
		spans  []explain.Span
		want   explain.Failure
	}{
		{"the error comes from the deepest span",
			[]explain.Span{
				span("1", "", "gateway", "GET /pay", explain.Span{Error: true, Duration: 70 * time.Millisecond}),
				span("2", "1", "shop", "POST /pay", explain.Span{Error: true, Duration: 60 * time.Millisecond, Attributes: map[string]string{"http.route": "/pay"}}),
				span("3", "2", "shop", "SELECT", explain.Span{Error: true, Exceptions: pool}),
			},
			explain.Failure{Message: "no connection for <email> after <n> ms", DurationMS: 60, Route: "/pay", Errors: []explain.ErrorSpan{
				{Name: "SELECT", Service: "shop", ExceptionType: "PoolExhausted", ExceptionMessage: "no connection for <email> after <n> ms"},
				{Name: "POST /pay", Service: "shop"}, {Name: "GET /pay", Service: "gateway"}}},
		},
		{"no root, no route, no message",
			[]explain.Span{span("3", "gone", "shop", "work", explain.Span{Error: true, Duration: time.Millisecond})},
			explain.Failure{Route: "unknown", DurationMS: 1, Errors: []explain.ErrorSpan{{Name: "work", Service: "shop"}}},
		},
		{"spans that are each other's parents",
			[]explain.Span{span("1", "2", "shop", "a", explain.Span{Error: true, Message: "x"}), span("2", "1", "shop", "b", explain.Span{})},
			explain.Failure{Route: "unknown", Message: "x", Errors: []explain.ErrorSpan{{Name: "a", Service: "shop"}}},
		},
		{"a child whose clock is ahead",
			[]explain.Span{span("1", "", "shop", "a", explain.Span{Error: true, Message: "x"}), span("2", "1", "db", "b", explain.Span{Error: true, Start: start.Add(-time.Hour)})},
			explain.Failure{Route: "unknown", Message: "x", Errors: []explain.ErrorSpan{{Name: "b", Service: "db"}, {Name: "a", Service: "shop"}}},
		},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			got := explain.Failures([]explain.Trace{{ID: "t", Spans: c.spans}}, "shop")
			c.want.TraceID, c.want.Start = "t", start
			if diff := cmp.Diff([]explain.Failure{c.want}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFailuresAreNewestFirst(t *testing.T) {
	at := func(s int) explain.Trace {
		return explain.Trace{ID: string(rune('a' + s)), Spans: []explain.Span{{ID: "1", Start: time.Unix(int64(s), 0), Error: true}}}
	}
	got := ""
	for _, f := range explain.Failures([]explain.Trace{at(1), at(3), at(2)}, "") {
		got += f.TraceID
	}
	if got != "dcb" {
		t.Errorf("got %s, want dcb", got)
	}
}

func TestALongTraceIsBounded(t *testing.T) {
	spans := []explain.Span{{ID: "0", Name: "root", Start: time.Unix(0, 0)}}
	for i := 1; i < 10_000; i++ {
		spans = append(spans, explain.Span{ID: itoa(i), ParentID: itoa(i - 1), Name: "step", Error: true, Start: time.Unix(0, int64(i))})
	}
	f := explain.Failures([]explain.Trace{{ID: "t", Spans: spans}}, "")
	if len(f) != 1 || len(f[0].Errors) != explain.MaxErrorSpans || f[0].Omitted != 9_999-explain.MaxErrorSpans {
		t.Errorf("got %d errors, %d omitted", len(f[0].Errors), f[0].Omitted)
	}
}

func itoa(i int) string {
	s := ""
	for ; i > 0; i /= 10 {
		s = string(rune('0'+i%10)) + s
	}
	return "0" + s
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"user 4711 not found":                             "user <n> not found",
		"mail to jane.doe+x@example.co.uk failed":         "mail to <email> failed",
		"order 8f14e45f-ceea-467f-9d1c-3f0c2b5a7a11 gone": "order <uuid> gone",
		"dial tcp 10.1.2.3:5432: refused":                 "dial tcp <ip>: refused",
		"password=hunter2 rejected":                       "password=<secret> rejected",
		`{"api_key": "abc"}`:                              `{"api_key": <secret>}`,
		"Authorization: Bearer abcdef1234567890":          "Authorization: Bearer <token>",
		"postgres://app:s3cret@db/orders":                 "postgres://<credentials>@db/orders",
		"eyJhbGciOi.eyJzdWIiOi.abc expired":               "<token> expired",
		"key deadbeefcafe0123 missing":                    "key <id> missing",
		"two\nlines\tof  text":                            "two lines of text",
		"bad \xff byte":                                   "bad ? byte",
	} {
		if got := explain.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
	if got := explain.Mask(strings.Repeat("é", 5000)); len(got) > explain.MaxText {
		t.Errorf("%d bytes, want at most %d", len(got), explain.MaxText)
	}
}

func FuzzMask(f *testing.F) {
	f.Add("password: \"hunter2\" for jane@example.com")
	f.Fuzz(func(t *testing.T, s string) {
		if got := explain.Mask(s); len(got) > explain.MaxText || strings.ContainsAny(got, "\n\r\t") {
			t.Errorf("Mask(%q) = %q", s, got)
		}
	})
}

func BenchmarkExplain10000Traces(b *testing.B) {
	in, _ := explaintest.Make(rand.New(rand.NewPCG(1, 1)), explaintest.CauseRoute,
		explaintest.Sizes{Failing: 1000, Healthy: 4000, StableFailing: 1000, StableHealthy: 4000})
	for b.Loop() {
		if len(explain.Explain(in).Findings) == 0 {
			b.Fatal("nothing found")
		}
	}
}
