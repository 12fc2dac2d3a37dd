package analysis

import (
	"fmt"
	"time"
)

// Track is one of the two populations that are compared.
type Track uint8

// The tracks.
const (
	Stable Track = iota // what served before
	Canary              // what is on trial
)

// String returns "stable" or "canary".
func (t Track) String() string {
	if t == Canary {
		return "canary"
	}
	return "stable"
}

// MarshalText writes the track's name.
func (t Track) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads "stable" or "canary".
func (t *Track) UnmarshalText(b []byte) error {
	switch string(b) {
	case "stable":
		*t = Stable
	case "canary":
		*t = Canary
	default:
		return fmt.Errorf("track %q: want stable or canary", b)
	}
	return nil
}

// Kind is what a raw series counts. A series may count two things: one with a
// status of 5xx is both requests and errors.
type Kind uint8

// The kinds of series, to be or-ed.
const (
	KindRequests  Kind = 1 << iota // a counter of requests
	KindErrors                     // a counter of failed requests
	KindBucket                     // one cumulative bucket (le) of a classic latency histogram, upper bound in LE
	KindHistogram                  // a native latency histogram
	KindGood                       // a business counter: the events (conversions, or a sum as revenue)
	KindOf                         // a business counter: the exposures (sessions)
)

// Point is one scraped value of a series: cumulative since the series began.
type Point struct {
	T time.Time
	V float64    // counters and classic buckets
	H *Histogram // native histograms; V is then unused
}

// Series is one raw series of one pod, as the server stores it. Staleness
// markers are left out by the source; other NaNs are passed on, and reported.
type Series struct {
	Kind  Kind
	Track Track
	Route string // "" when the series has no route label
	Pod   string // "" when it has no pod label
	Name  string // the business check's name, for KindGood and KindOf
	// ID tells series of the same kind, track, route and pod apart (status
	// code, method, container); any stable text. It is used in messages.
	ID string
	// LE is the upper bound of a classic bucket in seconds, +Inf for the last.
	LE float64
	// Created is the counter's created timestamp; zero when unknown.
	Created time.Time
	// Points ascend in time.
	Points []Point
}

// Histogram counts observations in seconds, per bucket and not cumulative over
// buckets. In a Point it counts since the series began, in a Cell over the
// interval.
type Histogram struct {
	// Bounds are the upper bounds of a classic histogram, ascending, the last
	// +Inf. The slice is shared between histograms and never written.
	// nil for a native histogram.
	Bounds []float64
	// Schema is a native histogram's resolution: bucket i ends at 2^(i*2^-Schema).
	Schema int8
	// Zero is a native histogram's count at or near zero.
	Zero float64
	// First is the index of Counts[0] of a native histogram.
	First int32
	// Counts has a value per bound, or per index from First on.
	Counts []float64
}

// Cell is what the series of one track, route and pod gained in one interval.
type Cell struct {
	Track    Track
	Route    string
	Pod      string
	Requests float64
	Errors   float64
	// HasErrors says that an errors series exists for this cell.
	HasErrors bool
	// Latency has nil Counts when there is no latency series.
	Latency Histogram
	// Restarted says that the pod's counters started anew.
	Restarted bool
}

// BusinessCell is what the series of a business check of one track and pod
// gained in one interval: Good events (or a sum) of Of exposures.
type BusinessCell struct {
	Name     string
	Track    Track
	Pod      string
	Good, Of float64
}

// Interval is what all series gained in (Start, End]. Intervals of one fold
// never overlap: every increment is used once.
type Interval struct {
	Start, End time.Time
	// Cells are all series that exist, with zeros too: a track without a cell
	// is missing, a track with zeros is idle.
	Cells    []Cell
	Business []BusinessCell
	Problems []Problem
}

// ProblemKind is what was wrong with the samples.
type ProblemKind string

// The kinds of problems. They never become a silent pass: each makes its check
// untestable, or the fold an error.
const (
	ProblemNaN       ProblemKind = "nan"        // a value that is no number, infinite or negative
	ProblemResets    ProblemKind = "resets"     // a counter that resets at every scrape
	ProblemClockSkew ProblemKind = "clock_skew" // the tracks' newest samples are far apart
	ProblemLayout    ProblemKind = "layout"     // the tracks' histograms have no bound in common
	ProblemRoute     ProblemKind = "route"      // route labels are missing on one track
	ProblemWarning   ProblemKind = "warning"    // the server warned about its answer
)

// Problem is something wrong with the samples that a person should know of.
type Problem struct {
	Kind   ProblemKind `json:"kind"`
	Track  Track       `json:"track"`
	Detail string      `json:"detail"`
}
