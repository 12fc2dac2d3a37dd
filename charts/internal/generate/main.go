// Command generate writes what the chart shares with the rest of the
// repository: the custom resource definitions and the permissions.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
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
	byStorage := map[string]any{}
	for _, storage := range []string{"secrets", "configmaps"} {
		byStorage[storage] = rbac.Rules(rbac.PartAgent, rbac.InReleases, storage)
	}
	if err := write("agent-rules.yaml", "By where Helm keeps its records.", map[string]any{
		"releases": byStorage,
		"cluster":  rbac.Rules(rbac.PartAgent, rbac.InCluster, ""),
		"own":      rbac.Rules(rbac.PartAgent, rbac.InOwn, ""),
	}); err != nil {
		return err
	}
	return write("controller-rules.yaml", "In the namespaces of CanaryReleases, and in its own.", map[string]any{
		"releases": rbac.Rules(rbac.PartController, rbac.InReleases, ""),
		"cluster":  rbac.Rules(rbac.PartController, rbac.InCluster, ""),
		"own":      rbac.Rules(rbac.PartController, rbac.InOwn, ""),
	})
}

func write(name, about string, rules map[string]any) error {
	for where, list := range rules {
		if l, ok := list.([]rbacv1.PolicyRule); ok && l == nil {
			rules[where] = []rbacv1.PolicyRule{}
		}
	}
	text, err := yaml.Marshal(rules)
	if err != nil {
		return err
	}
	header := "# Generated from package rbac; do not edit. " + about + "\n"
	return os.WriteFile(filepath.Join(files, name), append([]byte(header), text...), 0o644)
}
