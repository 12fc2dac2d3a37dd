package tracing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/explain"
)

// Canary says whose traces to compare.
type Canary struct {
	Service       string
	Version       string // of the canary
	StableVersion string // "" = whatever the track "stable" runs
	// Match and StableMatch are equalities on other attributes, by the name of
	// the attribute or of its metric label: k8s.namespace.name, k8s_namespace_name.
	Match, StableMatch map[string]string
	Start, End         time.Time
	Filter             explain.Filter
	// Named are requests of the canary whose traces its metrics name: traces
	// that no search may find, because of sampling or a missing status.
	Named []Named
}

// query returns the query of one of the two tracks. Where two versions tell
// them apart the track does not matter: whoever sets APP_VERSION alone has
// "stable" on both.
func (c Canary) query(track string, status Status, limit int) Query {
	q := Query{Service: c.Service, Version: c.Version, Track: track, Match: c.Match, Status: status, Start: c.Start, End: c.End, Limit: limit}
	if track == trackStable {
		q.Version, q.Match = c.StableVersion, c.StableMatch
	}
	if c.Version != "" && c.StableVersion != "" && c.Version != c.StableVersion {
		q.Track = ""
	}
	return q
}

const (
	trackCanary = "canary"
	trackStable = "stable"
)

// Failed are the canary's failed traces (spec B5), newest first.
func Failed(ctx context.Context, s Source, c Canary, limit int) (Result, error) {
	return s.Find(ctx, c.query(trackCanary, StatusError, limit))
}

