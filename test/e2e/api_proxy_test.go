//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// apiProxy stands between one client and the cluster's API server, and does to
// that client what an API server in trouble does.
type apiProxy struct {
	*httptest.Server
	kubeconfig string

	busy atomic.Bool // every second request is refused: 429
	away atomic.Bool // every request is
	// ahead makes the API server's clock five minutes faster.
	ahead atomic.Bool

	refused, expired atomic.Int64 // answers 429 and 410
	whole            atomic.Int64 // lists and watches of Secrets with their contents
	gone             atomic.Int64 // watches that the API server itself refused: what they ask for is no longer kept

	mu      sync.Mutex
	next    int
	watches map[*http.Request]context.CancelFunc
	old     map[string]bool // paths whose next watch begins at a version that is gone
}

func newAPIProxy(s *scene) *apiProxy {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		s.t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		s.t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &apiProxy{watches: make(map[*http.Request]context.CancelFunc), old: make(map[string]bool)}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport, FlushInterval: -1, ModifyResponse: p.modify,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(forward, w, r) }))
	s.t.Cleanup(func() {
		p.cut()
		p.Close()
	})
	p.kubeconfig = s.file("proxy.kubeconfig", fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"p",
"clusters":[{"name":"p","cluster":{"server":%q}}],"contexts":[{"name":"p","context":{"cluster":"p","user":"p"}}],"users":[{"name":"p","user":{}}]}`, p.URL))
	return p
}

func (p *apiProxy) serve(forward http.Handler, w http.ResponseWriter, r *http.Request) {
	watch := isWatch(r)
	if strings.HasSuffix(r.URL.Path, "/secrets") && r.Method == http.MethodGet && !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
		p.whole.Add(1)
	}
	p.mu.Lock()
	p.next++
	refuse := p.away.Load() || p.busy.Load() && p.next%2 == 0
	old := watch && r.URL.Query().Get("sendInitialEvents") == "" && p.old[r.URL.Path]
	if old && !refuse {
		delete(p.old, r.URL.Path)
	}
	p.mu.Unlock()
	switch {
	case refuse:
		p.refused.Add(1)
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests",
			"message": "Too many requests, please try again later.", "code": http.StatusTooManyRequests})
		return
	case old:
		// As the API server's watch cache says it: in the stream.
		p.expired.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "ERROR", "object": map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure",
			"reason": "Expired", "message": "too old resource version: 1 (4711)", "code": http.StatusGone}})
		return
	case watch:
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		r = r.WithContext(ctx)
		p.mu.Lock()
		p.watches[r] = cancel
		p.mu.Unlock()
		defer func() {
			p.mu.Lock()
			delete(p.watches, r)
			p.mu.Unlock()
		}()
	}
	forward.ServeHTTP(w, r)
}

// modify looks at the answers of watches, and changes the time of all.
func (p *apiProxy) modify(resp *http.Response) error {
	if p.ahead.Load() {
		resp.Header.Set("Date", time.Now().Add(5*time.Minute).UTC().Format(http.TimeFormat))
	}
	if isWatch(resp.Request) {
		resp.Body = &goneReader{resp.Body, &p.gone}
	}
	return nil
}

func isWatch(r *http.Request) bool {
	watch := r.URL.Query().Get("watch")
	return watch == "true" || watch == "1"
}

// goneReader counts the API server's words for a version that it no longer has.
type goneReader struct {
	io.ReadCloser
	gone *atomic.Int64
}

func (r *goneReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if bytes.Contains(b[:n], []byte("too old resource version")) || bytes.Contains(b[:n], []byte("has been compacted")) {
		r.gone.Add(1)
	}
	return n, err
}

// cut ends all watches.
func (p *apiProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.watches {
		cancel()
	}
}

// blind has no time for the client while f runs. The watches that go on after it
// find that what they have missed is no longer kept.
func (p *apiProxy) blind(t *testing.T, f func()) {
	t.Helper()
	p.mu.Lock()
	for r := range p.watches {
		p.old[r.URL.Path] = true
	}
	n := len(p.old)
	p.mu.Unlock()
	if n == 0 {
		t.Fatal("nothing is watched")
	}
	p.away.Store(true)
	p.cut()
	f()
	p.away.Store(false)
}
