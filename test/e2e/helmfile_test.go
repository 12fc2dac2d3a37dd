//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// TestHelmfile runs the real helmfile with fairlead in Helm's place. It is not
// part of `make e2e`, because helmfile takes minutes to build: `make e2e-helmfile`.
func TestHelmfile(t *testing.T) {
	helmfile := os.Getenv("FAIRLEAD_TEST_HELMFILE")
	if helmfile == "" {
		t.Skip("FAIRLEAD_TEST_HELMFILE names no helmfile: run `make e2e-helmfile`")
	}
	const trace = "0af7651916cd43dd8448eb211c80319c"
	eachHelm(t, func(t *testing.T, s *scene) {
		chart, err := filepath.Abs(appChart)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		binary := filepath.Join(dir, "helm")
		if err := os.Symlink(fairlead(), binary); err != nil {
			t.Fatal(err)
		}
		run := func(command, values string) result {
			t.Helper()
			file := fmt.Sprintf(`
helmDefaults: {wait: true, timeout: 12, skipRefresh: true}
releases:
- {name: web, namespace: %[1]s, chart: %[2]s}
- {name: api, namespace: %[1]s, chart: %[2]s, values: [%[3]s]}
`, s.namespace, chart, values)
			path := filepath.Join(dir, "helmfile.yaml")
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, helmfile, "--helm-binary", binary, "--file", path, "--disable-force-update", command)
			cmd.Env = append(s.base(), "TRACEPARENT=00-"+trace+"-b7ad6b7169203331-01", "HELMFILE_UPGRADE_NOTICE_DISABLED=true")
			r := s.wait(cmd)
			t.Logf("helmfile %s: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
			return r
		}
		if r := run("sync", "{}"); r.code != 0 {
			t.Fatalf("sync: exit code %d", r.code)
		}
		if r := run("sync", "{env: {CRASH_AFTER: 0s, EXIT_CODE: '3', CRASH_MESSAGE: no database}}"); r.code == 0 ||
			!regexp.MustCompile(`(?s)cause .*Deployment api .*no database`).MatchString(r.stdout+r.stderr) {
			t.Errorf("sync of a release that crashes: exit code %d, want another and the cause", r.code)
		}
		for name, want := range map[string]string{"web": "1 superseded, 2 deployed", "api": "1 deployed, 2 failed"} {
			if got := s.history(name); got != want {
				t.Errorf("history of %s: %q, want %q", name, got, want)
			}
		}
		got := map[string]int{}
		s.collector.mu.Lock()
		for _, span := range s.collector.spans {
			if span.TraceID().String() != trace {
				t.Errorf("span %s is in trace %s, want helmfile's", span.Name(), span.TraceID())
			}
			if name := span.Name(); name == "helm-upgrade" || name == "helm-upgrade-failed" {
				got[fmt.Sprintf("%s %s", name, attr(span.Attributes(), "helm.release"))]++
			}
		}
		s.collector.mu.Unlock()
		for name, want := range map[string]int{"helm-upgrade web": 2, "helm-upgrade api": 2, "helm-upgrade-failed api": 1, "helm-upgrade-failed web": 0} {
			if got[name] != want {
				t.Errorf("%d spans %s, want %d: %v", got[name], name, want, got)
			}
		}
		if r := run("destroy", "{}"); r.code != 0 || s.history("web") != "" {
			t.Errorf("destroy: exit code %d, history %q", r.code, s.history("web"))
		}
	})
}