// Explanation is what [Explain] found about a canary's failed and slow traces.
type Explanation struct {
	// Summary is one sentence for people: what the failing traces share, or why
	// nothing was found. It claims association only.
	Summary string `json:"summary"`
	// Traces are failing traces to look at, those of the best finding first;
	// slow ones where none failed.
	Traces []Sample       `json:"traces"`
	Errors explain.Report `json:"errors"`
	Slow   explain.Report `json:"slow"`
	// Sampled says which groups were too large to be read whole.
	Sampled []string `json:"sampled,omitempty"`
	// Notes say which groups could not be read, or in part.
	Notes []string  `json:"notes,omitempty"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// Sample is a trace to look at.
type Sample struct {
	TraceID    string  `json:"traceId"`
	SpanID     string  `json:"spanId"` // the service's entry, for links between spans
	Route      string  `json:"route"`
	DurationMS float64 `json:"durationMs"`
	// Message says how it failed, masked; "" for a slow one.
	Message string `json:"message,omitempty"`
}

// How many traces of each group are read: enough for a share of a percent to
// show, few enough to be fetched whole in seconds.
const (
	maxFailing = 200
	maxHealthy = 400
	// maxSamples bounds Explanation.Traces.
	maxSamples = 5
)

// Explain reads the four groups of traces, failing and healthy, canary and
// stable, and compares them for errors and for slowness. An error means that
// the canary's failing traces could not be read; another group that could not
// is told in Notes.
func Explain(ctx context.Context, s Source, c Canary) (Explanation, error) {
	out := Explanation{From: c.Start, To: c.End, Traces: []Sample{}}
	in := explain.Input{Service: c.Service, Filter: c.Filter}
	groups := []struct {
		name  string
		query Query
		into  *[]explain.Trace
		found Result
		err   error
	}{
		{name: "failing traces of the canary", query: c.query(trackCanary, StatusError, maxFailing), into: &in.Failing},
		{name: "healthy traces of the canary", query: c.query(trackCanary, StatusOK, maxHealthy), into: &in.Healthy},
		{name: "failing traces of stable", query: c.query(trackStable, StatusError, maxFailing), into: &in.StableFailing},
		{name: "healthy traces of stable", query: c.query(trackStable, StatusOK, maxHealthy), into: &in.StableHealthy},
	}
	var wg sync.WaitGroup
	for i := range groups {
		g := &groups[i]
		wg.Go(func() { g.found, g.err = s.Find(ctx, g.query) })
	}
	wg.Wait()
	if err := groups[0].err; err != nil {
		return out, fmt.Errorf("read %s: %w", groups[0].name, err)
	}
	for _, g := range groups {
		if g.err != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("the %s could not be read: %v", g.name, g.err))
			continue
		}
		*g.into = g.found.Traces
		if g.found.Truncated {
			out.Sampled = append(out.Sampled, fmt.Sprintf("the newest %d %s", len(g.found.Traces), g.name))
		}
		if g.found.Missing > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("%d of the %s were named by the search and could not be read", g.found.Missing, g.name))
		}
	}
	limits := explain.P99ByRoute(in.StableHealthy, c.Service)
	if note := c.readNamed(ctx, s, &in, limits); note != "" {
		out.Notes = append(out.Notes, note)
	}
	errorsIn := in
	if groups[2].err != nil {
		errorsIn.StableHealthy = nil // that stable does not fail is not known
	}
	out.Errors = explain.Explain(errorsIn)
	if len(in.Failing) == 0 {
		out.Errors.Note = fmt.Sprintf("no failed trace of the canary was found (%s): it may have none, or they were not sampled, or carry neither service.version nor deployment.track", groups[0].found.Searched)
	}

	slow := explain.Input{Service: c.Service, Filter: c.Filter, Slow: true}
	slow.Failing, slow.Healthy = limits.Split(in.Healthy, c.Service)
	slow.StableFailing, slow.StableHealthy = limits.Split(in.StableHealthy, c.Service)
	out.Slow = explain.Explain(slow)
	if len(limits) == 0 {
		out.Slow.Note = "no route has enough traces of stable to say what is slow"
	}
	out.Summary = out.summarise()
	out.Traces = samples(out, in.Failing, slow.Failing, c.Service)
	return out, nil
}

// summarise says the best finding in a sentence.
func (e Explanation) summarise() string {
	switch {
	case len(e.Errors.Findings) > 0:
		return e.Errors.Summary("failing", "healthy")
	case len(e.Slow.Findings) > 0:
		return e.Slow.Summary("slow", "other")
	case e.Errors.Failing > 0:
		return fmt.Sprintf("%d failing traces of the canary: %s", e.Errors.Failing, e.Errors.Note)
	default:
		return e.Errors.Note
	}
}

// samples are the traces to look at first.
func samples(e Explanation, failing, slow []explain.Trace, service string) []Sample {
	findings, rest := e.Errors.Findings, failing
	if len(rest) == 0 {
		findings, rest = e.Slow.Findings, slow
	}
	byID := make(map[string]explain.Trace, len(rest))
	for _, t := range rest {
		byID[t.ID] = t
	}
	out := []Sample{}
	add := func(t explain.Trace) {
		entry, ok := t.Entry(service)
		if !ok || len(out) == maxSamples || slices.ContainsFunc(out, func(s Sample) bool { return s.TraceID == t.ID }) {
			return
		}
		s := Sample{TraceID: t.ID, SpanID: entry.ID}
		for _, f := range explain.Failures([]explain.Trace{t}, service) {
			s.Route, s.DurationMS, s.Message = f.Route, f.DurationMS, f.Message
		}
		out = append(out, s)
	}
	for _, f := range findings {
		for _, id := range f.Examples {
			add(byID[id])
		}
	}
	for _, t := range rest {
		add(t)
	}
	return out
}

// Bounded returns the explanation in at most so many bytes of JSON, for a
// status or a message: without what says least. Summary and traces are the last
// to go. It cannot be made smaller than some 800 bytes.
func (e Explanation) Bounded(most int) Explanation {
	e.Errors.Findings, e.Slow.Findings = slices.Clone(e.Errors.Findings), slices.Clone(e.Slow.Findings)
	for _, shrink := range []func(){
		func() { each(e, func(f *explain.Finding) { f.Same = nil }) },
		func() { e.Slow.Findings = e.Slow.Findings[:min(1, len(e.Slow.Findings))] },
		func() { e.Errors.Findings = e.Errors.Findings[:min(2, len(e.Errors.Findings))] },
		func() { e.Errors.Groups = e.Errors.Groups[:min(2, len(e.Errors.Groups))] },
		func() { each(e, func(f *explain.Finding) { f.Text = "" }) },
		func() {
			e.Slow.Findings, e.Errors.Findings, e.Errors.Groups = []explain.Finding{}, []explain.Finding{}, nil
		},
		func() { e.Sampled, e.Notes, e.Errors.Note, e.Slow.Note = nil, nil, "", "" },
		func() { e.Traces = e.Traces[:min(1, len(e.Traces))] },
		func() { e.Summary = strings.ToValidUTF8(e.Summary[:min(len(e.Summary), max(0, most/2))], "") },
	} {
		if e.size() <= most {
			break
		}
		shrink()
	}
	return e
}

// each changes copies: Bounded's caller keeps what it had.
func each(e Explanation, change func(*explain.Finding)) {
	for i := range e.Errors.Findings {
		change(&e.Errors.Findings[i])
	}
	for i := range e.Slow.Findings {
		change(&e.Slow.Findings[i])
	}
}

func (e Explanation) size() int {
	text, err := json.Marshal(e)
	if err != nil {
		return 0 // nothing in it can fail
	}
	return len(text)
}
