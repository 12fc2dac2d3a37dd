//go:build integration

package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/analysis"
)

// TestIntegrationShop judges the example application live, with one fault and one
// backend, so that it takes a minute or so: TestSlowShop has the rest.
func TestIntegrationShop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "canary.yaml")
	config := "service: shop\nversions: {canary: 2.0.0, stable: 1.0.0}\nanalysis: {scrapeInterval: 2s, window: 1m, history: 1m}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newScene(t, serverBackend(t), 200)
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
}
