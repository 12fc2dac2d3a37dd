package emit

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/rollout"
)

// Names of a rollout's spans. The trace's root is the rollout; steps are its
// children and the analyses of a step are the step's.
const (
	RolloutSpan     = "canary.rollout"
	RolloutStepSpan = "canary.step"
)

// RolloutRoot is what the root span is about, for [rollout.SpanID].
const RolloutRoot = "root"

// Rollout sends where a rollout is as a log record. It returns an error when the
// record cannot be written, and does not wait for it to be delivered.
func (e *Emitter) Rollout(ctx context.Context, r rollout.Record) error {
	body, err := r.Encode()
	if err != nil {
		return err
	}
	severity, text := log.SeverityInfo, "INFO"
	if r.Phase == rollout.PhaseRollingBack || r.Phase == rollout.PhaseRolledBack || r.Phase == rollout.PhasePromotionFailed {
		severity, text = log.SeverityError, "ERROR"
	}
	e.emit(InRollout(ctx, r.ID, RolloutRoot), e.logger, record{
		event: rollout.RecordEvent, at: r.At, severity: severity, severityText: text,
		body: attribute.StringValue(string(body)), attrs: []attribute.KeyValue{attribute.String(rollout.AttrRolloutID, r.ID)},
	})
	return nil
}

// InRollout returns a context within the span of rollout id that is about what
// ("root", "step/2"), whoever has written or will write that span.
func InRollout(ctx context.Context, id, what string) context.Context {
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: rollout.TraceID(id), SpanID: rollout.SpanID(id, what), TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

// RolloutPart is a span of a rollout's trace: the rollout itself or a step.
type RolloutPart struct {
	ID         string // of the rollout
	Name       string // [RolloutSpan] or [RolloutStepSpan]
	About      string // for [rollout.SpanID]; [RolloutRoot] is the root
	Start, End time.Time
	Failed     string // why it failed; "" = it did not
	Attributes []attribute.KeyValue
}

// RolloutSpan writes a span of a rollout's trace. Written twice it is one span.
func (e *Emitter) RolloutSpan(ctx context.Context, p RolloutPart) {
	if p.About == RolloutRoot {
		ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	} else {
		ctx = InRollout(ctx, p.ID, RolloutRoot)
	}
	ctx = WithIDs(ctx, rollout.TraceID(p.ID), rollout.SpanID(p.ID, p.About))
	_, span := e.tracer.Start(ctx, p.Name, trace.WithTimestamp(p.Start), trace.WithAttributes(p.Attributes...),
		trace.WithAttributes(attribute.String(rollout.AttrRolloutID, p.ID)))
	if p.Failed != "" {
		span.SetStatus(codes.Error, p.Failed)
	}
	span.End(trace.WithTimestamp(p.End))
}
