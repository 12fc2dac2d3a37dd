// Package tracing finds traces in a trace backend: Tempo's HTTP API (which the
// embedded server speaks too) and Jaeger's. Both answer the same [Query] with
// traces in the form of package explain.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/explain"
)

// Status selects traces by whether a span of the service failed.
type Status int

// The statuses.
const (
	StatusAny   Status = iota
	StatusError        // a span of the service has status ERROR
	StatusOK           // none has
)

// Query says which traces to find.
type Query struct {
	Service string // service.name; required
	Version string // service.version; "" = any
	// Track is deployment.track; "" = any. Spans that carry no track at all
	// match too where their version does.
	Track string
	// Match are equalities on other attributes of the span or its resource, by
	// the attribute's name or that of its metric label.
	Match  map[string]string
	Status Status
	// MinDuration selects spans of the service that took at least so long; 0 = any.
	MinDuration time.Duration
	Start, End  time.Time // required
	Limit       int       // traces; required, at most MaxLimit
}

// MaxLimit bounds the traces of one query: each is fetched whole.
const MaxLimit = 1000

// check names what a query lacks.
func (q Query) check() error {
	switch {
	case q.Service == "":
		return errors.New("query traces: no service given")
	case q.Limit < 1 || q.Limit > MaxLimit:
		return fmt.Errorf("query traces: limit %d: want 1 to %d", q.Limit, MaxLimit)
	case !q.Start.Before(q.End):
		return fmt.Errorf("query traces: start %s is not before end %s", q.Start.Format(time.RFC3339), q.End.Format(time.RFC3339))
	}
	return nil
}

// Result is what a backend answered.
type Result struct {
	Traces []explain.Trace // newest first
	// Truncated is set when there were more than the limit.
	Truncated bool
	// Missing counts traces that the search named and that could not be read.
	Missing int
	// Searched says in words what was asked, for an answer without traces.
	Searched string
}

// Source is a trace backend.
type Source interface {
	// Find returns the newest traces that match. An error means that the
	// backend could not be asked; no traces is no error.
	Find(context.Context, Query) (Result, error)
	// Get returns one trace by its id in hex, or ErrNotFound.
	Get(ctx context.Context, id string) (explain.Trace, error)
}

// ErrNotFound is returned by Get for a trace that the backend does not have.
var ErrNotFound = errors.New("trace not found")

// Options are the optional parts of a client of a backend.
type Options struct {
	Token string // bearer token
	// TokenFile holds the token; it is read for every request.
	TokenFile string
	Headers   map[string]string // sent with each request, X-Scope-OrgID for one
	HTTP      *http.Client      // default: a client with a timeout of 30 s
}

func (o Options) client() *http.Client {
	if o.HTTP != nil {
		return o.HTTP
	}
	return &http.Client{Timeout: 30 * time.Second}
}

const (
	// maxAnswer bounds one answer of a backend: a trace of 10,000 spans with
	// full attributes is about 20 MB.
	maxAnswer = 64 << 20
	// maxSpans bounds the spans kept of one trace; explaining needs the failed
	// ones and those around them, not the whole of a batch job.
	maxSpans = 10_000
	// parallel is how many traces are fetched at a time: enough to hide the
	// round trip, too few to load a backend that others query.
	parallel = 8
)
