//go:build integration

package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/tracing/jaegertest"
)

// TestIntegrationShop judges the example application live, with one fault and one
// backend, so that it takes a minute or so: TestSlowShop has the rest. Its failed
// traces are then found through the server's store and through a real Jaeger, to
// which the server forwards them.
func TestIntegrationShop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "canary.yaml")
	config := "service: shop\nversions: {canary: 2.0.0, stable: 1.0.0}\nanalysis: {scrapeInterval: 2s, window: 1m, history: 1m}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	jaeger, otlp := jaegertest.Start(t)
	s := newScene(t, serverBackend(t, otlp), 200)
	s.send(context.Background(), 4000) // twenty seconds of history
	v, code := s.analyze(file, s.canary("2.0.0", "shop-canary-1", "-fault-route", "/search", "-fault-error-rate", "0.5"), "2.0.0", 10, "4m")
	if v.Decision != analysis.Rollback || code != ExitRollback {
		t.Errorf("%s (%s), exit %d, want rollback, exit 2", v.Decision, v.Reason, code)
	}
	if !slices.Contains(v.Attributed, "error_rate /search") {
		t.Errorf("traced to %v, want error_rate /search among it", v.Attributed)
	}
	if v.Explanation == nil || !strings.Contains(v.Explanation.Summary, "http.route=/search") {
		t.Errorf("explanation %+v %s, want /search named", v.Explanation, v.ExplanationError)
	}

	for name, query := range map[string][]string{"the fairlead server": s.backend.query, "Jaeger": {"--jaeger", jaeger}} {
		t.Run("failed traces through "+name, func(t *testing.T) {
			ask := func(args ...string) string {
				var out, errs bytes.Buffer
				args = append(append([]string{"fairlead", "canary"}, args...), query...)
				if code := Main(context.Background(), args, Streams{Out: &out, Err: &errs}); code != 0 {
					t.Fatalf("%v: exit %d: %s", args, code, errs.String())
				}
				t.Logf("$ %s\n%s%s", strings.Join(args, " "), out.String(), errs.String())
				return out.String()
			}
			of := []string{"--service", "shop", "--version", "2.0.0"}
			failures := ask(append([]string{"failures", "--limit", "5"}, of...)...)
			if n := strings.Count(failures, "/search"); n < 5 || !strings.Contains(failures, "PaymentTimeout") {
				t.Errorf("%d failures on /search, want 5 with their exception", n)
			}
			explained := ask(append([]string{"explain", "--stable-version", "1.0.0"}, of...)...)
			if first, _, _ := strings.Cut(explained[strings.Index(explained, "  1. "):], "Slow traces"); !strings.Contains(first, "http.route=/search") {
				t.Errorf("the route is not named: %s", first)
			}
		})
	}
}
