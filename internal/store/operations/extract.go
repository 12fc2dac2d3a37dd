package operations

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/release"
)

// sighting is what one record says about one operation.
type sighting struct {
	source string
	op     release.Operation
}

// The source of a sighting; observers otherwise. A failed-span is kept beside
// the span of its operation because it alone knows the cause.
const (
	sourceSpans  = string(release.ObserverSpans)
	sourceFailed = "spans:failed"
)

// snapshot is a failure snapshot as it came in.
type snapshot struct {
	id, span string
	at       time.Time
	body     string
}

// fromLogs returns the sightings and snapshots among logs. Records of other
// kinds, and operation records that cannot be read, are passed over: the
// latter's errors are returned for the caller to log.
func fromLogs(ld plog.Logs) (seen []sighting, snaps []snapshot, bad []error) {
	for _, rl := range ld.ResourceLogs().All() {
		res := rl.Resource().Attributes()
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				switch rec.EventName() {
				case release.EventName:
					op, err := release.FromAttributes(traceHex(rec.TraceID()), spanHex(rec.SpanID()), attributes(res, rec.Attributes()))
					if err != nil {
						bad = append(bad, err)
						continue
					}
					source := string(release.ObserverWrapper)
					if len(op.Observers) > 0 {
						source = string(op.Observers[0])
					}
					seen = append(seen, sighting{source: source, op: op})
				case release.EventSnapshot:
					snaps = append(snaps, snapshot{
						id: text(rec.Attributes(), release.AttrID), span: spanKey(traceHex(rec.TraceID()), spanHex(rec.SpanID())),
						at: rec.Timestamp().AsTime(), body: rec.Body().AsString(),
					})
				}
			}
		}
	}
	return seen, snaps, bad
}

// fromTraces returns the sightings among spans of the spec's names, whoever
// made them: an operation's root span, the instant span of its failure.
func fromTraces(td ptrace.Traces) []sighting {
	var seen []sighting
	for _, rs := range td.ResourceSpans().All() {
		res := rs.Resource().Attributes()
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if s, ok := fromSpan(res, span); ok {
					seen = append(seen, s)
				}
			}
		}
	}
	return seen
}

func fromSpan(res pcommon.Map, span ptrace.Span) (sighting, bool) {
	command, failed, ok := commandOf(span.Name())
	if !ok {
		return sighting{}, false
	}
	attrs := attributes(res, span.Attributes())
	if _, ok := attrs[release.AttrRelease]; !ok {
		return sighting{}, false
	}
	if _, ok := attrs[release.AttrNamespace]; !ok {
		// The spec's rollback and failure spans do not carry it: it comes from
		// the operation in the same trace.
		attrs[release.AttrNamespace] = namespaceFromTrace
	}
	spanID := span.SpanID()
	if failed {
		spanID = span.ParentSpanID()
	}
	op, err := release.FromAttributes(traceHex(span.TraceID()), spanHex(spanID), attrs)
	if err != nil {
		return sighting{}, false
	}
	if op.Namespace == namespaceFromTrace {
		op.Namespace = ""
	}
	op.Observers = []release.Observer{release.ObserverSpans}
	if op.Cause == "" {
		op.Cause = span.Status().Message()
	}
	if failed {
		// It says why, and nothing else that the operation's own span does not say better.
		return sighting{source: sourceFailed, op: release.Operation{
			ID: op.ID, TraceID: op.TraceID, SpanID: op.SpanID, Release: op.Release, Namespace: op.Namespace,
			ErrorType: op.ErrorType, Cause: op.Cause, Observers: op.Observers,
		}}, true
	}
	if op.Command == "" {
		op.Command = command
	}
	if op.Kind == "" {
		op.Kind = kindOf(command, op.PreviousRevision)
	}
	if op.Start.IsZero() {
		op.Start = span.StartTimestamp().AsTime()
	}
	if op.End.IsZero() {
		op.End = span.EndTimestamp().AsTime()
	}
	if !op.State.Done() {
		op.State = stateOf(op.ExitCode, span.Status().Code())
	}
	return sighting{source: sourceSpans, op: op}, true
}

// namespaceFromTrace stands for a namespace that the span did not carry while
// its attributes are read. It is no valid namespace, so it cannot clash.
const namespaceFromTrace = "\x00"

func commandOf(span string) (command string, failed, ok bool) {
	command, ok = strings.CutPrefix(span, "helm-")
	if !ok {
		return "", false, false
	}
	command, failed = strings.CutSuffix(command, "-failed")
	switch command {
	case "install", "upgrade", "uninstall", "rollback", "test":
		return command, failed, true
	default:
		return "", false, false
	}
}

// kindOf is the kind of an operation of which only the command is known.
func kindOf(command string, previous *int) release.Kind {
	if command == "upgrade" && previous != nil && *previous == 0 {
		return release.KindInstall
	}
	return release.Kind(command)
}

func stateOf(exit *int, status ptrace.StatusCode) release.State {
	if (exit != nil && *exit != 0) || status == ptrace.StatusCodeError {
		return release.StateFailed
	}
	return release.StateSucceeded
}

// attributes returns the record's attributes, with those of the resource that
// belong to an operation wherever they stand.
func attributes(res, own pcommon.Map) map[string]any {
	m := make(map[string]any, own.Len()+4)
	for k, v := range res.All() {
		switch {
		case strings.HasPrefix(k, "cicd."), strings.HasPrefix(k, "vcs."), strings.HasPrefix(k, "deployment."),
			k == release.AttrCluster, k == "k8s.cluster.uid", k == "service.name":
			m[k] = v.AsRaw()
		}
	}
	for k, v := range own.All() {
		m[k] = v.AsRaw()
	}
	return m
}

// text returns the attribute as text, "" when it is not there.
func text(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func traceHex(id pcommon.TraceID) string {
	if id.IsEmpty() {
		return ""
	}
	return id.String()
}

func spanHex(id pcommon.SpanID) string {
	if id.IsEmpty() {
		return ""
	}
	return id.String()
}

// spanKey is the key of an operation of which only the root span is known.
func spanKey(traceID, spanID string) string {
	if traceID == "" || spanID == "" {
		return ""
	}
	return release.UnboundID(traceID, spanID)
}
