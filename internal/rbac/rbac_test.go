package rbac

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite deploy/rbac")

// committed are the manifests in deploy/rbac.
var committed = map[string]Options{
	"agent-cluster.yaml":        {Part: PartAgent},
	"agent-namespace.yaml":      {Part: PartAgent, Namespaces: []string{"shop"}},
	"controller-cluster.yaml":   {Part: PartController},
	"controller-namespace.yaml": {Part: PartController, Namespaces: []string{"shop"}},
	"wrapper-cluster.yaml":      {Part: PartWrapper},
	"rollout-cluster.yaml":      {Part: PartRollout},
	"rollout-namespace.yaml":    {Part: PartRollout, Namespaces: []string{"shop"}},
	"wrapper-namespace.yaml":    {Part: PartWrapper, Namespaces: []string{"shop"}},
}

func TestCommittedManifestsAreOfThisTable(t *testing.T) {
	dir := filepath.Join("..", "..", "deploy", "rbac")
	for name, o := range committed {
		got, err := Manifests(o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the table says (-committed +table):\n%s\nrun: go test ./internal/rbac -update", path, diff)
		}
	}
}

func TestNothingIsGrantedThatChangesAnything(t *testing.T) {
	for _, u := range Uses {
		for _, verb := range u.Verbs {
			if slices.Contains([]string{"get", "list", "watch"}, verb) {
				continue
			}
			if u.Part == PartController || u.Part == PartRollout {
				continue // they are there to change things
			}
			if u.Resource != "leases" && (u.Where != InOwn || u.Resource != "configmaps") {
				t.Errorf("%s may %s %s", u.Part, verb, u.Resource)
			}
		}
		if u.Why == "" || slices.Contains(u.Verbs, "*") || u.Resource == "*" {
			t.Errorf("%+v: a use has a reason, and no wildcard", u)
		}
	}
}

func TestStorages(t *testing.T) {
	for _, storage := range []string{"secrets", "configmaps"} {
		var granted []string
		for _, r := range Rules(PartAgent, InReleases, storage) {
			granted = append(granted, r.Resources...)
		}
		other := map[string]string{"secrets": "configmaps", "configmaps": "secrets"}[storage]
		if !slices.Contains(granted, storage) || slices.Contains(granted, other) {
			t.Errorf("storage %s: %v", storage, granted)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]Options{
		`part "web"`:    {Part: "web"},
		`storage "sql"`: {Part: PartAgent, Storage: "sql"},
		`namespace ""`:  {Part: PartAgent, Namespaces: []string{""}},
	} {
		if _, err := Manifests(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A pipeline changes weights, replicas, and what it keeps itself; that it deletes
// nothing and reads no Secret is what sets it apart from Helm.
func TestARolloutDeletesNothing(t *testing.T) {
	for _, r := range Rules(PartRollout, InReleases, "secrets") {
		if slices.Contains(r.Verbs, "delete") || slices.Contains(r.Verbs, "watch") || slices.Contains(r.Resources, "secrets") {
			t.Errorf("%v may %v", r.Resources, r.Verbs)
		}
	}
}
