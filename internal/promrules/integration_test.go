//go:build integration

package promrules_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestIntegrationPromtool runs the unit tests of the committed rules.
func TestIntegrationPromtool(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "fairlead", "tools", "promtool-*"))
	if err != nil || len(found) == 0 {
		t.Skip("SKIPPED: no promtool; `make promtool` builds it")
	}
	for _, args := range [][]string{{"check", "rules", "fairlead.yaml"}, {"test", "rules", "fairlead_test.yaml"}} {
		cmd := exec.Command(found[len(found)-1], args...)
		cmd.Dir = filepath.Join("..", "..", "deploy", "rules")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
