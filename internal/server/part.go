package server

import (
	"context"
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Part is what one subject (a store, the record of operations, the pages) adds
// to the server. Every field but Name may be left out.
//
// Traces, Metrics and Logs are called for each OTLP request, part after part
// in the order in which the parts were added, and the request is acknowledged
// when all have returned nil. So each returns only when the data is kept: an
// acknowledged request survives kill -9. They must not change or keep the
// data. An error is answered as "send it again", so parts must take the same
// request twice; an error with a method Rejected() (n int64, why string) means
// that all but n items are kept, and that nothing is to be sent again.
type Part struct {
	Name string

	// FilterMetrics may remove metrics from a request before any part or
	// upstream sees it.
	FilterMetrics func(context.Context, pmetric.Metrics) error

	// JoinLogs may describe records and add attributes to them before any part
	// or upstream sees them. Events that are known already are removed after it.
	JoinLogs func(context.Context, plog.Logs) error

	Traces  func(context.Context, ptrace.Traces) error
	Metrics func(context.Context, pmetric.Metrics) error
	Logs    func(context.Context, plog.Logs) error

	// Routes are served on the HTTP address.
	Routes []Route

	// Run does background work until ctx ends. It starts after the receivers
	// listen.
	Run func(ctx context.Context)

	// Ready returns nil when the part can do its work, or what is wrong.
	Ready func() error

	// Backup writes a copy of the part's data below dir, under the name that the
	// part's data has below the data directory.
	Backup func(ctx context.Context, dir string) error

	// Close releases what the part holds. Parts are closed in the reverse
	// order of their addition, after everything that uses them has stopped.
	Close func() error
}

// Access is what a request must be allowed to do.
type Access string

// What a route asks of the request. With no tokens configured, everything but
// AccessWrite is open to whoever reaches the address.
const (
	AccessNone  Access = "none" // health checks
	AccessRead  Access = "read"
	AccessWrite Access = "write" // actions; needs a token even on loopback
)

// Route serves the paths that match Pattern (as [http.ServeMux] has it; a
// method and a trailing slash are allowed).
type Route struct {
	Pattern string
	Handler http.Handler
	// Strip is a prefix that is cut off the path before Handler sees it.
	Strip string
	// Access is what requests need; AccessRead when empty. A handler that
	// serves reads and actions alike asks [Allowed] for the actions.
	Access Access
	// Denied answers requests without access, in place of a line of text.
	Denied http.Handler
	// Cookies lets sessions act (POST) here: Handler tells forged requests apart.
	Cookies bool
	// Untraced leaves the route's requests out of the server's own traces:
	// pages that follow along ask again and again.
	Untraced bool
}
