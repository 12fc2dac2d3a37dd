// Package lokiapi serves the log records of a store, Kubernetes events among
// them, under a part of Grafana Loki's HTTP API, as Grafana's Loki data source
// calls it. docs/traces-and-logs.md lists what is there.
package lokiapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/store/logql"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// Options tune the API. The zero value is useful.
type Options struct {
	Timeout time.Duration    // of a request; default 30 s
	Version string           // what buildinfo tells; default "dev"
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default slog.Default()
}

// Defaults and bounds, as in Loki.
const (
	defaultLines = 100
	maxLines     = 5000
	defaultRange = time.Hour
	maxPoints    = 11_000 // of a series
	maxSeries    = 500
)

type api struct {
	store *telemetry.Store
	o     Options
}

// New returns the API with paths that begin with /api/v1/; mount it with
// http.StripPrefix("/loki", ...).
func New(store *telemetry.Store, o Options) http.Handler {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &api{store: store, o: o}
	mux := http.NewServeMux()
	for path, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/query": a.instant, "/query_range": a.rangeQuery, "/labels": a.labels, "/label": a.labels,
		"/label/{name}/values": a.labelValues, "/series": a.series, "/index/stats": a.stats, "/status/buildinfo": a.buildInfo,
	} {
		mux.HandleFunc("GET /api/v1"+path, a.handle(serve))
		mux.HandleFunc("POST /api/v1"+path, a.handle(serve)) // with the parameters as a form
	}
	return mux
}

type requestError struct{ err error }

func (e *requestError) Error() string { return e.err.Error() }

func invalid(format string, args ...any) error { return &requestError{fmt.Errorf(format, args...)} }

// maxForm bounds the body of a POST.
const maxForm = 1 << 20

// handle answers errors as Loki does: their text as the body.
func (a *api) handle(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.o.Timeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := r.ParseForm()
		if err != nil {
			err = invalid("read parameters: %w", err)
		} else {
			err = serve(w, r.WithContext(ctx))
		}
		var bad *requestError
		switch {
		case err == nil, errors.Is(err, context.Canceled):
		case errors.As(err, &bad):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case errors.Is(err, context.DeadlineExceeded):
			http.Error(w, fmt.Sprintf("the query did not end in %s: ask for a shorter time range, or select fewer streams", a.o.Timeout), http.StatusGatewayTimeout)
		default:
			a.o.Log.Warn("serve the Loki API", "path", r.URL.Path, "error", err)
			status := http.StatusInternalServerError
			if errors.Is(err, telemetry.ErrClosed) {
				status = http.StatusServiceUnavailable
			}
			http.Error(w, err.Error(), status)
		}
	}
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

// success is Loki's envelope.
func success(data any) map[string]any { return map[string]any{"status": "success", "data": data} }

func (a *api) buildInfo(w http.ResponseWriter, _ *http.Request) error {
	// Grafana reads the version to know what the API offers.
	return writeJSON(w, map[string]string{"version": "3.0.0", "revision": a.o.Version, "branch": "fairlead", "buildUser": "", "buildDate": "", "goVersion": ""})
}

// note tells in a header that damaged parts of the store were passed over.
func (a *api) note(w http.ResponseWriter, sc telemetry.Scanned) {
	if len(sc.Skipped) > 0 {
		w.Header().Set("Warning", fmt.Sprintf(`199 fairlead "the answer may be incomplete: %d damaged parts of the store were left out"`, len(sc.Skipped)))
		a.o.Log.Warn("damaged parts of the log store were left out of an answer", "parts", len(sc.Skipped), "first", sc.Skipped[0])
	}
}

// moment reads a time: unix nanoseconds, unix seconds with or without a
// fraction, or RFC 3339.
func moment(name, s string, fallback time.Time) (time.Time, error) {
	if s == "" {
		return fallback, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		// As in Loki, up to ten digits are seconds.
		if len(s) <= 10 {
			return time.Unix(n, 0), nil
		}
		return time.Unix(0, n), nil
	}
	const most = math.MaxInt64 / int64(time.Second)
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < float64(most) {
		return time.Unix(0, int64(f*1e9)), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	return fallback, invalid("invalid %s %q: must be a unix time in ns or s, or RFC 3339", name, s)
}

// timeRange reads start and end, or since before end.
func (a *api) timeRange(v url.Values) (start, end time.Time, err error) {
	if end, err = moment("end", v.Get("end"), a.o.Now()); err != nil {
		return start, end, err
	}
	since := defaultRange
	if s := v.Get("since"); s != "" {
		if since, err = time.ParseDuration(s); err != nil || since <= 0 {
			return start, end, invalid("invalid since %q: must be a duration as 1h", s)
		}
	}
	if start, err = moment("start", v.Get("start"), end.Add(-since)); err != nil {
		return start, end, err
	}
	if !start.Before(end) {
		return start, end, invalid("invalid end %q: must be after start %q", v.Get("end"), v.Get("start"))
	}
	return start, end, nil
}

func parse(query string) (*logql.Query, error) {
	if strings.TrimSpace(query) == "" {
		return nil, invalid("query is empty: give a stream selector, as {service_name=\"checkout\"}")
	}
	q, err := logql.Parse(query)
	if err != nil {
		return nil, &requestError{err}
	}
	return q, nil
}
