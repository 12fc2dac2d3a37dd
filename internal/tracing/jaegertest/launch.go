package jaegertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Jaeger is one that runs. Whoever launched it ends Cmd and waits for it.
type Jaeger struct {
	Query    string // base URL
	OTLPHTTP string // base URL
	OTLPGRPC string // host:port
	Cmd      *exec.Cmd
}

// Options configure [Launch].
type Options struct {
	Dir string // for its configuration, and with OnDisk its traces
	// OnDisk keeps traces in Badger in Dir/traces, written when each request
	// comes; otherwise they are in memory.
	OnDisk bool
	Log    io.Writer // may be nil
}

const (
	inMemory = "memory: {max_traces: 100000}"
	// startWait is how long a Jaeger may take to answer first.
	startWait = 30 * time.Second
)

// Launch starts the Jaeger v2 binary on free ports of 127.0.0.1 and waits until
// it answers. The process ends with ctx at the latest.
func Launch(ctx context.Context, binary string, o Options) (*Jaeger, error) {
	backend := inMemory
	if o.OnDisk {
		backend = fmt.Sprintf("badger: {directories: {keys: %[1]q, values: %[1]q}, ephemeral: false, ttl: {spans: 168h}}", filepath.Join(o.Dir, "traces"))
	}
	ports, err := freePorts(ctx, 4)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(o.Dir, "jaeger.yaml")
	err = os.WriteFile(config, fmt.Appendf(nil, `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_storage:
    backends: {traces: {%s}}
  jaeger_query:
    storage: {traces: traces}
    http: {endpoint: %q}
    grpc: {endpoint: %q}
receivers:
  otlp: {protocols: {http: {endpoint: %q}, grpc: {endpoint: %q}}}
exporters:
  jaeger_storage_exporter: {trace_storage: traces}
`, backend, ports[0], ports[1], ports[2], ports[3]), 0o600)
	if err != nil {
		return nil, err
	}
	j := &Jaeger{Query: "http://" + ports[0], OTLPHTTP: "http://" + ports[2], OTLPGRPC: ports[3], Cmd: exec.CommandContext(ctx, binary, "--config", config)}
	j.Cmd.Stdout, j.Cmd.Stderr = o.Log, o.Log
	if err := j.Cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Jaeger: %w", err)
	}
	if err := answers(ctx, j.Query+"/api/v3/services"); err != nil {
		_ = j.Cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("wait for Jaeger: %w", err), j.Cmd.Wait())
	}
	return j, nil
}

// freePorts returns addresses of which no two are the same.
func freePorts(ctx context.Context, n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		ports[i] = ln.Addr().String()
	}
	return ports, nil
}

func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			return errors.Join(err, resp.Body.Close())
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
