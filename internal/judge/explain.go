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

// Explain says what the failed and slow traces of a canary have in common: what
// a gate calls when it fails, and `canary explain` prints. The window is from
// the canary's begin to now; traces of the newest seconds may still be on their
// way. A nil source gives nil: no traces are configured. An error means that the
// backend could not be asked, and is no reason for another decision.
//
// Explanation.Summary is a sentence for a status or a message, Explanation.Traces
// the traces to link to ([TraceLinks]), and Explanation.Bounded limits its JSON.
func Explain(ctx context.Context, source tracing.Source, subject Subject, from, to time.Time, filter explain.Filter) (*tracing.Explanation, error) {
	if source == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ExplainTimeout)
	defer cancel()
	found, err := tracing.Explain(ctx, source, tracing.Canary{
		Service: subject.Service, Version: subject.CanaryVersion, StableVersion: subject.StableVersion,
		Match: subject.Canary, StableMatch: subject.Stable, Start: from, End: to, Filter: filter,
	})
	if err != nil {
		return nil, err
	}
	return &found, nil
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
func NewReport(ctx context.Context, v analysis.Verdict, source tracing.Source, subject Subject, from, to time.Time, filter explain.Filter) Report {
	report := Report{Verdict: v}
	if v.Decision != analysis.Rollback {
		return report
	}
	var err error
	if report.Explanation, err = Explain(ctx, source, subject, from, to, filter); err != nil {
		report.ExplanationError = err.Error()
	}
	return report
}
