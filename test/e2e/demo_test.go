//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

var demoNamespace = regexp.MustCompile(`fairlead-demo-[a-z0-9]+`)

// demo is the Helm half of `fairlead demo` on this cluster.
func (s *scene) demo() *exec.Cmd {
	args := []string{"demo", "--part", "helm", "--cluster=kubeconfig", "--exit", "--http", "127.0.0.1:0"}
	if os.Getenv("FAIRLEAD_TEST_CLUSTER") != "" {
		args = append(args, "--image", "fairlead.test/fairlead:test")
	}
	return s.command(s.t.Context(), args...)
}

func (s *scene) demoLeavesNothing(said string) {
	s.t.Helper()
	namespace := demoNamespace.FindString(said)
	if namespace == "" {
		s.t.Fatalf("no namespace is named:\n%s", said)
	}
	if left := s.kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", "name"); left != "" {
		s.t.Errorf("left behind: %s", left)
	}
}

// TestDemoOnACluster: the demo installs, upgrades, fails, explains and rolls
// back on real pods, and its server has all of it.
func TestDemoOnACluster(t *testing.T) {
	t.Parallel()
	s := newScene(t, 4)
	r := s.wait(s.demo())
	t.Logf("%s\n%s%s", r.took.Round(time.Second), r.stdout, r.stderr)
	if r.code != 0 {
		t.Fatalf("exit code %d", r.code)
	}
	wants := []string{
		"helm install shop", "installed", "helm upgrade shop", "upgraded", "--auto-rollback helm upgrade shop", "failed after", "cause",
		"rolled back fairlead-demo-", "ROLLED BACK", "gone", "recorded", "/releases/fairlead-demo-", "/deployments/",
	}
	if os.Getenv("FAIRLEAD_TEST_CLUSTER") != "" {
		wants = append(wants[:7:7], append([]string{`--payment-api "v3": want v1 or v2`}, wants[7:]...)...)
	}
	rest := r.stdout
	for _, want := range wants {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the story lacks %q at its place", want)
		}
		rest = after
	}
	s.demoLeavesNothing(r.stdout)
}

// TestDemoOnAClusterInterrupted: Ctrl-C while Helm waits leaves nothing behind.
func TestDemoOnAClusterInterrupted(t *testing.T) {
	t.Parallel()
	s := newScene(t, 3)
	cmd := s.demo()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(io.TeeReader(stdout, &said))
	for lines.Scan() && !strings.Contains(lines.Text(), "helm install shop") {
		continue
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(&said, stdout)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want exit code 130\n%s", err, said.String())
	}
	s.demoLeavesNothing(said.String())
}
