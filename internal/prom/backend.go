package prom

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/analysis"
)

// Backend hands out raw samples.
type Backend interface {
	// Select returns all samples in (from, to] of the series that match, with
	// points ascending in time and without staleness markers. An answer that
	// may be incomplete is an error.
	Select(ctx context.Context, match Matchers, from, to time.Time) (Result, error)
	// Exists says whether any series that matches had a sample in the range.
	Exists(ctx context.Context, match Matchers, from, to time.Time) (bool, error)
}

// Result is a backend's answer to Select.
type Result struct {
	Series []Series
	// Notes are what the server remarked about a complete answer.
	Notes []string
}

// Series is one stored series.
type Series struct {
	Labels labels.Labels
	Points []Point
}

// Point is a raw sample; H is nil unless the sample is a histogram.
type Point struct {
	T int64 // milliseconds since 1970
	V float64
	H *analysis.Histogram
}

// Matchers select series, joined by "and".
type Matchers []*labels.Matcher

// String writes the matchers as a PromQL selector, with the metric's name in
// front where it is a plain one.
func (ms Matchers) String() string {
	var b strings.Builder
	var rest []string
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual && b.Len() == 0 {
			b.WriteString(m.Value)
			continue
		}
		rest = append(rest, m.String())
	}
	return b.String() + "{" + strings.Join(rest, ",") + "}"
}

// Matches says whether all matchers match the labels.
func (ms Matchers) Matches(l labels.Labels) bool {
	for _, m := range ms {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// Errors of a backend. None of them is a verdict: the question could not be
// asked.
var (
	// ErrUnavailable: the server did not answer, or said that it cannot now.
	ErrUnavailable = errors.New("backend unavailable")
	// ErrRefused: the server rejected the credentials or the query.
	ErrRefused = errors.New("backend refused the query")
	// ErrPartial: the server warned that its answer may be incomplete.
	ErrPartial = errors.New("backend answered in part")
	// ErrMalformed: the answer is not Prometheus' JSON.
	ErrMalformed = errors.New("backend's answer is malformed")
	// ErrTooLarge: the answer is beyond what the server or this client allows.
	ErrTooLarge = errors.New("answer too large")
)
