//go:build slow || integration

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/demo/load"
	"fairlead.dev/fairlead/internal/demo/split"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom/promtest"
)

// shopPaths are requested with falling weights; the second is the one that breaks.
var shopPaths = []string{
	"/", "/search", "/products", "/products/1", "/categories", "/categories/a", "/cart", "/cart/items", "/checkout/session", "/checkout/order",
	"/account", "/account/orders", "/account/addresses", "/login", "/logout", "/reviews/1", "/recommendations", "/shipping/quote", "/coupons/x", "/stores",
}

// backend is where a scene's telemetry goes and is asked for.
type backend struct {
	query     []string // flags of fairlead's commands
	telemetry []string // variables of the application
}

// prometheusBackend is a real Prometheus, which takes metrics alone.
func prometheusBackend(t *testing.T) backend {
	u := promtest.Start(t, promtest.Options{Config: promtest.OTLPConfig, Args: []string{"--web.enable-otlp-receiver"}})
	return backend{[]string{"--prometheus", u}, []string{
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=" + u + "/api/v1/otlp/v1/metrics", "OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}}
}

// serverBackend is a fairlead server, which takes traces too.
// With forward, traces go on to that OTLP receiver as well.
func serverBackend(t *testing.T, forward string) backend {
	query, otlp := promtest.FreeAddress(t), promtest.FreeAddress(t)
	args := []string{"server", "--data", t.TempDir(), "--http", query, "--otlp-http", otlp, "--otlp-grpc", "off", "--log-level", "warn"}
	if forward != "" {
		file := filepath.Join(t.TempDir(), "server.yaml")
		config := fmt.Sprintf("forward:\n- {name: jaeger, endpoint: %q, protocol: http, signals: [traces], batch: {timeout: 1s}}\n", forward)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	start(t, build(t, "../../cmd/fairlead"), nil, args...)
	wait(t, "http://"+query+"/readyz")
	return backend{[]string{"--server", "http://" + query}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp}}
}

// scene is the example application behind a weighted proxy: a stable version,
// and the canaries that a test adds.
type scene struct {
	t       *testing.T
	backend backend
	binary  string
	stable  string
	rate    float64
	url     string // of the entry
	front   atomic.Pointer[split.Proxy]
	bad     atomic.Pointer[time.Time] // when the newest canary first failed a request of shopPaths[1]
}

func newScene(t *testing.T, b backend, rate float64) *scene {
	s := &scene{t: t, backend: b, binary: build(t, "../../examples/shop"), rate: rate}
	s.stable = s.serve("1.0.0", "stable", "shop-1")
	s.front.Store(split.New(target(s.stable), target(s.stable)))
	entry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.front.Load().ServeHTTP(w, r) }))
	t.Cleanup(entry.Close)
	s.url = entry.URL
	return s
}

// serve starts the application and returns its address. Metrics are exported
// every two seconds, so that gates may be short.
func (s *scene) serve(version, track, pod string, args ...string) string {
	s.t.Helper()
	address := promtest.FreeAddress(s.t)
	env := append(slices.Clone(s.backend.telemetry), "OTEL_METRIC_EXPORT_INTERVAL=2000", "OTEL_BSP_SCHEDULE_DELAY=1000", "OTEL_SERVICE_NAME=shop",
		"APP_VERSION="+version, "DEPLOYMENT_TRACK="+track, "POD_NAME="+pod)
	start(s.t, s.binary, env, append([]string{"-listen", address}, args...)...)
	wait(s.t, "http://"+address+"/healthz")
	return address
}

// canary is a proxy before stable and one more version.
func (s *scene) canary(version, pod string, args ...string) *split.Proxy {
	s.bad.Store(nil)
	canary := split.Forward(target(s.serve(version, "canary", pod, args...)))
	return split.Between(split.Forward(target(s.stable)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := &statusWriter{ResponseWriter: w}
		canary.ServeHTTP(status, r)
		if status.code >= http.StatusInternalServerError && r.URL.Path == shopPaths[1] {
			now := time.Now()
			s.bad.CompareAndSwap(nil, &now)
		}
	}))
}

// sinceBad is the time since the newest canary's first bad request.
func (s *scene) sinceBad() time.Duration {
	at := s.bad.Load()
	if at == nil {
		s.t.Errorf("the canary failed no request of %s", shopPaths[1])
		return 0
	}
	return time.Since(*at)
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// send sends n requests at the scene's rate, or until ctx ends.
func (s *scene) send(ctx context.Context, n int) {
	if _, err := load.Run(ctx, load.Options{Target: s.url, Paths: shopPaths, Rate: s.rate, Requests: n}); err != nil {
		s.t.Error(err)
	}
}

// analyze gives the canary its weight and watches it until it is decided.
func (s *scene) analyze(file string, p *split.Proxy, version string, weight int, gate string) (judge.Report, int) {
	s.t.Helper()
	s.front.Store(p)
	if err := p.SetWeight(weight); err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.send(ctx, 0) }()
	defer func() { stop(); <-done; _ = p.SetWeight(0) }()
	var out, errs bytes.Buffer
	args := append([]string{"fairlead", "canary", "analyze", "-f", file, "--watch", "--timeout", "6m", "--delay", "2s", "-o", "json",
		"--canary-version", version, "--weight", fmt.Sprint(weight), "--gate", gate}, s.backend.query...)
	began := time.Now()
	code := Main(context.Background(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	var v judge.Report
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		s.t.Fatalf("exit %d, no verdict: %v\n%s%s", code, err, out.String(), errs.String())
	}
	s.t.Logf("%s (%s) after %s: %s\n%s", v.Decision, v.Reason, time.Since(began).Round(time.Second), v.Message, errs.String())
	return v, code
}

func target(address string) *url.URL { return &url.URL{Scheme: "http", Host: address} }

// build builds the program of a directory, in the module that it belongs to.
func build(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(dir))
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, out)
	}
	return path
}

// start runs a program until the test ends.
func start(t *testing.T, path string, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // that it was interrupted is no news
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(path), log.String())
		}
	})
}

func wait(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(address)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("%s did not answer within a minute", address)
}
