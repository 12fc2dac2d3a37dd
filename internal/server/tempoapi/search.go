package tempoapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/store/traceql"
)

// The answer of a search, as Tempo's tempopb.SearchResponse in JSON: 64-bit
// numbers are strings.
type searchResponse struct {
	Traces  []traceMetadata `json:"traces"`
	Metrics searchMetrics   `json:"metrics"`
}

type searchMetrics struct {
	InspectedTraces int    `json:"inspectedTraces,omitempty"`
	InspectedBytes  string `json:"inspectedBytes,omitempty"`
	InspectedSpans  string `json:"inspectedSpans,omitempty"`
	CompletedJobs   int    `json:"completedJobs"`
	TotalJobs       int    `json:"totalJobs"`
}

type traceMetadata struct {
	TraceID           string                  `json:"traceID"` // without leading zeros, as Tempo's
	RootServiceName   string                  `json:"rootServiceName,omitempty"`
	RootTraceName     string                  `json:"rootTraceName,omitempty"`
	StartTimeUnixNano string                  `json:"startTimeUnixNano"`
	DurationMs        int64                   `json:"durationMs,omitempty"`
	SpanSet           *spanSet                `json:"spanSet,omitempty"` // the older name of the first of SpanSets
	SpanSets          []spanSet               `json:"spanSets,omitempty"`
	ServiceStats      map[string]serviceStats `json:"serviceStats,omitempty"`
}

type serviceStats struct {
	SpanCount  int `json:"spanCount"`
	ErrorCount int `json:"errorCount,omitempty"`
}

type spanSet struct {
	Spans   []spanResult `json:"spans"`
	Matched int          `json:"matched"`
}

type spanResult struct {
	SpanID            string      `json:"spanID"`
	Name              string      `json:"name,omitempty"`
	StartTimeUnixNano string      `json:"startTimeUnixNano"`
	DurationNanos     string      `json:"durationNanos"`
	Attributes        []attribute `json:"attributes,omitempty"`
}

type attribute struct {
	Key   string   `json:"key"`
	Value anyValue `json:"value"`
}

type anyValue struct {
	String *string  `json:"stringValue,omitempty"`
	Bool   *bool    `json:"boolValue,omitempty"`
	Int    *string  `json:"intValue,omitempty"`
	Double *float64 `json:"doubleValue,omitempty"`
}

// searchParams are the parameters of a search.
type searchParams struct {
	query                    *traceql.Query
	from, to                 time.Time
	limit, spans             int
	minDuration, maxDuration time.Duration // of the trace
}

func (a *api) search(w http.ResponseWriter, r *http.Request) error {
	p := &params{values: r.URL.Query()}
	sp := searchParams{
		limit: p.integer("limit", defaultTraces, 0, a.o.MaxTraces), spans: p.integer("spss", defaultSpans, 0, maxSpans),
		minDuration: p.duration("minDuration"), maxDuration: p.duration("maxDuration"),
	}
	sp.from, sp.to = p.timeRange()
	if tags := p.values.Get("tags"); tags != "" && p.values.Get("q") == "" {
		text, err := tagQuery(tags)
		if err != nil {
			return badRequest("invalid tags: %w", err)
		}
		p.values.Set("q", text)
	}
	sp.query = p.query("q")
	if p.err != nil {
		return p.err
	}
	if sp.limit == 0 {
		sp.limit = defaultTraces
	}
	if sp.spans == 0 { // as in Tempo, 0 is all
		sp.spans = maxSpans
	}
	traces, sc, inspected, err := a.find(r.Context(), sp)
	if err != nil {
		return err
	}
	resp := searchResponse{Traces: []traceMetadata{}, Metrics: searchMetrics{
		InspectedTraces: inspected, InspectedBytes: strconv.FormatInt(sc.Bytes, 10), InspectedSpans: strconv.FormatInt(sc.Records, 10),
		CompletedJobs: 1, TotalJobs: 1,
	}}
	for _, m := range traces {
		resp.Traces = append(resp.Traces, m.metadata(sp))
	}
	a.note(w, sc)
	return writeJSON(w, resp)
}

