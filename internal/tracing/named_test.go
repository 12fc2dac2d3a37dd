package tracing_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

// named is a backend whose search finds no failing trace, and that has some by id.
type named struct {
	fake
	byID map[string]explain.Trace
}

func (n named) Get(_ context.Context, id string) (explain.Trace, error) {
	if t, ok := n.byID[id]; ok {
		return t, nil
	}
	return explain.Trace{}, tracing.ErrNotFound
}

func canaryTrace(id, route string, took time.Duration, failed bool) explain.Trace {
	return explain.Trace{ID: id, Spans: []explain.Span{{
		ID: "00000000000000bb", Service: "shop", Name: "POST", Start: time.Unix(5, 0), Duration: took, Error: failed,
		Attributes: map[string]string{"http.route": route}, Resource: map[string]string{"service.name": "shop", "service.version": "2.0"},
	}}}
}

func TestTracesThatTheMetricsName(t *testing.T) {
	backend := named{fake: fake{healthy: [2]int{300, 300}}, byID: map[string]explain.Trace{}}
	c := canary()
	for i := range 30 {
		// Its spans do not say that it failed; the metrics do.
		id := fmt.Sprintf("f%d", i)
		backend.byID[id] = canaryTrace(id, "/pay", time.Millisecond, false)
		c.Named = append(c.Named, tracing.Named{TraceID: id, Route: "/pay", Failed: true})
	}
	backend.byID["slow"] = canaryTrace("slow", "/r1", time.Second, false)
	backend.byID["fast"] = canaryTrace("fast", "/r1", time.Millisecond, false)
	stranger := canaryTrace("stranger", "/pay", time.Millisecond, true)
	stranger.Spans[0].Resource["service.version"] = "1.0"
	backend.byID["stranger"] = stranger
	c.Named = append(c.Named,
		tracing.Named{TraceID: "slow", Route: "/r1", Duration: time.Second},
		tracing.Named{TraceID: "fast", Route: "/r1", Duration: time.Millisecond / 2},
		tracing.Named{TraceID: "stranger", Route: "/pay", Failed: true},
		tracing.Named{TraceID: "gone", Route: "/pay", Failed: true},
	)
	found, err := tracing.Explain(t.Context(), backend, c)
	if err != nil {
		t.Fatal(err)
	}
	if found.Errors.Failing != 30 || len(found.Errors.Findings) == 0 || found.Errors.Findings[0].Attributes[0].String() != "http.route=/pay" {
		t.Errorf("errors %+v, want 30 failing ones of /pay", found.Errors)
	}
	if found.Slow.Failing != 1 {
		t.Errorf("%d slow ones, want the one that was named", found.Slow.Failing)
	}
	want := "30 failed and 1 slow traces are known from the metrics' exemplars only; 2 that they name could not be read"
	if !slices.Contains(found.Notes, want) {
		t.Errorf("notes %q, want %q", found.Notes, want)
	}
}

// A trace that the search found as healthy and that the metrics count as failed
// is a failed one, and is not read again.
func TestAHealthyTraceThatTheMetricsCountAsFailed(t *testing.T) {
	c := canary()
	id := traceNumber(7, true, false).ID
	c.Named = []tracing.Named{{TraceID: id, Failed: true}, {TraceID: id, Failed: true}}
	found, err := tracing.Explain(t.Context(), fake{healthy: [2]int{300, 300}}, c)
	if err != nil {
		t.Fatal(err)
	}
	if found.Errors.Failing != 1 || found.Errors.Healthy != 299 {
		t.Errorf("%d failing, %d healthy; want 1 and 299", found.Errors.Failing, found.Errors.Healthy)
	}
}

func TestNamedOnlyGivesWhatTheMetricsName(t *testing.T) {
	c := canary()
	c.Named = []tracing.Named{{TraceID: "a", Duration: time.Second}, {TraceID: "b", Duration: 3 * time.Second}}
	if got := tracing.NamedOnly(c).Traces; len(got) != 2 || got[0].TraceID != "b" || got[0].DurationMS != 3000 {
		t.Errorf("without a failed one: %+v, want the slowest first", got)
	}
	c.Named = append(c.Named, tracing.Named{TraceID: "c", Failed: true, Route: "/pay"})
	if got := tracing.NamedOnly(c); len(got.Traces) != 1 || got.Traces[0].TraceID != "c" || got.Errors.Failing != 1 {
		t.Errorf("with a failed one: %+v, want it alone", got)
	}
}
