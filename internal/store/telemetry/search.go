package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
)

// bounds turns a time range with open ends into unix nanoseconds.
func bounds(from, to time.Time) (lo, hi int64) {
	lo, hi = math.MinInt64, math.MaxInt64
	if !from.IsZero() {
		lo = from.UnixNano()
	}
	if !to.IsZero() {
		hi = to.UnixNano()
	}
	return lo, hi
}

// ScanSpans calls yield for the spans that match, newest start first, each
// once, until it returns false or ctx ends. Limit is not looked at.
func (s *Store) ScanSpans(ctx context.Context, q SpanQuery, yield func(*StoredSpan) bool) (Scanned, error) {
	if err := q.validate(); err != nil {
		return Scanned{}, fmt.Errorf("search spans: %w", err)
	}
	lo, hi := bounds(q.From, q.To)
	var sp StoredSpan // copied only when it matches
	sc, err := scan(ctx, s, source[*StoredSpan]{
		kind: segment.Spans, from: lo, to: hi, errors: q.errorsOnly(),
		resource: q.resource,
		read: func(it otlpwire.Item, res *segment.Resource) (*StoredSpan, int64, bool) {
			span, err := otlpwire.ReadSpan(it.Raw)
			if err != nil {
				return nil, 0, false
			}
			sp = StoredSpan{Span: span, Resource: res, item: it}
			if !q.span(&sp) {
				return nil, 0, false
			}
			keep := sp
			return &keep, span.Start, true
		},
		id: (*StoredSpan).id,
	}, yield)
	if err != nil {
		return sc, fmt.Errorf("search spans: %w", err)
	}
	return sc, nil
}

// SearchSpans returns the newest spans that match, newest start first; none is
// no error.
func (s *Store) SearchSpans(ctx context.Context, q SpanQuery) ([]Span, Scanned, error) {
	limit := q.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	var spans []Span
	var decodeErr error
	sc, err := s.ScanSpans(ctx, q, func(sp *StoredSpan) bool {
		var span Span
		if span, decodeErr = sp.Decode(); decodeErr != nil {
			return false
		}
		spans = append(spans, span)
		return len(spans) < limit
	})
	if err == nil {
		err = decodeErr
	}
	return spans, sc, err
}

// ScanLogs calls yield for the log records that match, newest first (or oldest
// first), until it returns false or ctx ends. Records that are equal in all they
// say, their time and their resource included, come once: a sender that got no
// answer sends its records again. Limit is not looked at.
func (s *Store) ScanLogs(ctx context.Context, q LogQuery, yield func(*StoredLog) bool) (Scanned, error) {
	if err := q.validate(); err != nil {
		return Scanned{}, fmt.Errorf("search logs: %w", err)
	}
	if !q.TraceID.IsEmpty() {
		return s.scanTraceLogs(ctx, q, yield)
	}
	lo, hi := bounds(q.From, q.To)
	sc, err := scan(ctx, s, source[*StoredLog]{
		kind: segment.Logs, from: lo, to: hi, oldest: q.OldestFirst,
		resource: q.resource,
		read: func(it otlpwire.Item, res *segment.Resource) (*StoredLog, int64, bool) {
			return q.read(it, res)
		},
		id: (*StoredLog).id, sameTime: true,
	}, yield)
	if err != nil {
		return sc, fmt.Errorf("search logs: %w", err)
	}
	return sc, nil
}

func (q *LogQuery) read(it otlpwire.Item, res *segment.Resource) (*StoredLog, int64, bool) {
	log, err := otlpwire.ReadLog(it.Raw)
	if err != nil || !q.TraceID.IsEmpty() && log.TraceID != q.TraceID {
		return nil, 0, false
	}
	l := StoredLog{Log: log, Resource: res, item: it}
	if q.Match != nil && !q.Match(&l) {
		return nil, 0, false
	}
	keep := l
	return &keep, log.Time, true
}

// SearchLogs returns the log records that match, newest first (or oldest
// first); none is no error.
func (s *Store) SearchLogs(ctx context.Context, q LogQuery) ([]Log, Scanned, error) {
	limit := q.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	var logs []Log
	var decodeErr error
	sc, err := s.ScanLogs(ctx, q, func(sl *StoredLog) bool {
		var l Log
		if l, decodeErr = sl.Decode(); decodeErr != nil {
			return false
		}
		logs = append(logs, l)
		return len(logs) < limit
	})
	if err == nil {
		err = decodeErr
	}
	return logs, sc, err
}

