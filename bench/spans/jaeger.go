package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"fairlead.dev/fairlead/internal/tracing/jaegertest"
)

// startJaeger starts a Jaeger that keeps traces on disk, in Badger, and writes
// each request when it comes, as the store here does.
func startJaeger(binary string) func(context.Context, options) (*target, error) {
	return func(ctx context.Context, o options) (*target, error) {
		dir := filepath.Join(o.dir, "jaeger")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
		j, err := jaegertest.Launch(ctx, binary, jaegertest.Options{Dir: dir, OnDisk: true, Log: os.Stderr})
		if err != nil {
			return nil, err
		}
		t := &target{name: "Jaeger", dir: dir, cmd: j.Cmd, grpc: j.OTLPGRPC}
		api := j.Query + "/api/"
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
		t.ask[searchHTTP] = func(ctx context.Context, service string, _ pcommon.TraceID) (int, time.Duration, error) {
			traces, _, err := count(ctx, "traces?"+url.Values{
				"service": {service}, "limit": {"20"}, "lookback": {"custom"},
				"tags":  {`{"error":"true","service.version":"1.1.0","deployment.track":"canary"}`},
				"start": {fmt.Sprint(time.Now().Add(-24 * time.Hour).UnixMicro())}, "end": {fmt.Sprint(time.Now().UnixMicro())},
			}.Encode())
			return traces, 0, err
		}
		t.ask[traceHTTP] = func(ctx context.Context, _ string, id pcommon.TraceID) (int, time.Duration, error) {
			_, spans, err := count(ctx, "traces/"+hex.EncodeToString(id[:]))
			return spans, 0, err
		}
		return t, nil
	}
}
