//go:build integration

// Package recipes runs what can be run of docs/recipes and of the GitHub action
// on a machine without a network and without a cluster.
package recipes

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var (
	marked = regexp.MustCompile("(?s)<!-- test: run -->\n```sh\n(.*?)```")
	shell  = regexp.MustCompile("(?s)```sh\n(.*?)```")
)

// tools are the programs that recipes use, and what is in the cache for them.
func tools(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, "fairlead"), "./cmd/fairlead")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for name, pattern := range map[string]string{"promtool": "tools/promtool-*", "collector": "tools/collector-*", "helm": "cluster/helm4-*/helm4"} {
		found, err := filepath.Glob(filepath.Join(cache, "fairlead", pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			if found = lookPath(name); found == nil {
				continue // the block that wants it says that it is skipped
			}
		}
		if err := os.Symlink(found[len(found)-1], filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func lookPath(name string) []string {
	if path, err := exec.LookPath(name); err == nil {
		return []string{path}
	}
	return nil
}

func TestIntegrationRecipes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: the recipes are for a POSIX shell")
	}
	bin := tools(t)
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "recipes", "*.md"))
	if err != nil || len(pages) < 9 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	ran := 0
	for _, page := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range shell.FindAllStringSubmatch(string(text), -1) {
				if out, err := exec.Command("bash", "-n", "-c", m[1]).CombinedOutput(); err != nil {
					t.Errorf("bash -n: %v: %s\n%s", err, out, m[1])
				}
			}
			dir := t.TempDir()
			for _, m := range marked.FindAllStringSubmatch(string(text), -1) {
				if missing := missingTool(bin, m[1]); missing != "" {
					t.Logf("SKIPPED, there is no %s here:\n%s", missing, m[1])
					continue
				}
				ran++
				if out, err := script(dir, bin, m[1]).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s\n--- said\n%s", err, m[1], out)
				}
			}
		})
	}
	if ran < 8 {
		t.Errorf("only %d blocks ran", ran)
	}
}

func missingTool(bin, text string) string {
	for name, word := range map[string]string{"promtool": "promtool ", "collector": "collector validate", "helm": "helm "} {
		if strings.Contains(text, word) {
			if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
				return name
			}
		}
	}
	return ""
}

// script runs text as a CI system does, with nothing of this machine's settings.
func script(dir, bin, text string) *exec.Cmd {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + dir, "LANG=C"}
	return cmd
}

// TestIntegrationAction runs the step of action.yml as a runner would.
func TestIntegrationAction(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Inputs map[string]struct{ Default string }
		Runs   struct {
			Using string
			Steps []struct{ Uses, Shell, Run string }
		}
	}
	if err := yaml.Unmarshal(text, &action); err != nil || action.Runs.Using != "composite" {
		t.Fatalf("%v %+v", err, action)
	}
	i := slices.IndexFunc(action.Runs.Steps, func(s struct{ Uses, Shell, Run string }) bool { return s.Run != "" })
	temp := t.TempDir()
	paths := filepath.Join(temp, "path")
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", action.Runs.Steps[i].Run)
	cmd.Dir = temp
	cmd.Env = append(os.Environ(), "RUNNER_TEMP="+temp, "GITHUB_PATH="+paths, "SOURCE="+root, "AS_HELM=true")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "fairlead") {
		t.Fatalf("%v\n%s", err, out)
	}
	added, err := os.ReadFile(paths)
	if err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(strings.TrimSpace(string(added)), "helm")); err != nil || target != "fairlead" {
		t.Errorf("helm is %q, %v", target, err)
	}
}
