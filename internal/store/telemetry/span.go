package telemetry

import (
	"fmt"
	"hash/maphash"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
)

// Span is a span as it was received, with its resource and scope.
type Span struct {
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
	ptrace.Span
}

// Duration is the span's time, never negative.
func (s Span) Duration() time.Duration {
	return max(0, s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()))
}

// Log is a log record as it was received, with its resource and scope.
type Log struct {
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
	plog.LogRecord
}

// Time is the record's own time, or else when it was observed.
func (l Log) Time() time.Time {
	if t := l.Timestamp(); t != 0 {
		return t.AsTime()
	}
	return l.ObservedTimestamp().AsTime()
}

// StoredSpan is a span in the store, not decoded. Its fields may not be
// written to.
type StoredSpan struct {
	otlpwire.Span
	Resource *segment.Resource
	item     otlpwire.Item
}

func (s *StoredSpan) id() recordID {
	return recordID{trace: s.TraceID, span: s.SpanID, kind: s.Kind}
}

// Attribute returns the span's own attribute, or else the resource's, as text.
func (s *StoredSpan) Attribute(key string) (string, bool) {
	if v, ok := s.Span.Attribute(key); ok {
		return v.Text(), true
	}
	v, ok := s.Resource.Attributes[key]
	return v, ok
}

// ResourceHeader returns the encoded resource with its schema URL, the same
// bytes for all spans of a resource.
func (s *StoredSpan) ResourceHeader() []byte { return s.item.Resource }

// Scope returns name and version of the span's instrumentation scope.
func (s *StoredSpan) Scope() (name, version string) { return otlpwire.ScopeNameVersion(s.item.Scope) }

// Decode returns the span with all that was received.
func (s *StoredSpan) Decode() (Span, error) {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlpwire.Append(nil, []otlpwire.Item{s.item}))
	if err != nil {
		return Span{}, fmt.Errorf("decode span: %w", err)
	}
	rs := td.ResourceSpans().At(0)
	ss := rs.ScopeSpans().At(0)
	return Span{Resource: rs.Resource(), Scope: ss.Scope(), Span: ss.Spans().At(0)}, nil
}

// StoredLog is a log record in the store, not decoded.
type StoredLog struct {
	otlpwire.Log
	Resource *segment.Resource
	item     otlpwire.Item
}

// logSeed makes hashes of log records differ between processes.
var logSeed = maphash.MakeSeed()

func (l *StoredLog) id() recordID {
	var h maphash.Hash
	h.SetSeed(logSeed)
	for _, part := range [][]byte{l.item.Resource, l.item.Scope, l.item.Raw} {
		_, _ = h.Write(part) // never fails
		_ = h.WriteByte(0)
	}
	return recordID{hash: h.Sum64()}
}

// Scope returns name and version of the record's instrumentation scope.
func (l *StoredLog) Scope() (name, version string) { return otlpwire.ScopeNameVersion(l.item.Scope) }

// Decode returns the record with all that was received.
func (l *StoredLog) Decode() (Log, error) {
	ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(otlpwire.Append(nil, []otlpwire.Item{l.item}))
	if err != nil {
		return Log{}, fmt.Errorf("decode log record: %w", err)
	}
	rl := ld.ResourceLogs().At(0)
	sl := rl.ScopeLogs().At(0)
	return Log{Resource: rl.Resource(), Scope: sl.Scope(), LogRecord: sl.LogRecords().At(0)}, nil
}
