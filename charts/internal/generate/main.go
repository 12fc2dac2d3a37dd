// Command generate writes what the chart shares with the rest of the
// repository: the custom resource definitions and the agent's permissions.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/rbac"
)

const files = "fairlead/files"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate the chart's files:", err)
		os.Exit(1)
	}
}

func run() error {
	crds, err := filepath.Glob("../deploy/crds/*.yaml")
	if err != nil || len(crds) == 0 {
		return fmt.Errorf("no definitions in ../deploy/crds: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(files, "crds"), 0o755); err != nil {
		return err
	}
	for _, path := range crds {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(files, "crds", filepath.Base(path)), bytes.TrimPrefix(text, []byte("---\n")), 0o644); err != nil {
			return err
		}
	}
	releases := map[string]any{}
	for _, storage := range []string{"secrets", "configmaps"} {
		releases[storage] = rbac.Rules(rbac.PartAgent, rbac.InReleases, storage)
	}
	text, err := yaml.Marshal(map[string]any{
		"releases": releases,
		"cluster":  rbac.Rules(rbac.PartAgent, rbac.InCluster, ""),
		"own":      rbac.Rules(rbac.PartAgent, rbac.InOwn, ""),
	})
	if err != nil {
		return err
	}
	header := "# Generated from package rbac; do not edit. By where Helm keeps its records.\n"
	return os.WriteFile(filepath.Join(files, "agent-rules.yaml"), append([]byte(header), text...), 0o644)
}
