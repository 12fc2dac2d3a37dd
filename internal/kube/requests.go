package kube

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// Requests counts requests to the API server.
type Requests struct {
	Get, List, Watch, Write, Log int64
}

// Total returns the number of all requests.
func (r Requests) Total() int64 { return r.Get + r.List + r.Watch + r.Write + r.Log }

// Requests returns how many requests the client has made, by verb.
func (c *Client) Requests() Requests {
	return Requests{
		Get:   c.requests.get.Load(),
		List:  c.requests.list.Load(),
		Watch: c.requests.watch.Load(),
		Write: c.requests.write.Load(),
		Log:   c.requests.log.Load(),
	}
}

type counter struct{ get, list, watch, write, log atomic.Int64 }

func (c *counter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		c.of(r).Add(1)
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *counter) of(r *http.Request) *atomic.Int64 {
	switch watch := r.URL.Query().Get("watch"); {
	case r.Method != http.MethodGet:
		return &c.write
	case watch == "true" || watch == "1":
		return &c.watch
	}
	// /api/v1/[namespaces/NS/]RESOURCE[/NAME[/SUB]] or /apis/GROUP/VERSION/...
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for i, p := range parts {
		if p == "api" && i+2 <= len(parts) {
			parts = parts[i+2:]
			break
		}
		if p == "apis" && i+3 <= len(parts) {
			parts = parts[i+3:]
			break
		}
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	switch {
	case len(parts) == 3 && parts[2] == "log":
		return &c.log
	case len(parts) == 1:
		return &c.list
	}
	return &c.get
}
