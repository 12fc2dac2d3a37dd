package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/explain"
)

// Jaeger asks the HTTP form of Jaeger's query API v3, which answers in OTLP.
type Jaeger struct{ endpoint endpoint }

// NewJaeger returns a client of the Jaeger query service at the base URL, to
// which /api/v3 is appended.
func NewJaeger(base string, o Options) (*Jaeger, error) {
	e, err := newEndpoint("Jaeger", base, o)
	return &Jaeger{endpoint: e}, err
}

const (
	// jaegerPage is how many traces one request asks for: Jaeger sends them whole.
	jaegerPage = 500
	// jaegerPages bounds how far back a search goes whose attributes the server
	// ignores, and with it what one Find can cost.
	jaegerPages = 20
	// jaegerSlice is the shortest stretch of time that is asked for: where one
	// holds more than a page, the rest of it is left out.
	jaegerSlice = 50 * time.Millisecond
)

// Find asks for the newest traces of the service and checks each itself. The
// attributes are sent, but the HTTP API ignores them at least up to v2.13, so
// it reads on, back in time, until enough match. A page that is full may have
// left out traces of any time in it, since a server may count by arrival and
// exporters send in batches; so time is cut into stretches that fit a page.
func (j *Jaeger) Find(ctx context.Context, q Query) (Result, error) {
	if err := q.check(); err != nil {
		return Result{}, err
	}
	attributes := map[string]string{}
	if q.Version != "" {
		attributes["service.version"] = q.Version
	}
	if q.Status == StatusError {
		attributes["error"] = "true"
	}
	r := Result{Searched: fmt.Sprintf("service %s, attributes %v", q.Service, attributes)}
	seen := map[string]bool{}
	end, slice := q.End, q.End.Sub(q.Start)
	for range jaegerPages {
		from := end.Add(-slice)
		if from.Before(q.Start) {
			from = q.Start
		}
		page, err := j.page(ctx, q, attributes, from, end)
		if err != nil {
			return Result{}, err
		}
		oldest := end
		for id, t := range page {
			if e, ok := t.Entry(q.Service); ok && e.Start.Before(oldest) {
				oldest = e.Start
			}
			if !seen[id] && matches(*t, q) {
				r.Traces = append(r.Traces, *t)
			}
			seen[id] = true
		}
		if len(page) >= jaegerPage && slice > jaegerSlice {
			// Twice as much as fits began since the oldest of it, or more.
			slice = max(jaegerSlice, min(slice/2, end.Sub(oldest)/2))
			continue
		}
		switch {
		case !from.After(q.Start):
			return finish(r, q), nil
		case len(r.Traces) >= q.Limit:
			r.Truncated = true
			return finish(r, q), nil
		case len(page) < jaegerPage/4:
			slice *= 2
		}
		end = from
	}
	r.Truncated = true
	return finish(r, q), nil
}

func finish(r Result, q Query) Result {
	newestFirst(r.Traces, q.Service)
	limit(&r, q.Limit)
	return r
}

// page returns traces that started from from to end, at most jaegerPage.
func (j *Jaeger) page(ctx context.Context, q Query, attributes map[string]string, from, end time.Time) (map[string]*explain.Trace, error) {
	values := url.Values{
		"query.service_name":   {q.Service},
		"query.start_time_min": {from.UTC().Format(time.RFC3339Nano)},
		"query.start_time_max": {end.UTC().Format(time.RFC3339Nano)},
		"query.num_traces":     {strconv.Itoa(jaegerPage)},
	}
	if len(attributes) > 0 {
		text, err := json.Marshal(attributes)
		if err != nil {
			return nil, err
		}
		values.Set("query.attributes", string(text))
	}
	if q.MinDuration > 0 {
		values.Set("query.duration_min", q.MinDuration.String())
	}
	td, err := j.traces(ctx, "api/v3/traces", values)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return toTraces(td), nil
}

// Get reads one trace.
func (j *Jaeger) Get(ctx context.Context, id string) (explain.Trace, error) {
	td, err := j.traces(ctx, "api/v3/traces/"+url.PathEscape(id), nil)
	if err != nil {
		return explain.Trace{}, fmt.Errorf("trace %s: %w", id, err)
	}
	for _, t := range toTraces(td) {
		return *t, nil
	}
	return explain.Trace{}, fmt.Errorf("trace %s: %w", id, ErrNotFound)
}

// traces decodes an answer of API v3: OTLP in JSON under "result". Jaeger says
// 404 where there is none.
func (j *Jaeger) traces(ctx context.Context, path string, values url.Values) (ptrace.Traces, error) {
	body, err := j.endpoint.get(ctx, path, values, "application/json")
	var status *httpError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		return ptrace.Traces{}, ErrNotFound
	}
	if err != nil {
		return ptrace.Traces{}, err
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return ptrace.Traces{}, fmt.Errorf("read the answer of Jaeger: %w", err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(answer.Result)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("read the answer of Jaeger: %w", err)
	}
	return td, nil
}
