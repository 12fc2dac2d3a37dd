package prom

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"fairlead.dev/fairlead/internal/analysis"
)

// ExemplarBackend is a Backend that keeps exemplars. Prometheus does with
// --enable-feature=exemplar-storage, for as long as they fit its memory.
type ExemplarBackend interface {
	// Exemplars returns the exemplars in (from, to] of the series that match.
	Exemplars(ctx context.Context, match Matchers, from, to time.Time) ([]exemplar.QueryResult, error)
}

// Exemplars returns the canary's requests whose traces the metrics name, newest
// first: those of the latency histogram and of the counters of requests and
// errors. A backend without exemplars has none.
func (s *Source) Exemplars(ctx context.Context, q analysis.Query) ([]analysis.Exemplar, error) {
	backend, ok := s.backend.(ExemplarBackend)
	if !ok {
		return nil, nil
	}
	p, err := newPlan(q)
	if err != nil {
		return nil, err
	}
	names := []string{p.metrics.Requests}
	for _, name := range []string{p.metrics.Errors, p.metrics.Latency} {
		if name != "" {
			names = append(names, name)
		}
	}
	if p.metrics.Latency != "" {
		names = append(names, p.metrics.Latency+"_bucket")
	}
	match := append(Matchers{oneOf(labels.MetricName, names)}, p.tracks[analysis.Canary]...)
	found, err := backend.Exemplars(ctx, match, q.From, q.To)
	if err != nil {
		return nil, err
	}
	var out []analysis.Exemplar
	for _, series := range found {
		name := series.SeriesLabels.Get(labels.MetricName)
		one := analysis.Exemplar{
			Route:  series.SeriesLabels.Get(p.route),
			Failed: name == p.metrics.Errors && name != "" || len(p.failed) > 0 && p.failed.Matches(series.SeriesLabels),
		}
		for _, e := range series.Exemplars {
			one.TraceID = hexID(cmp.Or(e.Labels.Get("trace_id"), e.Labels.Get("traceID")), 32)
			one.SpanID = hexID(cmp.Or(e.Labels.Get("span_id"), e.Labels.Get("spanID")), 16)
			one.Time, one.Seconds = time.UnixMilli(e.Ts), 0
			if name == p.metrics.Latency || name == p.metrics.Latency+"_bucket" {
				if one.Seconds = e.Value; p.metrics.LatencyUnit == "ms" {
					one.Seconds /= 1000
				}
			}
			if one.TraceID != "" {
				out = append(out, one)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b analysis.Exemplar) int { return b.Time.Compare(a.Time) })
	return out, nil
}

// hexID returns an id as traces have it, lower case and with its leading zeros,
// which some libraries leave out; "" for what is none: it comes from an
// application's label, and ends up in addresses.
func hexID(label string, digits int) string {
	id := strings.ToLower(label)
	if id == "" || len(id) > digits || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return strings.Repeat("0", digits-len(id)) + id
}

// Exemplars asks for the exemplars in one request.
func (c *Client) Exemplars(ctx context.Context, match Matchers, from, to time.Time) ([]exemplar.QueryResult, error) {
	var out []exemplar.QueryResult
	form := url.Values{"query": {match.String()}, "start": {unix(from)}, "end": {unix(to)}}
	err := c.ask(ctx, "query_exemplars", form, func(r io.Reader) (err error) {
		out, err = decodeExemplars(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("exemplars of %s: %w", match, err)
	}
	return out, nil
}

// decodeExemplars reads an answer of query_exemplars; times are seconds.
func decodeExemplars(r io.Reader) ([]exemplar.QueryResult, error) {
	var data []struct {
		SeriesLabels labels.Labels `json:"seriesLabels"`
		Exemplars    []struct {
			Labels    labels.Labels `json:"labels"`
			Value     string        `json:"value"`
			Timestamp float64       `json:"timestamp"`
		} `json:"exemplars"`
	}
	err := decodeEnvelope(r, nil, func(it *jsoniter.Iterator) { it.ReadVal(&data) })
	out := make([]exemplar.QueryResult, 0, len(data))
	for _, d := range data {
		one := exemplar.QueryResult{SeriesLabels: d.SeriesLabels}
		for _, e := range d.Exemplars {
			value, notNumber := strconv.ParseFloat(e.Value, 64)
			if notNumber != nil && err == nil {
				err = fmt.Errorf("%w: exemplar's value %q", ErrMalformed, e.Value)
			}
			one.Exemplars = append(one.Exemplars, exemplar.Exemplar{
				Labels: e.Labels, Value: value, Ts: int64(math.Round(e.Timestamp * 1000)), HasTs: true,
			})
		}
		out = append(out, one)
	}
	return out, err
}

// Exemplars reads the exemplars of a storage that keeps them.
func (l *Local) Exemplars(ctx context.Context, match Matchers, from, to time.Time) ([]exemplar.QueryResult, error) {
	s, ok := l.storage.(storage.ExemplarQueryable)
	if !ok {
		return nil, nil
	}
	q, err := s.ExemplarQuerier(ctx)
	if err != nil {
		return nil, fmt.Errorf("exemplars of %s: %w: %w", match, ErrUnavailable, err)
	}
	return q.Select(from.UnixMilli()+1, to.UnixMilli(), match)
}
