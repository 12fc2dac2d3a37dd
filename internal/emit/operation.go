package emit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/release"
)

// Start begins an operation's span at the moment at, as a child of ctx's span.
// The returned context is within it. End it with [EndOperation].
func (e *Emitter) Start(ctx context.Context, name string, at time.Time) (context.Context, trace.Span) {
	ctx, span := e.tracer.Start(ctx, name, trace.WithTimestamp(at))
	return withoutIDs(ctx), span
}

// EndOperation writes what the operation came to on its span and ends it.
func EndOperation(span trace.Span, op release.Operation) {
	span.SetAttributes(SpanAttributes(op)...)
	if op.State.Done() && !op.Succeeded() {
		span.SetStatus(codes.Error, op.Cause)
	}
	span.End(trace.WithTimestamp(op.End))
}

// Failed writes the instant span helm-<command>-failed under ctx's span.
func (e *Emitter) Failed(ctx context.Context, op release.Operation, extra ...attribute.KeyValue) {
	_, span := e.tracer.Start(seeded(ctx, "failed"), release.FailedSpanName(op.Command), trace.WithTimestamp(op.End))
	attrs := []attribute.KeyValue{
		attribute.String(release.AttrRelease, op.Release),
		attribute.String(release.AttrNamespace, op.Namespace),
		attribute.String(release.AttrErrorType, string(op.ErrorType)),
		attribute.String(release.AttrCause, op.Cause),
	}
	if op.ExitCode != nil {
		attrs = append(attrs, attribute.Int(release.AttrExitCode, *op.ExitCode))
	}
	if op.Revision > 0 {
		attrs = append(attrs, attribute.Int(release.AttrRevision, op.Revision))
	}
	span.SetAttributes(append(attrs, extra...)...)
	span.SetStatus(codes.Error, op.Cause)
	span.End(trace.WithTimestamp(op.End))
}

// CauseAttributes are those of the failed span beside the operation's.
func CauseAttributes(c release.Cause) []attribute.KeyValue {
	var out []attribute.KeyValue
	set := func(k, v string) {
		if v != "" {
			out = append(out, attribute.String(k, v))
		}
	}
	if !c.Object.IsZero() {
		set("fairlead.object", c.Object.String())
	}
	set("k8s.pod.name", c.Pod)
	set("k8s.container.name", c.Container)
	set("fairlead.cause.reason", c.Reason)
	if c.LastEvent != nil {
		set("k8s.event.reason", c.LastEvent.Reason)
	}
	return out
}

// Steps writes what the cluster did as child spans of ctx's span. Texts go
// through redact.
func (e *Emitter) Steps(ctx context.Context, steps []release.Step, redact func(string) string) {
	seen := make(map[string]int)
	for _, s := range steps {
		about := s.Name + " " + cmp.Or(s.Object.UID, s.Object.String())
		seen[about]++
		sub, span := e.tracer.Start(seeded(ctx, fmt.Sprint(about, " ", seen[about])), s.Name, trace.WithTimestamp(s.Start))
		sub = withoutIDs(sub)
		attrs := Values(s.Attributes, redact)
		if s.Reason != "" {
			attrs = append(attrs, attribute.String(attrReason, s.Reason))
		}
		if s.Message != "" {
			attrs = append(attrs, attribute.String(attrMessage, redact(s.Message)))
		}
		if !s.Done {
			attrs = append(attrs, attribute.Bool(attrUnfinished, true))
		}
		span.SetAttributes(attrs...)
		if s.Failed {
			text := s.Reason
			if s.Message != "" {
				text = fmt.Sprintf("%s: %s", s.Reason, redact(s.Message))
			}
			span.SetAttributes(semconv.ErrorTypeKey.String(orOther(s.Reason)))
			span.SetStatus(codes.Error, text)
		}
		e.Steps(sub, s.Children, redact)
		span.End(trace.WithTimestamp(s.End))
	}
}

// Attribute keys of steps, beside those that [release.Step.Attributes] brings.
const (
	attrReason     = "fairlead.step.reason"
	attrMessage    = "fairlead.step.message"
	attrUnfinished = "fairlead.step.unfinished" // true: had not ended when the operation did
)

func orOther(reason string) string {
	if reason == "" {
		return string(release.ErrorOther)
	}
	return reason
}

// SpanAttributes returns the attributes of an operation's root span: the
// operation's own and those of the semantic conventions beside them.
func SpanAttributes(op release.Operation) []attribute.KeyValue {
	own := op.Attributes()
	delete(own, release.AttrObjects) // for the record alone
	attrs := Values(own, nil)
	attrs = append(attrs,
		semconv.DeploymentName(op.Release),
		semconv.K8SNamespaceName(op.Namespace),
		semconv.CICDPipelineTaskTypeDeploy,
	)
	if op.Revision > 0 {
		attrs = append(attrs, semconv.DeploymentID(fmt.Sprintf("%s/%s.v%d", op.Namespace, op.Release, op.Revision)))
	}
	if op.ExitCode != nil {
		attrs = append(attrs, semconv.ProcessExitCode(*op.ExitCode))
	}
	switch op.State {
	case release.StateSucceeded:
		attrs = append(attrs, semconv.DeploymentStatusSucceeded, semconv.CICDPipelineTaskRunResultSuccess)
	case release.StateFailed:
		attrs = append(attrs, semconv.DeploymentStatusFailed)
		if op.ErrorType == release.ErrorTimeout {
			attrs = append(attrs, semconv.CICDPipelineTaskRunResultTimeout)
		} else {
			attrs = append(attrs, semconv.CICDPipelineTaskRunResultFailure)
		}
	case release.StateCancelled:
		attrs = append(attrs, semconv.DeploymentStatusFailed, semconv.CICDPipelineTaskRunResultCancellation)
	}
	return attrs
}

// Operation sends the operation's log record, in the trace of ctx's span. It
// does not wait for it to be delivered.
func (e *Emitter) Operation(ctx context.Context, op release.Operation) {
	severity, text := log.SeverityInfo, "INFO"
	if op.State.Done() && !op.Succeeded() {
		severity, text = log.SeverityError, "ERROR"
	}
	at := op.End
	if at.IsZero() {
		at = time.Now()
	}
	e.emit(ctx, e.logger, record{
		event: release.EventName, at: at, severity: severity, severityText: text,
		body: attribute.StringValue(headline(op)), attrs: Values(op.Attributes(), nil),
	})
}

// headline says the operation in words: "upgrade of shop/checkout revision 7 failed: ...".
func headline(op release.Operation) string {
	what := string(op.Kind)
	if what == "" {
		what = op.Command
	}
	line := fmt.Sprintf("%s of %s/%s", what, op.Namespace, op.Release)
	if op.Revision > 0 {
		line += fmt.Sprintf(" revision %d", op.Revision)
	}
	line += " " + string(op.State)
	if op.Cause != "" {
		line += ": " + op.Cause
	}
	return line
}
