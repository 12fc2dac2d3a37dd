package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/explain"
)

// Tempo asks Tempo's HTTP API: TraceQL search, then each trace by its id.
type Tempo struct{ endpoint endpoint }

// NewTempo returns a client of the Tempo at the base URL, to which /api/search
// is appended.
func NewTempo(base string, o Options) (*Tempo, error) {
	e, err := newEndpoint("Tempo", base, o)
	return &Tempo{endpoint: e}, err
}

// traceQL writes the query. Attributes without a scope match on the span and on
// its resource.
func traceQL(q Query) string {
	conditions := []string{"resource.service.name = " + strconv.Quote(q.Service)}
	if q.Version != "" {
		conditions = append(conditions, ".service.version = "+strconv.Quote(q.Version))
	} else if q.Track != "" {
		// With a version, spans without a track match as well: see isTrack.
		conditions = append(conditions, ".deployment.track = "+strconv.Quote(q.Track))
	}
	for _, label := range slices.Sorted(maps.Keys(q.Match)) {
		// What is not sent is checked all the same.
		if name, ok := attributeName(label); ok {
			conditions = append(conditions, "."+name+" = "+strconv.Quote(q.Match[label]))
		}
	}
	if q.Status == StatusError {
		conditions = append(conditions, "status = error")
	}
	if q.MinDuration > 0 {
		conditions = append(conditions, "duration >= "+q.MinDuration.String())
	}
	return "{ " + strings.Join(conditions, " && ") + " }"
}

// Find searches with TraceQL, reads what was found, and checks each trace
// itself: the order of a search is not guaranteed, and TraceQL cannot say that
// no span of a trace failed.
func (t *Tempo) Find(ctx context.Context, q Query) (Result, error) {
	if err := q.check(); err != nil {
		return Result{}, err
	}
	// More than wanted, since the check may refuse some.
	want := min(2*q.Limit, MaxLimit)
	ql := traceQL(q)
	body, err := t.endpoint.get(ctx, "api/search", url.Values{
		"q": {ql}, "limit": {strconv.Itoa(want)}, "spss": {"1"},
		"start": {strconv.FormatInt(q.Start.Unix(), 10)}, "end": {strconv.FormatInt(q.End.Unix()+1, 10)},
	}, "application/json")
	if err != nil {
		return Result{}, err
	}
	var found struct {
		Traces []struct {
			TraceID string `json:"traceID"`
		} `json:"traces"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return Result{}, fmt.Errorf("read the answer of Tempo: %w", err)
	}
	ids := make([]string, 0, len(found.Traces))
	for _, one := range found.Traces {
		ids = append(ids, fullID(one.TraceID))
	}
	traces, missing, err := fetch(ctx, ids, t.Get)
	if err != nil {
		return Result{}, err
	}
	r := Result{Missing: missing, Searched: ql, Truncated: len(ids) == want}
	for _, one := range traces {
		if matches(one, q) {
			r.Traces = append(r.Traces, one)
		}
	}
	newestFirst(r.Traces, q.Service)
	limit(&r, q.Limit)
	return r, nil
}

// Get reads a trace as protobuf: in Tempo's JSON ids are base64.
func (t *Tempo) Get(ctx context.Context, id string) (explain.Trace, error) {
	body, err := t.endpoint.get(ctx, "api/traces/"+url.PathEscape(id), nil, "application/protobuf")
	var status *httpError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		return explain.Trace{}, fmt.Errorf("trace %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return explain.Trace{}, err
	}
	// Tempo's Trace message has the wire form of OTLP's TracesData.
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err != nil {
		return explain.Trace{}, fmt.Errorf("read trace %s from Tempo: %w", id, err)
	}
	for _, one := range toTraces(td) {
		return *one, nil
	}
	return explain.Trace{}, fmt.Errorf("trace %s: %w", id, ErrNotFound)
}

// fetch gets traces by id, several at a time, in the order of ids. Those that
// are gone between search and read are counted as missing; other errors end it.
func fetch(ctx context.Context, ids []string, get func(context.Context, string) (explain.Trace, error)) ([]explain.Trace, int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	found := make([]explain.Trace, len(ids))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(parallel, len(ids)) {
		wg.Go(func() {
			for i := range next {
				t, err := get(ctx, ids[i])
				if err != nil && !errors.Is(err, ErrNotFound) {
					cancel(err)
				}
				found[i] = t
			}
		})
	}
	for i := range ids {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, 0, err
	}
	out := make([]explain.Trace, 0, len(ids))
	for _, t := range found {
		if len(t.Spans) > 0 {
			out = append(out, t)
		}
	}
	return out, len(ids) - len(out), nil
}
