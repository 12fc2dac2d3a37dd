//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestReleasesOfTheCluster reads Helm's own records, with no server and nothing
// that was recorded by fairlead.
func TestReleasesOfTheCluster(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		s.must(install...)
		failing := upgrade("--set", "hook.enabled=true,hook.result=fail")
		if r := s.plain(failing...); r.code == 0 {
			t.Fatal("the upgrade with a failing hook succeeded")
		}
		s.must("install", "other", appChart)

		var list struct {
			Source   string
			Releases []struct {
				Namespace, Name, Status, Chart string
				Revision, ConsecutiveFailures  int
				LastDeploy                     string
				Deploys                        *int
				LastOperation                  struct{ Kind, State, Cause, ID string }
			}
		}
		r := s.fairlead("releases", "--direct", "-n", s.namespace, "-o", "json")
		if r.code != 0 {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
			t.Fatal(err)
		}
		if list.Source != "cluster" || len(list.Releases) != 2 {
			t.Fatalf("want two releases of the cluster:\n%s", r.stdout)
		}
		web := list.Releases[1]
		if web.Name != "web" || web.Status != "failed" || web.Revision != 2 || web.ConsecutiveFailures != 1 || web.LastDeploy == "" ||
			web.Deploys != nil || web.LastOperation.Kind != "upgrade" || web.LastOperation.ID != s.secretUID("web", 2)+"/deploy" ||
			!strings.Contains(web.LastOperation.Cause, "hook") {
			t.Errorf("the failed release:\n%s", r.stdout)
		}

		s.must("rollback", "web", "1", "--wait")
		// No server is named and none listens: the cluster is read, and that is said.
		r = s.fairlead("release", "web", "-n", s.namespace)
		if r.code != 0 || !strings.Contains(r.stderr, "read from Helm's records in the cluster") {
			t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
		}
		for _, want := range []string{"web: deployed, revision 3", "1 failed in a row", "rollback to 1", "upgrade", "install"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("no %q in\n%s", want, r.stdout)
			}
		}
		r = s.fairlead("release", "web", "-n", s.namespace, "--direct", "--why")
		if r.code != 0 || !strings.Contains(r.stdout, "upgrade of revision 2 failed") {
			t.Errorf("--why: exit code %d, %q\n%s", r.code, r.stderr, r.stdout)
		}
		r = s.fairlead("releases", "-n", s.namespace, "--server", "http://127.0.0.1:1")
		if r.code != 1 || !strings.Contains(r.stderr, "--direct") {
			t.Errorf("a named server that does not answer: exit code %d, stderr %q", r.code, r.stderr)
		}
	})
}
