//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// With --selector the canary is as old as its oldest pod that is not going, by the
// Kubernetes API; without such a pod that is said.
func TestCanaryIsAsOldAsItsPods(t *testing.T) {
	t.Parallel()
	s := &canaryScene{scene: newScene(t, 4), log: &safeBuffer{}}
	s.startServer("127.0.0.1")
	pod := func(name, track string) time.Time {
		s.kubectl("-n", s.namespace, "run", name, "--image", "fairlead.test/app:v1", "--labels", "app=shop,track="+track)
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(s.kubectl("-n", s.namespace, "get", "pod", name, "-o", "jsonpath={.metadata.creationTimestamp}")))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	analyze := func(selector string) (start time.Time, note string) {
		r := s.fairlead("canary", "analyze", "--server", s.server, "--service", "shop", "-n", s.namespace, "--selector", selector, "-o", "json")
		var v struct {
			Decision, Reason string
			Step             struct{ Start time.Time }
		}
		if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || r.code != 3 {
			t.Fatalf("exit %d, want 3 (nothing has been measured): %v\n%s%s", r.code, err, r.stdout, r.stderr)
		}
		return v.Step.Start, r.stderr
	}
	pod("stable-0", "stable")
	if _, note := analyze("app=shop,track=canary"); !strings.Contains(note, "no pod in namespace "+s.namespace+" has the labels app=shop,track=canary") {
		t.Errorf("without a pod of the canary: %q", note)
	}
	time.Sleep(1100 * time.Millisecond) // the API counts whole seconds
	oldest := pod("canary-0", "canary")
	time.Sleep(1100 * time.Millisecond)
	if younger := pod("canary-1", "canary"); !younger.After(oldest) {
		t.Fatalf("both pods were created at %s", oldest)
	}
	if start, _ := analyze("app=shop,track=canary"); !start.Equal(oldest) {
		t.Errorf("the canary began at %s, its oldest pod was created at %s", start, oldest)
	}
	if r := s.fairlead("canary", "analyze", "--server", s.server, "--service", "shop", "-n", s.namespace, "--selector", "track in (", "-o", "json"); r.code != 1 || !strings.Contains(r.stderr, "track in (") {
		t.Errorf("a selector that is none: exit %d, %q", r.code, r.stderr)
	}
}
