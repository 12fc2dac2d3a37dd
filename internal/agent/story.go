package agent

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

// story is an operation with where it stands in a trace and what explains it.
type story struct {
	op       release.Operation
	parent   trace.SpanContext // of the operation's span; invalid for a root
	cause    release.Cause
	snapshot *release.Snapshot
}

// place gives an operation its trace: the claimed one, or one that follows from
// its identity.
func place(op release.Operation, c *claim, main bool) story {
	s := story{op: op}
	span := emit.SpanIDOf(op.ID)
	switch {
	case c != nil && main:
		sc := c.context()
		s.op.TraceID, s.op.SpanID = sc.TraceID().String(), sc.SpanID().String()
		if c.Command != "" {
			s.op.Command = c.Command
		}
	case c != nil:
		s.parent = c.context()
		s.op.TraceID, s.op.SpanID = s.parent.TraceID().String(), span.String()
	case op.ParentID != "":
		s.parent = trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: emit.TraceIDOf(op.ParentID), SpanID: emit.SpanIDOf(op.ParentID), TraceFlags: trace.FlagsSampled,
		})
		s.op.TraceID, s.op.SpanID = s.parent.TraceID().String(), span.String()
	default:
		s.op.TraceID, s.op.SpanID = emit.TraceIDOf(op.ID).String(), span.String()
	}
	return s
}

// within returns a context within the operation's span, for records about it.
func (s story) within(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, s.spanContext())
}

func (s story) spanContext() trace.SpanContext {
	traceID, _ := trace.TraceIDFromHex(s.op.TraceID)
	spanID, _ := trace.SpanIDFromHex(s.op.SpanID)
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled})
}

// tell writes the spans of an operation that has ended.
func (a *agent) tell(ctx context.Context, s story) {
	if s.parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, s.parent)
	}
	sc := s.spanContext()
	ctx, span := a.emitter.Start(emit.WithIDs(ctx, sc.TraceID(), sc.SpanID()), release.SpanName(s.op.Command), s.op.Start)
	ctx = emit.WithSeed(ctx, s.op.ID)
	ref := release.Ref{Namespace: s.op.Namespace, Name: s.op.Release}
	a.emitter.Steps(ctx, a.watch.Of(ref).Steps(s.op.Start, s.op.End), a.opts.Redact)
	if !s.op.Succeeded() {
		a.emitter.Failed(ctx, s.op, emit.CauseAttributes(s.cause)...)
	}
	emit.EndOperation(span, s.op)
}

// explain fills in why an operation failed: Helm's words from the record, and
// what the cluster showed at that moment.
func (a *agent) explain(ctx context.Context, s *story) {
	op := &s.op
	if op.State != release.StateFailed {
		op.Cause = a.opts.Redact(op.Cause)
		return
	}
	class, words := helm.Classify(1, "Error: "+op.Cause, false)
	words = a.opts.Redact(words)
	if op.Cause == "" {
		words = ""
	}
	snap, ok := a.evidence(ctx, *op)
	if ok {
		s.snapshot = &snap
	}
	s.cause = release.FindCause(snap, class, words)
	op.ErrorType, op.Cause = s.cause.ErrorType, a.opts.Redact(s.cause.Sentence)
	if op.Cause == "" {
		op.Cause = "the record says failed, and no more"
	}
}

// evidence returns the state of the cluster when the operation failed: what the
// watch kept at that moment, or what is there a moment later.
func (a *agent) evidence(ctx context.Context, op release.Operation) (release.Snapshot, bool) {
	view := a.watch.Of(release.Ref{Namespace: op.Namespace, Name: op.Release})
	ctx, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	if snap, ok := view.FailureSnapshot(ctx, op.Revision); ok {
		return snap, true
	}
	if op.Historic || time.Since(op.End) > time.Minute {
		return release.Snapshot{}, false
	}
	facts := view.Facts()
	facts.Revision = op.Revision
	return kube.TakeSnapshot(ctx, a.opts.Client, facts, kube.SnapshotOptions{Redact: a.opts.Redact}), true
}

// holder is the wrapper that a claim names, for people.
func holder(c *claim) string {
	if name := strings.TrimSpace(c.Holder); name != "" {
		return name
	}
	return "fairlead helm"
}