// match is a trace that a query matched, with the spans it selected.
type match struct {
	*trace
	selected []int
}

// find returns the newest traces that match, by their newest candidate span.
// It looks for spans that any match must have, then reads their traces, some
// at a time, and evaluates the query on them.
func (a *api) find(ctx context.Context, sp searchParams) (found []match, sc telemetry.Scanned, inspected int, err error) {
	cand := sp.query.Candidates()
	seen := map[otlpwire.TraceID]bool{}
	var pending []otlpwire.TraceID
	var failed error
	check := func() bool {
		var ms []match
		var read telemetry.Scanned
		ms, read, failed = a.evaluate(ctx, sp, pending)
		inspected += len(pending)
		sc.Bytes += read.Bytes
		sc.Records += read.Records
		sc.Skipped = append(sc.Skipped, read.Skipped...)
		found = append(found, ms...)
		pending = pending[:0]
		return failed == nil && len(found) < sp.limit
	}
	read, err := a.store.ScanSpans(ctx, spanQuery(cand, sp.from, sp.to), func(s *telemetry.StoredSpan) bool {
		if seen[s.TraceID] {
			return true
		}
		seen[s.TraceID] = true
		pending = append(pending, s.TraceID)
		// Read as many as are missing: most candidates match.
		return len(pending) < min(sp.limit-len(found), readTraces) || check()
	})
	if err == nil && failed == nil && len(pending) > 0 {
		check()
	}
	sc.Bytes += read.Bytes
	sc.Records += read.Records
	sc.Skipped = append(sc.Skipped, read.Skipped...)
	if err == nil {
		err = failed
	}
	if len(found) > sp.limit {
		found = found[:sp.limit]
	}
	return found, sc, inspected, err
}

// readTraces bounds the traces that are in memory at once before they are
// evaluated.
const readTraces = 200

// spanQuery turns candidates into a query of the store.
func spanQuery(c traceql.Candidates, from, to time.Time) telemetry.SpanQuery {
	return telemetry.SpanQuery{
		From: from, To: to, HasStatus: c.Errors, Status: ptrace.StatusCodeError,
		MatchResource: func(r *segment.Resource) bool { return c.Evaluate(resourceEnv{r}) != traceql.False },
		Match:         func(s *telemetry.StoredSpan) bool { return c.Evaluate(spanEnv{s}) != traceql.False },
	}
}

func (a *api) evaluate(ctx context.Context, sp searchParams, ids []otlpwire.TraceID) ([]match, telemetry.Scanned, error) {
	traces, sc, err := a.store.Traces(ctx, ids)
	if err != nil {
		return nil, sc, err
	}
	var found []match
	for _, id := range ids {
		spans := traces[id]
		if len(spans) == 0 {
			continue // its file was deleted meanwhile
		}
		t := newTrace(id, spans)
		if d := time.Duration(t.duration()); d < sp.minDuration || sp.maxDuration > 0 && d > sp.maxDuration {
			continue
		}
		if selected := sp.query.Match(t.nodes()); len(selected) > 0 {
			found = append(found, match{t, selected})
		}
	}
	return found, sc, nil
}

func (m match) metadata(sp searchParams) traceMetadata {
	set := spanSet{Matched: len(m.selected)}
	fields := append(sp.query.Fields(), sp.query.Select...)
	for _, i := range m.selected[:min(sp.spans, len(m.selected))] {
		set.Spans = append(set.Spans, m.result(i, fields))
	}
	out := traceMetadata{
		TraceID: trimZeros(m.id), RootServiceName: m.rootService, RootTraceName: m.rootName,
		StartTimeUnixNano: strconv.FormatInt(m.start, 10), DurationMs: m.duration() / 1e6,
		SpanSet: &set, SpanSets: []spanSet{set}, ServiceStats: map[string]serviceStats{},
	}
	for _, s := range m.spans {
		st := out.ServiceStats[s.Resource.Attributes["service.name"]]
		st.SpanCount++
		if s.Status == otlpwire.StatusError {
			st.ErrorCount++
		}
		out.ServiceStats[s.Resource.Attributes["service.name"]] = st
	}
	return out
}

