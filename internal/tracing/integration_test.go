//go:build integration

package tracing_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/tracing"
)

// TestIntegrationJaeger runs the contract against the Jaeger of test/jaeger,
// built once into the user's cache.
func TestIntegrationJaeger(t *testing.T) {
	binary := buildJaeger(t)
	query, otlp := free(t), free(t)
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
`, query, free(t), otlp), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config", config)
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
	answers(t, "http://"+query+"/api/v3/services")
	source, err := tracing.NewJaeger("http://"+query, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	contract(t, sender(t, "http://"+otlp), source)
}

// TestIntegrationGivenBackends runs the contract against the backends that the
// environment names, each with the OTLP/HTTP endpoint that feeds it.
func TestIntegrationGivenBackends(t *testing.T) {
	for _, b := range []struct {
		name string
		open func(url string) (tracing.Source, error)
	}{
		{"TEMPO", func(url string) (tracing.Source, error) { return tracing.NewTempo(url, tracing.Options{}) }},
		{"JAEGER", func(url string) (tracing.Source, error) { return tracing.NewJaeger(url, tracing.Options{}) }},
	} {
		t.Run(b.name, func(t *testing.T) {
			url, otlp := os.Getenv(b.name+"_URL"), os.Getenv(b.name+"_OTLP_URL")
			if url == "" || otlp == "" {
				t.Skipf("unverified: set %s_URL and %s_OTLP_URL to run the contract against yours", b.name, b.name)
			}
			source, err := b.open(url)
			if err != nil {
				t.Fatal(err)
			}
			contract(t, sender(t, otlp), source)
		})
	}
}

func buildJaeger(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "fairlead", "tools", "jaeger-v1.76.0", "jaeger")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	cmd := exec.Command("go", "build", "-o", binary, "github.com/jaegertracing/jaeger/cmd/jaeger")
	cmd.Dir = filepath.Join("..", "..", "test", "jaeger")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build Jaeger: %v\n%s", err, out)
	}
	return binary
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if resp, err := http.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", url)
}
