//go:build slow

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
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

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/demo/load"
	"fairlead.dev/fairlead/internal/demo/split"
	"fairlead.dev/fairlead/internal/prom/promtest"
)

// shopPaths are requested with falling weights; the second is the one that breaks.
var shopPaths = []string{
	"/", "/search", "/products", "/products/1", "/categories", "/categories/a", "/cart", "/cart/items", "/checkout/session", "/checkout/order",
	"/account", "/account/orders", "/account/addresses", "/login", "/logout", "/reviews/1", "/recommendations", "/shipping/quote", "/coupons/x", "/stores",
}

// TestSlowShop: the example application twice behind a weighted proxy,
// real traffic, and a real backend. A canary that fails a fifth of one route of
// twenty is rolled back for that route; one that does not is promoted at its gate.
func TestSlowShop(t *testing.T) {
	shop := build(t, "../../examples/shop")
	fairlead := build(t, "../../cmd/fairlead")
	backends := map[string]func(t *testing.T) (query []string, telemetry []string){
		"prometheus": func(t *testing.T) ([]string, []string) {
			u := promtest.Start(t, promtest.Options{Config: promtest.OTLPConfig, Args: []string{"--web.enable-otlp-receiver"}})
			return []string{"--prometheus", u}, []string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=" + u + "/api/v1/otlp/v1/metrics", "OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}
		},
		"fairlead server": func(t *testing.T) ([]string, []string) {
			query, otlp := freeAddress(t), freeAddress(t)
			start(t, fairlead, nil, "server", "--data", t.TempDir(), "--http", query, "--otlp-http", otlp, "--otlp-grpc", "off", "--log-level", "warn")
			wait(t, "http://"+query+"/readyz")
			return []string{"--server", "http://" + query}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp}
		},
	}
	// Metrics are exported every two seconds, so that gates may be short.
	file := filepath.Join(t.TempDir(), "canary.yaml")
	config := "service: shop\nversions: {canary: 2.0.0, stable: 1.0.0}\nanalysis:\n  scrapeInterval: 2s\n  window: 1m\n  history: 2m\n" +
		"  business:\n  - {name: conversion, good: checkout_orders_total, of: checkout_sessions_total, maxDrop: 0.9}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			query, telemetry := backend(t)
			telemetry = append(telemetry, "OTEL_METRIC_EXPORT_INTERVAL=2000", "OTEL_SERVICE_NAME=shop", "OTEL_TRACES_SAMPLER=always_off")
			serve := func(version, track, pod string, args ...string) string {
				address := freeAddress(t)
				env := append(slices.Clone(telemetry), "APP_VERSION="+version, "DEPLOYMENT_TRACK="+track, "POD_NAME="+pod)
				start(t, shop, env, append([]string{"-listen", address}, args...)...)
				wait(t, "http://"+address+"/healthz")
				return address
			}
			stable := target(serve("1.0.0", "stable", "shop-1"))
			proxy := split.New(stable, target(serve("2.0.0", "canary", "shop-canary-1", "-fault-route", "/search", "-fault-error-rate", "0.2")))
			healthy := split.New(stable, target(serve("2.0.0-fixed", "canary", "shop-canary-2")))
			var front atomic.Pointer[split.Proxy]
			front.Store(proxy)
			entry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { front.Load().ServeHTTP(w, r) }))
			defer entry.Close()
			send := func(ctx context.Context, n int) {
				if _, err := load.Run(ctx, load.Options{Target: entry.URL, Paths: shopPaths, Rate: 100, Requests: n}); err != nil {
					t.Error(err)
				}
			}
			send(context.Background(), 6000) // a minute of history

			analyze := func(weight int, p *split.Proxy, version, gate string) (analysis.Verdict, int) {
				front.Store(p)
				if err := p.SetWeight(weight); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { defer close(done); send(ctx, 0) }()
				defer func() { stop(); <-done; _ = p.SetWeight(0) }()
				var out, errs bytes.Buffer
				args := append([]string{"fairlead", "canary", "analyze", "-f", file, "--watch", "--timeout", "6m", "--delay", "2s", "-o", "json",
					"--canary-version", version, "--weight", fmt.Sprint(weight), "--gate", gate}, query...)
				began := time.Now()
				code := Main(context.Background(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
				var v analysis.Verdict
				if err := json.Unmarshal(out.Bytes(), &v); err != nil {
					t.Fatalf("exit %d, no verdict: %v\n%s%s", code, err, out.String(), errs.String())
				}
				t.Logf("%s (%s) after %s: %s\n%s", v.Decision, v.Reason, time.Since(began).Round(time.Second), v.Message, errs.String())
				return v, code
			}
			v, code := analyze(5, proxy, "2.0.0", "5m")
			if v.Decision != analysis.Rollback || code != ExitRollback {
				t.Errorf("the broken canary: %s (%s), exit %d, want rollback, exit 2", v.Decision, v.Reason, code)
			}
			if !slices.Contains(v.Attributed, "error_rate /search") {
				t.Errorf("traced to %v, want error_rate /search among it", v.Attributed)
			}
			v, code = analyze(20, healthy, "2.0.0-fixed", "1m")
			if v.Decision != analysis.Promote || code != ExitOK {
				t.Errorf("the healthy canary: %s (%s), exit %d: %s", v.Decision, v.Reason, code, v.Message)
			}
			// What was served is a recording, which gives the same verdict.
			recorded := filepath.Join(t.TempDir(), "shop.om.gz")
			var out, errs bytes.Buffer
			args := append([]string{"fairlead", "canary", "record", recorded, "-f", file, "--canary-version", "2.0.0-fixed", "--start", v.Step.Start.Format(time.RFC3339Nano), "--history", "2m"}, query...)
			if code := Main(context.Background(), args, Streams{Out: &out, Err: &errs}); code != 0 {
				t.Fatalf("record: exit %d: %s", code, errs.String())
			}
			steps := filepath.Join(t.TempDir(), "steps.yaml")
			if err := os.WriteFile(steps, []byte(config+"steps:\n- {weight: 20, gate: 1m}\n- {weight: 100}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			code = Main(context.Background(), []string{"fairlead", "canary", "replay", recorded, "-f", steps, "--canary-version", "2.0.0-fixed", "--start", v.Step.Start.Format(time.RFC3339Nano)}, Streams{Out: &out, Err: &errs})
			if code != ExitOK {
				t.Errorf("replay of the promoted canary: exit %d\n%s%s", code, out.String(), errs.String())
			}
		})
	}
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

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
