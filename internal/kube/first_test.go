package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRequestsAtOnceShareAConnection sends ten requests at once to a server
// that has HTTP/2, as an API server does.
func TestRequestsAtOnceShareAConnection(t *testing.T) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"with":    newFirstRequest().wrap,
		"without": func(rt http.RoundTripper) http.RoundTripper { return rt },
	} {
		var connections atomic.Int64
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		srv.EnableHTTP2 = true
		srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				connections.Add(1)
			}
		}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		client := &http.Client{Transport: wrap(srv.Client().Transport)}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				resp, err := client.Get(srv.URL)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				resp.Body.Close()
			})
		}
		wg.Wait()
		if n := connections.Load(); name == "with" && n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	}
}

func TestRequestsGoOnWhenTheFirstFails(t *testing.T) {
	fails := true
	rt := newFirstRequest().wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		if fails {
			fails = false
			return nil, net.ErrClosed
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	for i, want := range []bool{false, true, true} {
		resp, err := rt.RoundTrip(httptest.NewRequest(http.MethodGet, "https://server.test", nil))
		if (err == nil) != want {
			t.Errorf("request %d: %v", i, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
}
