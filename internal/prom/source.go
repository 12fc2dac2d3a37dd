package prom

import (
	"context"
	"fmt"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// errorsSeenFor is how far back an errors series counts as proof that the
// service reports errors at all. Prometheus keeps 15 days by default.
const errorsSeenFor = 15 * 24 * time.Hour

// Source is the analysis.Source of a Backend. It is safe for concurrent use.
type Source struct {
	backend Backend

	mu sync.Mutex
	// seen holds the services whose errors were seen: that does not change.
	seen map[string]bool
	// bounds are all upper bounds seen of histograms that must be spread out,
	// by metric, so that two answers have one layout.
	bounds map[string][]float64
}

// NewSource returns the source of b.
func NewSource(b Backend) *Source {
	return &Source{backend: b, seen: map[string]bool{}, bounds: map[string][]float64{}}
}

// Fetch asks for the raw series of q: one request for the counters of requests
// and errors and for native histograms, one for classic buckets where there
// are no native ones, one for the business counters, and, while no error was
// ever seen, one that asks whether the service reports any.
func (s *Source) Fetch(ctx context.Context, q analysis.Query) (analysis.Samples, error) {
	p, err := newPlan(q)
	if err != nil {
		return analysis.Samples{}, err
	}
	c := &conversion{plan: p, stableOnly: q.StableOnly, source: s}
	from := q.From.Add(-q.Lookback)
	ask := func(match Matchers, convert func([]Series) error) error {
		r, err := s.backend.Select(ctx, match, from, q.To)
		if err != nil {
			return err
		}
		c.out.Warnings = append(c.out.Warnings, r.Notes...)
		return convert(r.Series)
	}
	if err := ask(p.requests, c.requests); err != nil {
		return analysis.Samples{}, err
	}
	if p.metrics.Latency != "" && c.needBuckets() {
		if err := ask(p.buckets, c.buckets); err != nil {
			return analysis.Samples{}, err
		}
	}
	for _, b := range p.business {
		if err := ask(b.match, func(series []Series) error { return c.business(b, series) }); err != nil {
			return analysis.Samples{}, err
		}
	}
	c.out.Queries = p.queries()
	c.out.ErrorsEverSeen, err = s.errorsEverSeen(ctx, q, p, c)
	if err != nil {
		return analysis.Samples{}, err
	}
	return c.out, nil
}

// Raw returns the stored series of q as they are, to record them: those that
// Fetch would read.
func (s *Source) Raw(ctx context.Context, q analysis.Query) ([]Series, error) {
	p, err := newPlan(q)
	if err != nil {
		return nil, err
	}
	asked := []Matchers{p.requests}
	if p.metrics.Latency != "" {
		asked = append(asked, p.buckets)
	}
	for _, b := range p.business {
		asked = append(asked, b.match)
	}
	var all []Series
	for _, match := range asked {
		r, err := s.backend.Select(ctx, match, q.From.Add(-q.Lookback), q.To)
		if err != nil {
			return nil, err
		}
		for _, one := range r.Series {
			if _, ours := p.track(one.Labels, q.StableOnly); ours {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// errorsEverSeen says whether the service has reported an error at some time.
func (s *Source) errorsEverSeen(ctx context.Context, q analysis.Query, p *plan, c *conversion) (bool, error) {
	if q.Config.ErrorsAbsent == analysis.ErrorsAbsentZero {
		return false, nil // nobody will ask
	}
	match := p.narrow(p.requests, p.metrics.Requests)
	if p.metrics.Errors != "" {
		match = p.narrow(p.requests, p.metrics.Errors)
	} else if c.native {
		match = p.requests
	}
	match = append(match, p.failed...)
	key := match.String()
	s.mu.Lock()
	seen := s.seen[key] || c.errors
	s.mu.Unlock()
	if !seen && c.any {
		var err error
		if seen, err = s.backend.Exists(ctx, match, q.To.Add(-errorsSeenFor), q.To); err != nil {
			return false, fmt.Errorf("ask whether errors were ever seen: %w", err)
		}
	}
	if seen {
		s.mu.Lock()
		s.seen[key] = true
		s.mu.Unlock()
	}
	return seen, nil
}
