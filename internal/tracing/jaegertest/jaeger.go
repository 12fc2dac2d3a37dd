// Package jaegertest gives tests a real Jaeger: built once from the module that
// test/jaeger pins, kept in the user's cache, started per test on free ports of
// 127.0.0.1 with its traces in memory.
package jaegertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Start starts a Jaeger that ends with the test, and returns the URLs of its
// query service and of its OTLP receiver over HTTP.
func Start(t testing.TB) (query, otlp string) {
	t.Helper()
	binary := build(t)
	queryAddress, otlpAddress := free(t), free(t)
	config := filepath.Join(t.TempDir(), "jaeger.yaml")
	err := os.WriteFile(config, fmt.Appendf(nil, `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_storage:
    backends: {memory: {memory: {max_traces: 100000}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: %q}
    grpc: {endpoint: %q}
receivers:
  otlp: {protocols: {http: {endpoint: %q}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
`, queryAddress, free(t), otlpAddress), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), binary, "--config", config) // ended by the cleanup
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	answers(t, "http://"+queryAddress+"/api/v3/services")
	return "http://" + queryAddress, "http://" + otlpAddress
}

func build(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "fairlead", "tools", "jaeger-v1.76.0", "jaeger")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/jaegertracing/jaeger/cmd/jaeger")
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "test", "jaeger")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build Jaeger: %v\n%s", err, out)
	}
	return binary
}

func free(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", url)
}
