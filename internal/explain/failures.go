package explain

import (
	"cmp"
	"slices"
	"time"
)

// UnknownRoute is the route of a trace that carries none.
const UnknownRoute = "unknown"

// Failure is one failed trace in a few words (spec B5).
type Failure struct {
	TraceID    string    `json:"traceId"`
	Start      time.Time `json:"start"`
	Message    string    `json:"statusMessage"` // masked; "" where no span says anything
	DurationMS float64   `json:"durationMs"`
	Route      string    `json:"route"` // http.route, or UnknownRoute
	// Errors are the spans that failed, where the error comes from first.
	Errors []ErrorSpan `json:"errors"`
	// Omitted counts failed spans beyond MaxErrorSpans.
	Omitted int `json:"omittedErrors,omitempty"`
}

// ErrorSpan is a span that failed.
type ErrorSpan struct {
	Name          string `json:"name"`
	Service       string `json:"service,omitempty"`
	ExceptionType string `json:"exceptionType,omitempty"`
	// ExceptionMessage is masked, see [Mask].
	ExceptionMessage string `json:"exceptionMessage,omitempty"`
}

// MaxErrorSpans bounds the failed spans told of one trace: an error that passes
// through more layers than this is told by its deepest.
const MaxErrorSpans = 20

// Failures tells each trace as the service saw it, newest first.
func Failures(traces []Trace, service string) []Failure {
	out := make([]Failure, 0, len(traces))
	for _, t := range traces {
		if f, ok := failure(t, service); ok {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b Failure) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.TraceID, b.TraceID))
	})
	return out
}

func failure(t Trace, service string) (Failure, bool) {
	entry, ok := t.Entry(service)
	if !ok {
		return Failure{}, false
	}
	f := Failure{
		TraceID: t.ID, Start: entry.Start, Message: entry.Message, Route: routeOf(t, entry),
		DurationMS: float64(entry.Duration.Microseconds()) / 1000, Errors: []ErrorSpan{},
	}
	for _, s := range t.errorSpans() {
		if f.Message == "" {
			f.Message = s.Message
		}
		if len(f.Errors) == MaxErrorSpans {
			f.Omitted++
			continue
		}
		e := ErrorSpan{Name: s.Name, Service: s.Service}
		if len(s.Exceptions) > 0 {
			// The last one is what ended the span; earlier ones were handled.
			last := s.Exceptions[len(s.Exceptions)-1]
			e.ExceptionType, e.ExceptionMessage = last.Type, Mask(last.Message)
			if f.Message == "" {
				f.Message = last.Message
			}
		}
		f.Errors = append(f.Errors, e)
	}
	f.Message = Mask(f.Message)
	return f, true
}

// routeOf returns http.route of the entry, or of the first other span of the
// same service that has one: some routers set it on an inner span.
func routeOf(t Trace, entry Span) string {
	if r := entry.Attributes["http.route"]; r != "" {
		return r
	}
	for _, s := range t.Spans {
		if r := s.Attributes["http.route"]; r != "" && s.Service == entry.Service {
			return r
		}
	}
	return UnknownRoute
}
