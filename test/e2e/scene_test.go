//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scene is one test's Helm, namespace and collector.
type scene struct {
	t         *testing.T
	major     int
	helm      string
	namespace string
	collector *collector
	env       []string // beside the base environment
}

var namespaces atomic.Int64

// eachHelm runs test with Helm 3 and Helm 4, each in a namespace of its own.
func eachHelm(t *testing.T, test func(t *testing.T, s *scene)) {
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm%d", major), func(t *testing.T) {
			t.Parallel()
			test(t, newScene(t, major))
		})
	}
}

func newScene(t *testing.T, major int) *scene {
	t.Helper()
	s := newSceneIn(t, major, fmt.Sprintf("e2e-%d-%d", os.Getpid(), namespaces.Add(1)))
	s.collector = newCollector(t)
	return s
}

// newSceneIn is a scene in a new namespace of that name, without a collector.
func newSceneIn(t *testing.T, major int, namespace string) *scene {
	t.Helper()
	s := &scene{t: t, major: major, helm: os.Getenv(fmt.Sprintf("FAIRLEAD_TEST_HELM%d", major)), namespace: namespace}
	s.kubectl("create", "namespace", s.namespace)
	t.Cleanup(func() {
		_ = exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "delete", "namespace", s.namespace, "--wait=false").Run()
	})
	return s
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// base is the environment of every command: the test bed's, without what the
// machine's CI system or user may have set.
func (s *scene) base() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "OTEL_"), strings.HasPrefix(name, "GITHUB_"), strings.HasPrefix(name, "CI_"), name == "CI",
			name == "GITLAB_CI", name == "TRACEPARENT", name == "TRACESTATE", name == "BAGGAGE", name == "HELM_NAMESPACE",
			strings.HasPrefix(name, "FAIRLEAD_") && !strings.HasPrefix(name, "FAIRLEAD_TEST_"):
		default:
			env = append(env, kv)
		}
	}
	env = append(env, "FAIRLEAD_HELM_BIN="+s.helm, "HELM_NAMESPACE="+s.namespace)
	if s.collector != nil {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.collector.URL)
	}
	return append(env, s.env...)
}

// command prepares `fairlead args...`.
func (s *scene) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, fairlead(), args...)
	cmd.Env = s.base()
	return cmd
}

// fairlead runs `fairlead args...` to its end.
func (s *scene) fairlead(args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	return s.wait(s.command(ctx, args...))
}

// plain runs the user's helm alone.
func (s *scene) plain(args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.helm, args...)
	cmd.Env = s.base()
	return s.wait(cmd)
}

// must runs plain helm and fails the test when that fails.
func (s *scene) must(args ...string) {
	s.t.Helper()
	if r := s.plain(args...); r.code != 0 {
		s.t.Fatalf("helm %v: exit code %d\n%s", args, r.code, r.stderr)
	}
}

func (s *scene) wait(cmd *exec.Cmd) result {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		s.t.Fatalf("%v: %v", cmd.Args, err)
	}
	return r
}

func (s *scene) kubectl(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("kubectl %v: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// history returns the release's revisions as "1 superseded, 2 deployed", "" when
// there is no release.
func (s *scene) history(name string) string {
	s.t.Helper()
	r := s.plain("history", name, "-o", "json")
	if r.code != 0 {
		return ""
	}
	var revisions []struct {
		Revision int    `json:"revision"`
		Status   string `json:"status"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &revisions); err != nil {
		s.t.Fatalf("helm history: %v\n%s", err, r.stdout)
	}
	var parts []string
	for _, rev := range revisions {
		parts = append(parts, fmt.Sprintf("%d %s", rev.Revision, rev.Status))
	}
	return strings.Join(parts, ", ")
}

// secretUID returns the UID of a revision's record.
func (s *scene) secretUID(name string, revision int) string {
	s.t.Helper()
	return strings.TrimSpace(s.kubectl("-n", s.namespace, "get", "secret", fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision),
		"-o", "jsonpath={.metadata.uid}"))
}

// rollbackFlag is Helm's own flag to roll back by itself.
func (s *scene) rollbackFlag() string {
	if s.major == 3 {
		return "--atomic"
	}
	return "--rollback-on-failure"
}

// file writes a file of the test's own and returns its path.
func (s *scene) file(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
