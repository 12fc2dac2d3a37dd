package judge

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

// ExplainTimeout bounds how long [Explain] waits for a trace backend. Whoever
// rolls back does so first and asks then.
const ExplainTimeout = 20 * time.Second

// exemplarsTimeout is the part of it that exemplars may take: what the traces
// themselves say matters more.
const exemplarsTimeout = 5 * time.Second

// Telemetry is where an explanation looks.
type Telemetry struct {
	// Traces is the trace backend; nil = none is configured.
	Traces tracing.Source
	// Metrics may name traces by exemplars; nil = not asked.
	Metrics analysis.Source
	Config  analysis.Config // of the metrics
}

// Explain says what the failed and slow traces of a canary have in common: what
// a gate calls when it fails, and `canary explain` prints. The window is from
// the canary's begin to now; traces of the newest seconds may still be on their
// way. Without a trace backend it tells the traces that exemplars of the metrics
// name, and is nil where there are none. An error means that the backend could
// not be asked, and is no reason for another decision.
//
// Explanation.Summary is a sentence for a status or a message, Explanation.Traces
// the traces to link to ([TraceLinks]), and Explanation.Bounded limits its JSON.
func Explain(ctx context.Context, t Telemetry, subject Subject, from, to time.Time, filter explain.Filter) (*tracing.Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, ExplainTimeout)
	defer cancel()
	c := tracing.Canary{
		Service: subject.Service, Version: subject.CanaryVersion, StableVersion: subject.StableVersion,
		Match: subject.Canary, StableMatch: subject.Stable, Start: from, End: to, Filter: filter,
	}
	var problem error
	c.Named, problem = t.named(ctx, subject, from, to)
	if t.Traces == nil {
		if len(c.Named) == 0 {
			return nil, problem
		}
		found := tracing.NamedOnly(c)
		return &found, nil
	}
	found, err := tracing.Explain(ctx, t.Traces, c)
	if err != nil {
		return nil, err
	}
	if problem != nil {
		found.Notes = append(found.Notes, "the metrics' exemplars could not be read: "+problem.Error())
	}
	return &found, nil
}

// named are the canary's requests of which the metrics name the trace.
func (t Telemetry) named(ctx context.Context, subject Subject, from, to time.Time) ([]tracing.Named, error) {
	source, ok := t.Metrics.(analysis.ExemplarSource)
	if !ok {
		return nil, nil
	}
	if subject.StableVersion == "" {
		subject.CanaryVersion = "" // the track tells, as in the search for stable's traces
	}
	tracks, err := subject.Tracks()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, exemplarsTimeout)
	defer cancel()
	exemplars, err := source.Exemplars(ctx, analysis.Query{From: from, To: to, Config: &t.Config, Tracks: tracks})
	out := make([]tracing.Named, 0, len(exemplars))
	for _, e := range exemplars {
		out = append(out, tracing.Named{
			TraceID: e.TraceID, SpanID: e.SpanID, Route: e.Route, Failed: e.Failed,
			Duration: time.Duration(e.Seconds * float64(time.Second)),
		})
	}
	return out, err
}

// Report is a verdict with what the canary's traces say, at a rollback.
type Report struct {
	analysis.Verdict
	// Explanation is as `canary explain -o json` prints it.
	Explanation *tracing.Explanation `json:"explanation,omitempty"`
	// ExplanationError says why the traces could not be asked.
	ExplanationError string `json:"explanationError,omitempty"`
}

// NewReport adds an explanation to a verdict of rollback.
func NewReport(ctx context.Context, v analysis.Verdict, t Telemetry, subject Subject, from, to time.Time, filter explain.Filter) Report {
	report := Report{Verdict: v}
	if v.Decision != analysis.Rollback {
		return report
	}
	var err error
	if report.Explanation, err = Explain(ctx, t, subject, from, to, filter); err != nil {
		report.ExplanationError = err.Error()
	}
	return report
}
