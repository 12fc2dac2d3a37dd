package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/api"
)

// TestOpenAPIDescribesWhatIsServed fails when a route under /api/v1/ is missing
// from openapi.yaml, or the other way round.
func TestOpenAPIDescribesWhatIsServed(t *testing.T) {
	s := startServer(t, testConfig(t))
	var served []string
	for _, r := range s.routes() {
		_, path, _ := strings.Cut(r.Pattern, " ")
		if path == "" {
			path = r.Pattern
		}
		if !strings.HasPrefix(path+"/", api.Prefix) {
			continue
		}
		patterns := []string{r.Pattern}
		if h, ok := r.Handler.(interface{ Patterns() []string }); ok {
			patterns = h.Patterns()
		}
		for _, p := range patterns {
			served = append(served, strings.ReplaceAll(p, "...}", "}"))
		}
	}
	slices.Sort(served)

	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	status, body := do(t, "GET", "http://"+s.HTTPAddr()+"/api/v1/openapi.json", "")
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	var described []string
	for path, methods := range doc.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(described)
	if diff := cmp.Diff(described, slices.Compact(served)); diff != "" {
		t.Errorf("openapi.yaml and the routes differ: -described +served\n%s", diff)
	}
}