func (s *Store) scanTraceLogs(ctx context.Context, q LogQuery, yield func(*StoredLog) bool) (Scanned, error) {
	lo, hi := bounds(q.From, q.To)
	var logs []*StoredLog
	seen := map[recordID]bool{}
	sc, err := s.byTrace(ctx, segment.Logs, []otlpwire.TraceID{q.TraceID}, func(it otlpwire.Item, res *segment.Resource) {
		if !q.resource(res) {
			return
		}
		if l, at, ok := q.read(it, res); ok && at >= lo && at < hi && !seen[l.id()] {
			seen[l.id()] = true
			logs = append(logs, l)
		}
	})
	if err != nil {
		return sc, fmt.Errorf("search logs of trace %s: %w", q.TraceID, err)
	}
	slices.SortStableFunc(logs, func(a, b *StoredLog) int {
		if q.OldestFirst == (a.Time < b.Time) {
			return -1
		}
		return 1
	})
	for _, l := range logs {
		if !yield(l) {
			break
		}
	}
	return sc, nil
}

// TraceID converts an id as pdata has it.
func TraceID(id pcommon.TraceID) otlpwire.TraceID { return otlpwire.TraceID(id) }

// Trace returns all spans of a trace, each once, grouped by resource and
// scope; no spans when the trace is not in the store.
func (s *Store) Trace(ctx context.Context, id pcommon.TraceID) (ptrace.Traces, error) {
	data, _, err := s.TraceData(ctx, otlpwire.TraceID(id))
	if err != nil {
		return ptrace.NewTraces(), err
	}
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		return ptrace.NewTraces(), fmt.Errorf("decode trace %s: %w", otlpwire.TraceID(id), err)
	}
	return td, nil
}

// TraceData is Trace as an encoded TracesData.
func (s *Store) TraceData(ctx context.Context, id otlpwire.TraceID) ([]byte, Scanned, error) {
	traces, sc, err := s.Traces(ctx, []otlpwire.TraceID{id})
	if err != nil {
		return nil, sc, err
	}
	return Encode(traces[id]), sc, nil
}

// Encode returns spans as an encoded TracesData, grouped by resource and scope.
func Encode(spans []*StoredSpan) []byte {
	items := make([]otlpwire.Item, len(spans))
	for i, sp := range spans {
		items[i] = sp.item
	}
	slices.SortStableFunc(items, func(a, b otlpwire.Item) int {
		if c := bytes.Compare(a.Resource, b.Resource); c != 0 {
			return c
		}
		return bytes.Compare(a.Scope, b.Scope)
	})
	return otlpwire.Append(nil, items)
}

// Traces returns the spans of several traces, each once, by start. Traces that
// are not in the store are not in the map.
func (s *Store) Traces(ctx context.Context, ids []otlpwire.TraceID) (map[otlpwire.TraceID][]*StoredSpan, Scanned, error) {
	want := map[otlpwire.TraceID]bool{}
	for _, id := range ids {
		want[id] = !id.IsEmpty()
	}
	byID := map[recordID]*StoredSpan{}
	sc, err := s.byTrace(ctx, segment.Spans, ids, func(it otlpwire.Item, res *segment.Resource) {
		if !want[otlpwire.SpanTraceID(it.Raw)] {
			return
		}
		span, err := otlpwire.ReadSpan(it.Raw)
		if err != nil || !want[span.TraceID] {
			return
		}
		// Of two versions of a span the one that ends later knows more.
		sp := &StoredSpan{Span: span, Resource: res, item: it}
		if old, ok := byID[sp.id()]; !ok || old.End < span.End {
			byID[sp.id()] = sp
		}
	})
	if err != nil {
		return nil, sc, fmt.Errorf("read traces: %w", err)
	}
	out := make(map[otlpwire.TraceID][]*StoredSpan, len(ids))
	for id, sp := range byID {
		out[id.trace] = append(out[id.trace], sp)
	}
	for _, spans := range out {
		slices.SortFunc(spans, func(a, b *StoredSpan) int {
			if a.Start != b.Start {
				return int(max(-1, min(1, a.Start-b.Start)))
			}
			return slices.Compare(a.SpanID[:], b.SpanID[:])
		})
	}
	return out, sc, nil
}
