// Package jaegertest starts a real Jaeger beside what is tested or measured.
// [Start] gives a test one that it builds when it is not there yet; [Launch]
// starts a given binary.
package jaegertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Start starts a Jaeger that keeps traces in memory and ends with the test, and
// returns the URLs of its query service and of its OTLP receiver over HTTP. The
// binary is built once, from the module that test/jaeger pins, and kept in the
// user's cache.
func Start(t testing.TB) (query, otlp string) {
	t.Helper()
	var log strings.Builder
	j, err := Launch(t.Context(), build(t), Options{Dir: t.TempDir(), Log: &log})
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	t.Cleanup(func() {
		_ = j.Cmd.Process.Kill()
		_ = j.Cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return j.Query, j.OTLPHTTP
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
