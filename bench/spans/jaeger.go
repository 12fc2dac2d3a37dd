package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// jaegerWait is how long a Jaeger may take to answer first.
const jaegerWait = 30 * time.Second

// startJaeger starts a Jaeger that keeps traces on disk, in Badger, and writes
// each request when it comes, as the store here does.
func startJaeger(binary string) func(context.Context, options) (*target, error) {
	return func(ctx context.Context, o options) (*target, error) {
		t := &target{name: "Jaeger", dir: filepath.Join(o.dir, "jaeger")}
		ports := make([]string, 3)
		for i := range ports {
			ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			ports[i] = ln.Addr().String()
			_ = ln.Close() // given to Jaeger in a moment
		}
		config := filepath.Join(o.dir, "jaeger.yaml")
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
    backends:
      disk: {badger: {directories: {keys: %[1]q, values: %[1]q}, ephemeral: false, ttl: {spans: 168h}}}
  jaeger_query:
    storage: {traces: disk}
    http: {endpoint: %[2]q}
    grpc: {endpoint: %[3]q}
receivers:
  otlp: {protocols: {grpc: {endpoint: %[4]q}}}
exporters:
  jaeger_storage_exporter: {trace_storage: disk}
`, t.dir, ports[0], ports[1], ports[2]), 0o600)
		if err != nil {
			return nil, err
		}
		t.cmd = exec.CommandContext(ctx, binary, "--config", config)
		t.cmd.Stderr = os.Stderr
		if err := t.cmd.Start(); err != nil {
			return nil, err
		}
		t.grpc = ports[2]
		api := "http://" + ports[0] + "/api/"
		for end := time.Now().Add(jaegerWait); ; time.Sleep(100 * time.Millisecond) {
			if _, err = fetch(ctx, api+"services", ""); err == nil {
				break
			}
			if time.Now().After(end) {
				return nil, fmt.Errorf("wait for Jaeger: %w", err)
			}
		}
		count := func(ctx context.Context, path string) (traces, spans int, err error) {
			body, err := fetch(ctx, api+path, "")
			if err != nil {
				return 0, 0, err
			}
			var found struct {
				Data []struct{ Spans []json.RawMessage }
			}
			if err := json.Unmarshal(body, &found); err != nil {
				return 0, 0, err
			}
			for _, one := range found.Data {
				spans += len(one.Spans)
			}
			return len(found.Data), spans, nil
		}
		t.search = func(ctx context.Context, service string) (int, error) {
			traces, _, err := count(ctx, "traces?"+url.Values{
				"service": {service}, "limit": {"20"}, "lookback": {"custom"},
				"tags":  {`{"error":"true","service.version":"1.1.0","deployment.track":"canary"}`},
				"start": {fmt.Sprint(time.Now().Add(-24 * time.Hour).UnixMicro())}, "end": {fmt.Sprint(time.Now().UnixMicro())},
			}.Encode())
			return traces, err
		}
		t.trace = func(ctx context.Context, id pcommon.TraceID) (int, error) {
			_, spans, err := count(ctx, "traces/"+hex.EncodeToString(id[:]))
			return spans, err
		}
		return t, nil
	}
}
