package tracing

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/explain"
)

// Named is a request whose trace the metrics name by an exemplar.
type Named struct {
	TraceID, SpanID string // hex; SpanID may be empty
	Route           string
	Failed          bool          // the metrics count it as failed
	Duration        time.Duration // 0 = unknown
}

// maxNamed bounds the traces that are read because the metrics name them.
const maxNamed = 50

// readNamed adds the traces that the metrics name, and that the searches did not
// find, to the canary's groups: failed ones, and those slower than stable's p99
// on their route. A request that the metrics count as failed is a failed one,
// whatever the status of its spans. It returns what to tell people, "" for nothing.
func (c Canary) readNamed(ctx context.Context, s Source, in *explain.Input, limits explain.Thresholds) string {
	failing := make(map[string]bool, len(in.Failing))
	for _, t := range in.Failing {
		failing[t.ID] = true
	}
	healthy := make(map[string]int, len(in.Healthy))
	for i, t := range in.Healthy {
		healthy[t.ID] = i
	}
	var wanted []Named
	var failed []explain.Trace
	moved := map[string]bool{}
	for _, n := range c.Named {
		limit, known := limits[n.Route]
		i, have := healthy[n.TraceID]
		switch {
		case failing[n.TraceID]:
		case have && n.Failed:
			failed, moved[n.TraceID] = append(failed, in.Healthy[i]), true
		case have:
			continue
		case (n.Failed || known && n.Duration > limit) && len(wanted) < maxNamed:
			wanted = append(wanted, n)
		default:
			continue
		}
		failing[n.TraceID] = true // each once
	}
	in.Healthy = slices.DeleteFunc(slices.Clone(in.Healthy), func(t explain.Trace) bool { return moved[t.ID] })
	found := fetchNamed(ctx, s, wanted)
	slow, missing := 0, 0
	for i, n := range wanted {
		switch t := found[i]; {
		case !matches(t, c.query(trackCanary, StatusAny, 1)):
			missing++
		case n.Failed || matches(t, c.query(trackCanary, StatusError, 1)):
			failed = append(failed, t)
		default:
			in.Healthy = append(in.Healthy, t)
			slow++
		}
	}
	in.Failing = append(slices.Clone(in.Failing), failed...)
	if len(failed)+slow+missing == 0 {
		return ""
	}
	note := fmt.Sprintf("%d failed and %d slow traces are known from the metrics' exemplars only", len(failed), slow)
	if missing > 0 {
		note += fmt.Sprintf("; %d that they name could not be read", missing)
	}
	return note
}

// fetchNamed reads the traces, a few at a time; one that cannot be read is empty.
func fetchNamed(ctx context.Context, s Source, wanted []Named) []explain.Trace {
	out := make([]explain.Trace, len(wanted))
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i, n := range wanted {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if t, err := s.Get(ctx, n.TraceID); err == nil {
				out[i] = t
			}
		})
	}
	wg.Wait()
	return out
}

// NamedOnly is the explanation where no trace can be read: the traces that the
// canary's metrics name, failed ones, else the slowest.
func NamedOnly(c Canary) Explanation {
	out := Explanation{From: c.Start, To: c.End, Traces: []Sample{}, Notes: []string{"no trace backend is configured: the traces are those that the metrics name"}}
	named := slices.DeleteFunc(slices.Clone(c.Named), func(n Named) bool { return !n.Failed })
	out.Errors.Failing = len(named)
	out.Summary = fmt.Sprintf("%d failed requests of the canary have traces that its metrics name", len(named))
	if len(named) == 0 {
		named = slices.Clone(c.Named)
		slices.SortStableFunc(named, func(a, b Named) int { return int(b.Duration - a.Duration) })
		out.Summary = "no failed request of the canary has a trace that its metrics name; the slowest that have one are given"
	}
	for _, n := range named[:min(len(named), maxSamples)] {
		out.Traces = append(out.Traces, Sample{TraceID: n.TraceID, SpanID: n.SpanID, Route: n.Route, DurationMS: float64(n.Duration.Microseconds()) / 1000})
	}
	return out
}
