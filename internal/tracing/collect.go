package tracing

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/explain"
)

// Canary says whose traces to compare.
type Canary struct {
	Service       string
	Version       string // of the canary
	StableVersion string // "" = whatever the track "stable" runs
	Start, End    time.Time
	Filter        explain.Filter
}

// Failed are the canary's failed traces (spec B5), newest first.
func Failed(ctx context.Context, s Source, c Canary, limit int) (Result, error) {
	return s.Find(ctx, Query{
		Service: c.Service, Version: c.Version, Track: "canary", Status: StatusError, Start: c.Start, End: c.End, Limit: limit,
	})
}

// Explanation is what [Explain] found about a canary's failed and slow traces.
type Explanation struct {
	Errors explain.Report `json:"errors"`
	Slow   explain.Report `json:"slow"`
	// Sampled says which groups were too large to be read whole.
	Sampled []string `json:"sampled,omitempty"`
}

// How many traces of each group are read: enough for a share of a percent to
// show, few enough to be fetched whole in seconds.
const (
	maxFailing = 200
	maxHealthy = 400
)

// Explain reads the four groups of traces, failing and healthy, canary and
// stable, and compares them for errors and for slowness.
func Explain(ctx context.Context, s Source, c Canary) (Explanation, error) {
	var out Explanation
	in := explain.Input{Service: c.Service, Filter: c.Filter}
	for _, g := range []struct {
		name, version, track string
		status               Status
		limit                int
		into                 *[]explain.Trace
	}{
		{"failing traces of the canary", c.Version, "canary", StatusError, maxFailing, &in.Failing},
		{"healthy traces of the canary", c.Version, "canary", StatusOK, maxHealthy, &in.Healthy},
		{"failing traces of stable", c.StableVersion, "stable", StatusError, maxFailing, &in.StableFailing},
		{"healthy traces of stable", c.StableVersion, "stable", StatusOK, maxHealthy, &in.StableHealthy},
	} {
		r, err := s.Find(ctx, Query{Service: c.Service, Version: g.version, Track: g.track, Status: g.status, Start: c.Start, End: c.End, Limit: g.limit})
		if err != nil {
			return out, fmt.Errorf("read %s: %w", g.name, err)
		}
		*g.into = r.Traces
		if r.Truncated {
			out.Sampled = append(out.Sampled, fmt.Sprintf("the newest %d %s", len(r.Traces), g.name))
		}
	}
	out.Errors = explain.Explain(in)

	slow := explain.Input{Service: c.Service, Filter: c.Filter, Slow: true}
	limits := explain.P99ByRoute(in.StableHealthy, c.Service)
	slow.Failing, slow.Healthy = limits.Split(in.Healthy, c.Service)
	slow.StableFailing, slow.StableHealthy = limits.Split(in.StableHealthy, c.Service)
	out.Slow = explain.Explain(slow)
	if len(limits) == 0 {
		out.Slow.Note = "no route has enough traces of stable to say what is slow"
	}
	return out, nil
}
