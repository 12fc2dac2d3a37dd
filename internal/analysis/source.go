package analysis

import (
	"context"
	"time"
)

// Source hands out what was scraped. internal/prom and the store are sources.
//
// Fetch returns all raw series of both tracks that Query asks for, complete, or
// an error: a backend that is down, refuses, or answers in part could not be
// asked, and that is no verdict. Series that do not exist are simply not in
// the answer.
type Source interface {
	Fetch(ctx context.Context, q Query) (Samples, error)
}

// Query is one request for samples.
type Query struct {
	// From and To bound the increments that are wanted: (From, To].
	From, To time.Time
	// Lookback is how long before From points are wanted too, so that every
	// series has a value to start from. At least two scrape intervals.
	Lookback time.Duration
	// Config names the series and labels.
	Config *Config
	// Tracks tells the two populations apart.
	Tracks [2]Selector // indexed by Track
	// Stable alone is wanted: history before the canary began.
	StableOnly bool
}

// Selector is how a track's series are told from the other's: label equalities
// on the labels of Config.Metrics.Labels. Empty fields are not matched.
type Selector struct {
	Service string // service.name
	Version string // service.version
	Track   string // deployment.track
	Extra   map[string]string
}

// Samples is a Source's answer.
type Samples struct {
	Series []Series
	// Queries are the queries that were asked, per metric ("requests",
	// "errors", "latency", a business check's name): evidence for people.
	Queries map[string]string
	// ErrorsEverSeen says that the service has had an errors series at some
	// time, so that none now means no errors (see Config.ErrorsAbsent).
	ErrorsEverSeen bool
	// Warnings are the server's; the judge shows them.
	Warnings []string
}

// ExemplarSource is a Source whose metrics name traces of requests.
type ExemplarSource interface {
	// Exemplars returns those of the canary's requests, newest first. Query's
	// lookback does not matter.
	Exemplars(ctx context.Context, q Query) ([]Exemplar, error)
}

// Exemplar is a request of which the metrics name the trace.
type Exemplar struct {
	TraceID, SpanID string // hex; SpanID may be empty
	Route           string
	// Failed: the series counts failed requests.
	Failed bool
	// Seconds is how long it took, where the series says; 0 = unknown.
	Seconds float64
	Time    time.Time
}
