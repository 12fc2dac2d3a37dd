package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Middleware records every request to next as a server span and in the metric
// http.server.request.duration, with the method, the status code and, as
// http.route, the pattern of [http.ServeMux] that matched. Wrap the whole mux
// with it:
//
//	http.ListenAndServe(addr, telemetry.Middleware(mux))
//
// Of a router that does not set [http.Request.Pattern], tell the route with
// [SetRoute].
//
// A handler that panics is recorded as an answer of 500 with the exception on
// its span, and panics on, so that the server treats it as without the
// middleware. Unrecorded, the worst failures of a canary would be its least
// visible ones.
func Middleware(next http.Handler, opts ...otelhttp.Option) http.Handler {
	recorded := otelhttp.NewHandler(observe(next), "http.server", opts...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var x exchange
		recorded.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, &x)))
		if x.panicked != nil {
			panic(x.panicked)
		}
	})
}

// SetRoute names the route of r, "/cart/{id}" for example, in its span and
// metrics, whatever its pattern is. Call it in the handler or in a router's own
// middleware. The route must be one of few: never the path. Outside of
// [Middleware] it does nothing.
func SetRoute(r *http.Request, route string) {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		x.route = route
	}
}

// exchange is what a request's handler tells the instrumentation around it.
type exchange struct {
	route    string
	panicked any // the value of a panic, which the instrumentation would not record
}

type exchangeKey struct{}

// observe runs inside the instrumentation and gives it the route and, of a
// panic, an answer to count.
func observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, ok := r.Context().Value(exchangeKey{}).(*exchange)
		if !ok { // another middleware between has replaced the context
			x = &exchange{}
			defer func() {
				if x.panicked != nil {
					panic(x.panicked)
				}
			}()
		}
		defer func() {
			// The mux has set the pattern on r by now; the instrumentation
			// reads it from there for the metric and the name of the span.
			if x.route != "" {
				r.Pattern = x.route
			}
			r.Pattern = strings.TrimSuffix(r.Pattern, "{$}")
			if i := strings.IndexByte(r.Pattern, '/'); i >= 0 { // "GET host/path" is "/path"
				trace.SpanFromContext(r.Context()).SetAttributes(semconv.HTTPRoute(r.Pattern[i:]))
			}
		}()
		defer func() {
			x.panicked = recover()
			if x.panicked == nil || x.panicked == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				return
			}
			err, isError := x.panicked.(error)
			if !isError {
				err = fmt.Errorf("panic: %v", x.panicked)
			}
			trace.SpanFromContext(r.Context()).RecordError(err,
				trace.WithAttributes(semconv.ExceptionStacktrace(string(debug.Stack()))))
			w.WriteHeader(http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}
