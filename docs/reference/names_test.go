// Package reference checks the page that is written by hand against the code.
package reference

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "metrics-spans-attributes.md"

var (
	literal = regexp.MustCompile(`"((?:helm|fairlead|canary|rollout)[._][a-z][a-z0-9_.]*)"`)
	rollout = regexp.MustCompile(`(?:gauge\(|Subsystem: "rollout", Name: )"([a-z_]+)"`)
	quoted  = regexp.MustCompile("`([^`]+)`")
	named   = regexp.MustCompile(`^(?:helm|fairlead|canary|rollout)[._][a-z][a-z0-9_.]*$`)
)

// noTelemetry are literals of the same form that name something else.
var noTelemetry = []string{"fairlead.dev", "fairlead.yaml", "fairlead_session", "fairlead_theme", "helm.sh", "fairlead.canary"}

// fromCode returns the names that the packages which make telemetry have in them.
func fromCode(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{"alerting", "controller", "emit", "judge", "release", "rollout", "server", "store/metrics", "store/telemetry"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", "internal", dir, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(paths), err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
			if dir == "controller" {
				for _, m := range rollout.FindAllStringSubmatch(string(text), -1) {
					names = append(names, "fairlead_rollout_"+m[1])
				}
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool {
		return slices.Contains(noTelemetry, n) || strings.HasSuffix(n, ".") || strings.HasSuffix(n, "_")
	})
}

func TestNamesAreThoseOfTheCode(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
		if named.MatchString(m[1]) {
			documented = append(documented, m[1])
		}
	}
	code := fromCode(t)
	if len(code) < 60 {
		t.Errorf("only %d names were found in the code", len(code))
	}
	for _, n := range code {
		if !slices.Contains(documented, n) {
			t.Errorf("%s is in the code and not in %s", n, page)
		}
	}
	for _, n := range documented {
		if !slices.Contains(code, n) {
			t.Errorf("%s is in %s and not in the code", n, page)
		}
	}
}
