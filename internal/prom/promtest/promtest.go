// Package promtest gives tests a real Prometheus: built once from the module
// that this repository pins, kept in the user's cache, started per test on a
// free port of 127.0.0.1.
package promtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// module is built; its version is the one of go.mod.
const module = "github.com/prometheus/prometheus"

// Options are how a server is started.
type Options struct {
	// Dir is the TSDB directory; a temporary one by default.
	Dir string
	// Config is the configuration file; empty by default.
	Config string
	// Args are added to the command line.
	Args []string
}

// OTLPConfig promotes the resource attributes that tell tracks apart.
const OTLPConfig = `
otlp:
  promote_resource_attributes:
  - service.name
  - service.version
  - service.instance.id
  - deployment.track
  - deployment.environment
  - deployment.environment.name
  - k8s.namespace.name
  - k8s.pod.name
  - k8s.cluster.name
`

// Start starts a server and returns its URL. It ends with the test.
func Start(t testing.TB, o Options) string {
	t.Helper()
	binary := Binary(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte(o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := FreeAddress(t)
	args := append([]string{
		"--config.file=" + config, "--storage.tsdb.path=" + o.Dir, "--web.listen-address=" + address,
		"--log.level=warn", "--storage.tsdb.retention.time=10y",
	}, o.Args...)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ended := false
	t.Cleanup(func() {
		cancel()
		if !ended {
			<-done
		}
	})
	url := "http://" + address
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		select {
		case err := <-done:
			ended = true
			t.Fatalf("prometheus ended: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
		resp, err := http.Get(url + "/-/ready")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return url
		}
	}
	t.Fatal("prometheus did not become ready within a minute")
	return ""
}

// FreeAddress returns an address of this machine on which nobody listens, for a
// program that cannot choose one itself and say which.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Binary returns the server's path and builds it when the cache does not have
// it, which takes minutes.
func Binary(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	version := output(t, "", "go", "list", "-m", "-f", "{{.Version}}", module)
	path := filepath.Join(cache, "fairlead", "tools", "prometheus-"+version)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// The server needs modules that this one does not: it is built with a copy
	// of go.mod, which may grow.
	root := filepath.Dir(output(t, "", "go", "env", "GOMOD"))
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built := fmt.Sprintf("%s.%d", path, os.Getpid())
	output(t, root, "go", "build", "-modfile", filepath.Join(dir, "go.mod"), "-mod=mod", "-o", built, module+"/cmd/prometheus")
	if err := os.Rename(built, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
