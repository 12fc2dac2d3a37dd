// Package web is the pages of the server: what is deployed, what runs, what
// failed and why, and how a canary fares. They are drawn on the server, work
// without JavaScript, and follow along where there is some.
//
// Start with [New]. Each page has a file: its handler collects what is known
// into one value and its template draws it. A panel that has nothing to show
// says why; see [State].
package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"

	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/rollouts"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/tracing"
)

// Options are what the pages are made from. Those that are nil are shown as not
// configured.
type Options struct {
	Index      *operations.Index // required
	Operations *operations.Store // required
	Rollouts   *rollouts.Store   // required
	Telemetry  *telemetry.Store  // required
	Traces     tracing.Source    // required
	Metrics    Ranger            // required

	Alerts  Alerts
	Control Control
	Values  Values
	Access  Access // nil = everybody reads, nobody acts
	Health  func(context.Context) Health
	// Audit records an action before it is done, or why it was not; an action
	// that cannot be recorded is not done.
	Audit func(ctx context.Context, a Action) error

	Version string
	Logger  *slog.Logger
	Now     func() time.Time
}

// Ranger answers PromQL over a range.
type Ranger interface {
	Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error)
}

// Access is who asks and what they may do.
type Access interface {
	// Session makes the value of a session cookie from a token; ok is false for
	// a token that may not read.
	Session(token string, now time.Time) (value string, ok bool)
	// User names who asks; "" = nobody in particular.
	User(ctx context.Context) string
	// MayWrite reports whether the request may act.
	MayWrite(ctx context.Context) bool
	// FormToken is what forms of this session carry to prove that they are its
	// own; "" without a session.
	FormToken(r *http.Request) string
	// Needed reports whether reading takes a token here.
	Needed() bool
}

// SessionCookie holds a browser's session.
const SessionCookie = "fairlead_session"

// SessionAge is how long a session lasts.
const SessionAge = 12 * time.Hour

type site struct {
	o       Options
	metrics *rangeCache
	streams chan struct{} // a token for each open stream

	failureEventsHeld heldEvents
}

// Handlers are the pages and what they need, to be served with different access.
type Handlers struct {
	Pages  http.Handler // needs read access
	Open   http.Handler // login, theme and assets: for everybody
	Denied http.Handler // in place of a page that needs a token
}

// maxStreams bounds the browsers that follow along at a time; each costs a
// goroutine and a socket.
const maxStreams = 256

// OpenPrefixes are the paths that Handlers.Open serves.
var OpenPrefixes = []string{"GET /static/", "GET /login", "POST /login", "POST /logout", "POST /theme"}

// New returns the handlers. It fails when a template cannot be parsed.
func New(o Options) (*Handlers, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := parseTemplates(); err != nil {
		return nil, err
	}
	s := &site{o: o, metrics: newRangeCache(o.Metrics), streams: make(chan struct{}, maxStreams)}
	pages := http.NewServeMux()
	for pattern, h := range map[string]pageFunc{
		"GET /{$}":                         s.overview,
		"GET /releases":                    s.releases,
		"GET /releases/{namespace}/{name}": s.release,
		"GET /deployments/{id...}":         s.deployment,
		"GET /traces/{id}":                 s.tracePage,
		"GET /canaries":                    s.canaries,
		"GET /canaries/{id...}":            s.canary,
		"GET /alerts":                      s.alerts,
		"GET /health":                      s.health,
		"GET /":                            s.unknown,
	} {
		pages.Handle(pattern, s.page(h))
	}
	pages.Handle("GET /live", http.HandlerFunc(s.live))
	pages.Handle("POST /actions/{action}", http.HandlerFunc(s.act))

	open := http.NewServeMux()
	open.Handle("GET /static/", assets())
	open.Handle("GET /login", s.page(s.loginPage))
	open.Handle("POST /login", http.HandlerFunc(s.login))
	open.Handle("POST /logout", http.HandlerFunc(s.logout))
	open.Handle("POST /theme", http.HandlerFunc(s.theme))

	same := http.NewCrossOriginProtection()
	wrap := func(h http.Handler) http.Handler { return secure(same.Handler(h)) }
	return &Handlers{Pages: wrap(pages), Open: wrap(open), Denied: wrap(http.HandlerFunc(s.denied))}, nil
}

// secure sets the headers that every answer has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
