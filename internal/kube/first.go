package kube

import (
	"net/http"
	"sync"
)

// firstRequest lets the first request to a server go alone, and the others once
// it was answered or failed. A watch opens ten streams at once, and each that
// finds no connection makes one of its own, of which all but one are thrown
// away: eight TLS handshakes, for both sides, where one will do.
type firstRequest struct {
	once sync.Once
	done chan struct{}
}

func newFirstRequest() *firstRequest { return &firstRequest{done: make(chan struct{})} }

func (f *firstRequest) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		isFirst := false
		f.once.Do(func() { isFirst = true })
		if isFirst {
			defer close(f.done)
			return next.RoundTrip(r)
		}
		select {
		case <-f.done:
			return next.RoundTrip(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
}