// result shows a span with the fields that the query names.
func (m match) result(i int, fields []traceql.Field) spanResult {
	s := m.spans[i]
	out := spanResult{SpanID: s.SpanID.String(), StartTimeUnixNano: strconv.FormatInt(s.Start, 10), DurationNanos: strconv.FormatInt(s.Duration(), 10)}
	done := map[string]bool{}
	for _, f := range fields {
		if f.Scope == traceql.ScopeIntrinsic && f.Name == "name" {
			out.Name = s.Name
			continue
		}
		if f.Scope == traceql.ScopeIntrinsic && f.Name == "duration" || done[f.Name] {
			continue
		}
		node{spanEnv{s}, m.trace, i}.Values(f, func(v traceql.Value) bool {
			done[f.Name] = true
			out.Attributes = append(out.Attributes, attribute{f.Name, encodeValue(v)})
			return false // of several events the first
		})
	}
	return out
}

func encodeValue(v traceql.Value) anyValue {
	switch v.Type {
	case traceql.TypeBool:
		return anyValue{Bool: &v.Bool}
	case traceql.TypeInt:
		s := strconv.FormatInt(v.Int, 10)
		return anyValue{Int: &s}
	case traceql.TypeFloat:
		return anyValue{Double: &v.Float}
	}
	s := v.Text()
	return anyValue{String: &s}
}

// trimZeros is a trace id as Tempo's search shows it.
func trimZeros(id otlpwire.TraceID) string { return strings.TrimLeft(id.String(), "0") }

// tagQuery turns the older form of a search, logfmt pairs, into TraceQL: a
// value is part of the attribute's, without regard to case, or equal to it as
// a number or boolean.
func tagQuery(tags string) (string, error) {
	pairs, err := logfmt(tags)
	if err != nil {
		return "", err
	}
	var conds []string
	for _, kv := range pairs {
		key, value := kv[0], kv[1]
		quoted := strconv.Quote("(?i).*" + quoteMeta(value) + ".*")
		switch {
		case key == "name":
			conds = append(conds, "name =~ "+quoted)
		case key == "error" && value == "true":
			conds = append(conds, "status = error")
		case key == "status" || key == "status.code":
			if value != "error" && value != "ok" && value != "unset" {
				return "", fmt.Errorf("%s=%s: must be error, ok or unset", key, value)
			}
			conds = append(conds, "status = "+value)
		default:
			field := "." + strconv.Quote(key)
			cond := field + " =~ " + quoted
			if _, err := strconv.ParseFloat(value, 64); err == nil && strings.Trim(value, "-.0123456789") == "" {
				cond = "(" + cond + " || " + field + " = " + value + ")"
			} else if value == "true" || value == "false" {
				cond = "(" + cond + " || " + field + " = " + value + ")"
			}
			conds = append(conds, cond)
		}
	}
	return "{" + strings.Join(conds, " && ") + "}", nil
}

// quoteMeta escapes a value for a regular expression with character classes:
// no backslash then has to pass the literal's own escapes.
func quoteMeta(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\' || r == '^':
			b.WriteString("\\" + string(r))
		case strings.ContainsRune(`.+*?()|[]{}$`, r):
			b.WriteString("[" + string(r) + "]")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// logfmt reads key=value pairs separated by spaces; values may be quoted.
func logfmt(s string) (pairs [][2]string, err error) {
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return nil, fmt.Errorf("%q is not of the form key=value", s)
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			prefix, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("the quoted value of %s has no end", key)
			}
			if value, err = strconv.Unquote(prefix); err != nil {
				return nil, fmt.Errorf("the quoted value of %s: %w", key, err)
			}
			s = rest[len(prefix):]
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		pairs = append(pairs, [2]string{key, value})
	}
	return pairs, nil
}
