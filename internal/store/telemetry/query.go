package telemetry

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
)

// SpanQuery says which spans to find. Empty fields don't restrict.
type SpanQuery struct {
	Service string // service.name of the resource
	Name    string
	// Version and Track are service.version and deployment.track, of the span
	// itself or else of its resource.
	Version, Track string
	// Attributes must all be equal as text, on the span itself or else on its
	// resource.
	Attributes map[string]string
	// Status restricts to spans of that status, when HasStatus is set.
	// ptrace.StatusCodeError is found by an index.
	Status    ptrace.StatusCode
	HasStatus bool
	// Duration of the span; MaxDuration 0 is no bound.
	MinDuration, MaxDuration time.Duration
	// From and To bound the span's start: [From, To). Zero is no bound.
	From, To time.Time
	// Limit bounds the spans that SearchSpans returns; default DefaultLimit.
	Limit int

	// MatchResource, when set, must be true for a span's resource. It may be
	// called for resources without spans in the time range.
	MatchResource func(*segment.Resource) bool
	// Match, when set, must be true for the span. It may not keep the span's
	// strings, nor call the store.
	Match func(*StoredSpan) bool
}

// Limits of searches.
const (
	DefaultLimit = 20
	MaxLimit     = 100_000
)

func (q *SpanQuery) validate() error {
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return fmt.Errorf("limit %d: must be 0 to %d", q.Limit, MaxLimit)
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return fmt.Errorf("time range from %s to %s: the end must be after the start", q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano))
	case q.MaxDuration > 0 && q.MinDuration > q.MaxDuration:
		return fmt.Errorf("duration from %s to %s: the least is above the most", q.MinDuration, q.MaxDuration)
	}
	return nil
}

// errorsOnly reports whether the error index answers the query.
func (q *SpanQuery) errorsOnly() bool { return q.HasStatus && q.Status == ptrace.StatusCodeError }

// resource reports whether the resource can have spans that match.
func (q *SpanQuery) resource(r *segment.Resource) bool {
	if q.Service != "" && r.Attributes["service.name"] != q.Service {
		return false
	}
	if !r.Tagged {
		if q.Version != "" && r.Attributes["service.version"] != q.Version || q.Track != "" && r.Attributes["deployment.track"] != q.Track {
			return false
		}
	}
	return q.MatchResource == nil || q.MatchResource(r)
}

// span reports whether a span of a matching resource matches.
func (q *SpanQuery) span(s *StoredSpan) bool {
	switch {
	case q.HasStatus && s.Status != int32(q.Status),
		q.Name != "" && s.Name != q.Name,
		q.MinDuration > 0 && s.Duration() < int64(q.MinDuration),
		q.MaxDuration > 0 && s.Duration() > int64(q.MaxDuration),
		q.Version != "" && !has(s, "service.version", q.Version),
		q.Track != "" && !has(s, "deployment.track", q.Track):
		return false
	}
	for k, v := range q.Attributes {
		if !has(s, k, v) {
			return false
		}
	}
	return q.Match == nil || q.Match(s)
}

func has(s *StoredSpan, key, want string) bool {
	v, ok := s.Attribute(key)
	return ok && v == want
}

// LogQuery says which log records to find. Empty fields don't restrict.
type LogQuery struct {
	Service string // service.name of the resource
	// From and To bound the record's time: [From, To). Zero is no bound.
	From, To time.Time
	// Limit bounds the records that SearchLogs returns; default DefaultLimit.
	Limit int
	// OldestFirst turns the order around.
	OldestFirst bool
	// TraceID restricts to records of a trace, by its index.
	TraceID otlpwire.TraceID
	// MatchResource and Match are as in SpanQuery.
	MatchResource func(*segment.Resource) bool
	Match         func(*StoredLog) bool
}

func (q *LogQuery) validate() error {
	return (&SpanQuery{Limit: q.Limit, From: q.From, To: q.To}).validate()
}

func (q *LogQuery) resource(r *segment.Resource) bool {
	if q.Service != "" && r.Attributes["service.name"] != q.Service {
		return false
	}
	return q.MatchResource == nil || q.MatchResource(r)
}
