package web

import (
	"context"
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

// Health is how the server itself fares.
type Health struct {
	Version string
	Started time.Time
	Parts   []HealthRow
	Intake  []HealthRow // per signal
	Stores  []HealthRow
	Access  []HealthRow // what of the clusters could not be read
	Forward []HealthRow
}

// HealthRow is one thing and how it is: ok, warn, bad or off.
type HealthRow struct {
	Name, Status, Text, Detail string
}

type healthData struct {
	Health
	Sources     []source
	SourceState State
	Missing     []HealthRow
	AccessState State
}

// source is who reports, and when it did last.
type source struct {
	Name, What, Status string
	Last               time.Time
	Detail             string
}

// quietAfter is how long a source may be silent before the page points at it:
// the agent and the controller report at least every few minutes.
const quietAfter = 15 * time.Minute

func (s *site) health(r *http.Request, p *page) error {
	p.Name, p.Title, p.Live = "health", "Health", "operations tick"
	ctx := r.Context()
	if err := s.places(ctx, p); err != nil {
		return err
	}
	var d healthData
	if s.o.Health != nil {
		d.Health = s.o.Health(ctx)
	}
	if err := s.sources(ctx, p, &d); err != nil {
		return err
	}
	s.access(ctx, p, &d)
	p.Data = d
	return nil
}

func (s *site) sources(ctx context.Context, p *page, d *healthData) error {
	ops, err := s.o.Index.Operations(ctx, p.Filter.Cluster, p.Filter.Namespace, p.Now.Add(-baselineAge), p.Now.Add(time.Minute))
	if err != nil {
		return err
	}
	type key struct {
		observer release.Observer
		cluster  string
	}
	counts, last := map[key]int{}, map[key]time.Time{}
	var order []key
	for _, op := range ops {
		for _, o := range op.Observers {
			k := key{o, op.Cluster}
			if counts[k]++; counts[k] == 1 {
				order = append(order, k)
			}
			at := op.End
			if at.IsZero() {
				at = op.Start
			}
			if at.After(last[k]) {
				last[k] = at
			}
		}
	}
	words := map[release.Observer]string{
		release.ObserverWrapper: "fairlead helm", release.ObserverAgent: "fairlead agent", release.ObserverSpans: "Spans of other programs",
	}
	for _, k := range order {
		one := source{Name: words[k.observer], What: "Helm operations", Status: "ok", Last: last[k], Detail: plural(counts[k], "operation", "operations") + " in 30 days"}
		if k.cluster != "" {
			one.Detail += ", cluster " + k.cluster
		}
		d.Sources = append(d.Sources, one)
	}
	active, err := s.o.Rollouts.List(ctx, rollouts.Filter{Limit: 200})
	if err != nil {
		return err
	}
	drivers := map[string]*source{}
	for _, one := range active {
		name := one.Driver
		if name == "" {
			name = "unnamed driver"
		}
		if drivers[name] == nil {
			drivers[name] = &source{Name: name, What: "Rollouts", Status: "ok", Last: one.At}
			if !one.Phase.Ended() && p.Now.Sub(one.At) > quietAfter {
				drivers[name].Status, drivers[name].Detail = "warn", "a rollout of it has not ended and is silent"
			}
			d.Sources = append(d.Sources, *drivers[name])
		}
	}
	if len(d.Sources) == 0 {
		d.SourceState = off("Nothing has reported yet.", "Send OTLP to this server; fairlead helm finds it on this machine by itself.", "")
	}
	return nil
}

// access lists what snapshots say could not be read in the clusters.
func (s *site) access(ctx context.Context, p *page, d *healthData) {
	gaps, n, err := s.missing(ctx, p)
	switch {
	case err != nil:
		d.AccessState = failed(err)
	case n == 0:
		d.AccessState = calm("No failure was recorded lately, so no snapshot tells what may be read.")
	case len(gaps) == 0:
		d.AccessState = State{Kind: "empty", Text: "All that the last " + plural(n, "snapshot", "snapshots") + " asked for could be read."}
	}
	d.Missing = gaps
}
