//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/demo/load"
)

// front is where users come in: it adds the host that the gateway knows, and
// sees who answers.
type front struct {
	*httptest.Server
	answered sync.Map // version -> *atomic.Int64
	last     sync.Map // version -> time.Time of its newest answer
	failed   atomic.Int64
	mu       sync.Mutex
	failures []string // the first of them
}

// note keeps what failed, for the story.
func (f *front) note(version, what string) {
	f.failed.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.failures) < 20 {
		f.failures = append(f.failures, fmt.Sprintf("%s %q %s", time.Now().UTC().Format("15:04:05.000"), version, what))
	}
}

// forget starts the counting.
func (f *front) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed.Store(0)
	f.failures = nil
}

func (f *front) story() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return "failed requests, with the version that answered:\n" + strings.Join(f.failures, "\n") + "\n"
}

func (f *front) count(version string) int64 {
	n, ok := f.answered.Load(version)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

func (f *front) lastOf(version string) time.Time {
	at, _ := f.last.Load(version)
	t, _ := at.(time.Time)
	return t
}

// openFront waits until users reach stable.
func (s *canaryScene) openFront() {
	s.t.Helper()
	s.front = s.newFront()
	s.await("the gateway to know the route", 30*time.Second, func() bool {
		resp, err := http.Get(s.front.URL + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	s.front.forget()
}

func (s *canaryScene) newFront() *front {
	gateway, err := url.Parse(os.Getenv("FAIRLEAD_TEST_GATEWAY"))
	if err != nil {
		s.t.Fatal(err)
	}
	f := &front{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(gateway)
			r.Out.Host = s.host()
		},
		// The gateway gives up a connection that it has not heard of for a minute.
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
		ModifyResponse: func(r *http.Response) error {
			version := r.Header.Get("X-App-Version")
			n, _ := f.answered.LoadOrStore(version, &atomic.Int64{})
			n.(*atomic.Int64).Add(1)
			f.last.Store(version, time.Now())
			if r.StatusCode >= 500 {
				f.note(version, r.Status)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				f.note("", err.Error())
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	f.Server = httptest.NewServer(proxy)
	s.t.Cleanup(f.Close)
	return f
}

// users send requests until the test ends or stop is called, which returns how
// many were sent and how many failed.
func (s *canaryScene) users(rate float64) (stop func() load.Stats) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var stats load.Stats
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if stats, err = load.Run(ctx, load.Options{Target: s.front.URL, Paths: shopPaths, Rate: rate}); err != nil {
			s.t.Error(err)
		}
	}()
	stop = func() load.Stats {
		cancel()
		<-done
		return stats
	}
	s.t.Cleanup(func() { stop() })
	return stop
}
