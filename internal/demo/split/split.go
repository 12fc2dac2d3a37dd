// Package split is a reverse proxy that divides requests between the stable
// version and the canary by weight, as a gateway does: for demonstrations and
// tests on one machine.
package split

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// Proxy forwards each request to one of two backends. Its weight may change at
// any time.
type Proxy struct {
	stable, canary http.Handler
	weight         atomic.Int64
}

// New returns a proxy that sends everything to stable.
func New(stable, canary *url.URL) *Proxy { return Between(Forward(stable), Forward(canary)) }

// Between is New for backends that are handlers: several servers of a version,
// for one.
func Between(stable, canary http.Handler) *Proxy { return &Proxy{stable: stable, canary: canary} }

// Forward returns a handler that passes requests on to a server.
func Forward(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
}

// SetWeight gives the canary so many percent of the requests.
func (p *Proxy) SetWeight(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("weight %d: want 0 to 100", percent)
	}
	p.weight.Store(int64(percent))
	return nil
}

// Weight is the canary's share in percent.
func (p *Proxy) Weight() int { return int(p.weight.Load()) }

// ServeHTTP forwards one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rand.Int64N(100) < p.weight.Load() {
		p.canary.ServeHTTP(w, r)
		return
	}
	p.stable.ServeHTTP(w, r)
}
