// Package tempoapi serves the traces of a store under Grafana Tempo's HTTP
// API, as Grafana's Tempo data source and other clients of Tempo call it. What
// of the API is there, and of TraceQL, docs/traces-and-logs.md lists.
package tempoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/store/traceql"
)

// Options tune the API. The zero value is useful.
type Options struct {
	// Timeout bounds a request; default 30 s.
	Timeout time.Duration
	// MaxTraces bounds limit; default 10,000.
	MaxTraces int
	// MaxScan bounds the spans that are read for a list of tag names or
	// values, the newest first; default 100,000.
	MaxScan int
	// Version is what buildinfo tells; default "dev".
	Version string
	// Log receives errors of the store; default slog.Default().
	Log *slog.Logger
}

// Defaults and bounds of a search, as in Tempo.
const (
	defaultTraces = 20
	defaultSpans  = 3     // spans shown of each trace
	maxSpans      = 10000 // bound of spss
	defaultTags   = 1000
	maxTags       = 10000
)

type api struct {
	store *telemetry.Store
	o     Options
}

// New returns the API with paths that begin with /api/; mount it with
// http.StripPrefix("/tempo", ...).
func New(store *telemetry.Store, o Options) http.Handler {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxTraces == 0 {
		o.MaxTraces = 10_000
	}
	if o.MaxScan == 0 {
		o.MaxScan = 100_000
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &api{store: store, o: o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/echo", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("echo")) })
	mux.HandleFunc("GET /api/status/buildinfo", a.buildInfo)
	mux.HandleFunc("GET /api/traces/{id}", a.handle(a.traceV1))
	mux.HandleFunc("GET /api/v2/traces/{id}", a.handle(a.traceV2))
	mux.HandleFunc("GET /api/search", a.handle(a.search))
	mux.HandleFunc("GET /api/search/tags", a.handle(a.tagsV1))
	mux.HandleFunc("GET /api/v2/search/tags", a.handle(a.tagsV2))
	mux.HandleFunc("GET /api/search/tag/{name}/values", a.handle(a.valuesV1))
	mux.HandleFunc("GET /api/v2/search/tag/{name}/values", a.handle(a.valuesV2))
	for _, path := range []string{"/api/metrics/query", "/api/metrics/query_range", "/api/metrics/summary"} {
		mux.HandleFunc("GET "+path, a.handle(func(http.ResponseWriter, *http.Request) error {
			return &httpError{http.StatusNotImplemented, errors.New("TraceQL metrics are not supported: ask the Prometheus API for metrics")}
		}))
	}
	return mux
}

// httpError is an error with its status.
type httpError struct {
	status int
	err    error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

// handle answers errors as Tempo does: their text as the body.
func (a *api) handle(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.o.Timeout)
		defer cancel()
		err := serve(w, r.WithContext(ctx))
		if err == nil {
			return
		}
		status := http.StatusInternalServerError
		var he *httpError
		switch {
		case errors.As(err, &he):
			status = he.status
		case errors.Is(err, context.DeadlineExceeded):
			status = http.StatusGatewayTimeout
			err = fmt.Errorf("the search did not end in %s: ask for a shorter time range, or name a service: %w", a.o.Timeout, err)
		case errors.Is(err, context.Canceled):
			return // nobody is left to tell
		case errors.Is(err, telemetry.ErrClosed):
			status = http.StatusServiceUnavailable
		}
		if status >= http.StatusInternalServerError {
			a.o.Log.Warn("serve the Tempo API", "path", r.URL.Path, "error", err)
		}
		http.Error(w, err.Error(), status)
	}
}

func (a *api) buildInfo(w http.ResponseWriter, _ *http.Request) {
	// Grafana reads the version to know what the API offers: 2.6 is the first
	// with both v2 endpoints. The others are ours.
	_ = writeJSON(w, map[string]string{
		"version": "2.6.0", "revision": a.o.Version, "branch": "fairlead", "buildUser": "", "buildDate": "", "goVersion": "",
	})
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
	return nil
}

// note tells in headers that damaged parts of the store were passed over.
func (a *api) note(w http.ResponseWriter, sc telemetry.Scanned) {
	if len(sc.Skipped) > 0 {
		w.Header().Set("Warning", fmt.Sprintf(`199 fairlead "the answer may be incomplete: %d damaged parts of the store were left out"`, len(sc.Skipped)))
		a.o.Log.Warn("damaged parts of the trace store were left out of an answer", "parts", len(sc.Skipped), "first", sc.Skipped[0])
	}
}

// params reads URL parameters and remembers the first error.
type params struct {
	values url.Values
	err    error
}

func (p *params) fail(name, value, want string) {
	if p.err == nil {
		p.err = badRequest("invalid %s %q: %s", name, value, want)
	}
}

func (p *params) integer(name string, fallback, least, most int) int {
	s := p.values.Get(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		p.fail(name, s, fmt.Sprintf("must be a number from %d to %d", least, most))
	}
	return n
}

// seconds reads a unix time; zero when it is absent.
func (p *params) seconds(name string) time.Time {
	s := p.values.Get(name)
	if s == "" || s == "0" {
		return time.Time{}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxUnix {
		p.fail(name, s, "must be a unix time in seconds")
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// maxUnix is the last second whose nanoseconds fit 64 bits.
const maxUnix = (1<<63 - 1) / 1_000_000_000

func (p *params) duration(name string) time.Duration {
	s := p.values.Get(name)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		p.fail(name, s, "must be a duration as 100ms or 1.5s")
	}
	return d
}

// timeRange reads start and end, end included.
func (p *params) timeRange() (from, to time.Time) {
	from, to = p.seconds("start"), p.seconds("end")
	if !to.IsZero() {
		to = to.Add(time.Second)
	}
	if p.err == nil && !from.IsZero() && !to.IsZero() && !from.Before(to) {
		p.err = badRequest("invalid end %q: must not be before start %q", p.values.Get("end"), p.values.Get("start"))
	}
	return from, to
}

// query reads the TraceQL query of a parameter.
func (p *params) query(name string) *traceql.Query {
	q, err := traceql.Parse(p.values.Get(name))
	if err != nil && p.err == nil {
		p.err = badRequest("invalid TraceQL query: %w", err)
	}
	return q
}
