package agent

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/otlp"
)

// TestNotReadyBeforeTheAPIHasAnswered runs an agent whose API answers nothing but
// that there is no checkpoint, until it lists pods.
func TestNotReadyBeforeTheAPIHasAnswered(t *testing.T) {
	var up atomic.Bool
	var refused atomic.Int32
	ctx := t.Context()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		query := r.URL.Query()
		switch {
		case strings.Contains(r.URL.Path, "/configmaps"):
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		case up.Load() && r.URL.Path == "/api/v1/pods" && query.Get("sendInitialEvents") == "true":
			w.WriteHeader(http.StatusUnprocessableEntity) // as an API server that cannot stream lists
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case up.Load() && r.URL.Path == "/api/v1/pods" && query.Get("watch") == "":
			io.WriteString(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}`)
		case up.Load() && r.URL.Path == "/api/v1/pods":
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-ctx.Done():
			}
		default:
			if r.URL.Path == "/api/v1/pods" {
				refused.Add(1)
			}
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(api.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health := l.Addr().String()
	l.Close()
	runAgainst(ctx, t, api.URL, newEndpoint(t).URL, Config{Metrics: Off, Events: Off, Health: health})
	ready := func() int {
		resp, err := http.Get("http://" + health + "/readyz")
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	until := time.Now().Add(settle + 10*tick) // it has caught up with what it can see
	for time.Now().Before(until) || refused.Load() == 0 {
		if code := ready(); code == http.StatusOK {
			t.Fatal("ready, though the API has not answered a list")
		}
		time.Sleep(tick)
	}
	up.Store(true)
	for end := time.Now().Add(time.Minute); ready() != http.StatusOK; time.Sleep(tick) {
		if time.Now().After(end) {
			t.Fatal("not ready a minute after the API answered a list")
		}
	}
}

// runAgainst runs an agent until the test ends.
func runAgainst(ctx context.Context, t *testing.T, api, endpoint string, c Config) {
	t.Helper()
	upstreams, err := otlp.UpstreamsFromEnv(func(name string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"a","cluster":{"server":"`+api+
		`"}}],"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"users":[{"name":"a","user":{}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.NewClient(kube.ClientOptions{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	c.Data = t.TempDir()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Config: c, Client: client, Upstreams: upstreams, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Version: "test"})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
