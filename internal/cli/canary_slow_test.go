//go:build slow

package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// TestSlowShop: the example application twice behind a weighted proxy,
// real traffic, and a real backend. A canary that fails a fifth of one route of
// twenty is rolled back for that route; one that does not is promoted at its gate.
func TestSlowShop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "canary.yaml")
	config := "service: shop\nversions: {canary: 2.0.0, stable: 1.0.0}\nanalysis:\n  scrapeInterval: 2s\n  window: 1m\n  history: 2m\n" +
		"  business:\n  - {name: conversion, good: checkout_orders_total, of: checkout_sessions_total, maxDrop: 0.9}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*testing.T) backend{"prometheus": prometheusBackend, "fairlead server": func(t *testing.T) backend { return serverBackend(t, "") }} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, open(t), 100)
			s.send(context.Background(), 6000) // a minute of history

			v, code := s.analyze(file, s.canary("2.0.0", "shop-canary-1", "-fault-route", "/search", "-fault-error-rate", "0.2"), "2.0.0", 5, "5m")
			took := s.sinceBad()
			t.Logf("rolled back %s after the first bad request", took.Round(time.Second))
			if took > 2*time.Minute {
				t.Errorf("rolled back %s after the first bad request, want two minutes at most; the guard was %+v", took.Round(time.Second), v.Evidence.Guard)
			}
			if v.Decision != analysis.Rollback || code != ExitRollback {
				t.Errorf("the broken canary: %s (%s), exit %d, want rollback, exit 2", v.Decision, v.Reason, code)
			}
			if !slices.Contains(v.Attributed, "error_rate /search") {
				t.Errorf("traced to %v, want error_rate /search among it", v.Attributed)
			}
			switch explained := v.Explanation != nil; {
			case explained != (name == "fairlead server"):
				t.Errorf("explanation %+v %s: only the fairlead server has traces", v.Explanation, v.ExplanationError)
			case explained:
				t.Log(v.Explanation.Summary)
				if !strings.Contains(v.Explanation.Summary, "http.route=/search") || len(v.Explanation.Traces) == 0 {
					t.Errorf("%q with traces %v, want /search named, and traces", v.Explanation.Summary, v.Explanation.Traces)
				}
			}
			v, code = s.analyze(file, s.canary("2.0.0-fixed", "shop-canary-2"), "2.0.0-fixed", 20, "1m")
			if v.Decision != analysis.Promote || code != ExitOK {
				t.Errorf("the healthy canary: %s (%s), exit %d: %s", v.Decision, v.Reason, code, v.Message)
			}
			// What was served is a recording, which gives the same verdict.
			recorded := filepath.Join(t.TempDir(), "shop.om.gz")
			var out, errs bytes.Buffer
			args := append([]string{"fairlead", "canary", "record", recorded, "-f", file, "--canary-version", "2.0.0-fixed", "--start", v.Step.Start.Format(time.RFC3339Nano), "--history", "2m"}, s.backend.query...)
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
