//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// warnings returns our warning lines on stderr.
func warnings(stderr string) []string {
	var out []string
	for _, line := range strings.Split(stderr, "\n") {
		if strings.HasPrefix(line, "fairlead: warning") {
			out = append(out, line)
		}
	}
	return out
}

func TestCollectorFaults(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := closed.Addr().String()
	_ = closed.Close()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no tenant", http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	for _, c := range []struct {
		reason string
		env    []string
		want   string
	}{
		{"unreachable over HTTP", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + refused}, "connection refused"},
		{"unreachable over gRPC", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + refused, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "connection refused"},
		{"slow", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + slow.URL, "FAIRLEAD_EXPORT_TIMEOUT=1s"}, "no answer within 1s|deadline exceeded"},
		{"refusing", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + refusing.URL}, "403 Forbidden.*no tenant"},
		{"a certificate that is not there", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://" + refused, "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere.pem"}, "."},
		{"an unknown protocol", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + refused, "OTEL_EXPORTER_OTLP_PROTOCOL=smoke"}, `"smoke" is not one of`},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, 4)
			s.collector = nil
			s.env = c.env
			r := s.fairlead("helm", "install", "web", appChart)
			if r.code != 0 || !strings.Contains(r.stdout, "STATUS: deployed") {
				t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			got := warnings(r.stderr)
			if len(got) != 1 || !regexp.MustCompile(c.want).MatchString(got[0]) {
				t.Errorf("want one warning that matches %s, got %q", c.want, got)
			}
			if s.history("web") != "1 deployed" {
				t.Errorf("history %q", s.history("web"))
			}
		})
	}
	t.Run("not configured", func(t *testing.T) {
		s := newScene(t, 4)
		s.collector = nil
		plain := s.plain("install", "other", appChart)
		if r := s.fairlead("helm", "install", "web", appChart); r.code != 0 || r.stderr != plain.stderr {
			t.Errorf("exit code %d, stderr %q, plain helm's %q", r.code, r.stderr, plain.stderr)
		}
	})
}

// TestOutputIsHelms compares stdout byte for byte, where Helm prints neither times
// nor the present state of objects.
func TestOutputIsHelms(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		s.must("install", "web", appChart, "--wait")
		for _, args := range [][]string{
			{"version"}, {"env"}, {"list", "-o", "json"}, {"get", "values", "web"}, {"get", "manifest", "web"}, {"history", "web", "-o", "yaml"},
			{"template", "x", appChart}, {"show", "values", appChart}, {"get", "metadata", "web", "-o", "json"}, {"get", "hooks", "web"}, {"__complete", "upgrade", "w"}, {"completion", "bash"},
			{"upgrade", "--help"}, {"upgrade", "web"}, {"nonsense"}, {"upgrade", "web", appChart, "--nonsense"},
			{"get", "values", "absent"}, {"uninstall", "absent"}, {"lint", appChart}, {"upgrade", "web", appChart, "--dry-run=client", "--hide-notes"},
		} {
			plain, ours := s.plain(args...), s.fairlead(append([]string{"helm"}, args...)...)
			normal := regexp.MustCompile(`FAIRLEAD_\w+=.*\n|LAST DEPLOYED: .*`)
			if a, b := normal.ReplaceAllString(plain.stdout, ""), normal.ReplaceAllString(ours.stdout, ""); a != b || plain.code != ours.code {
				t.Errorf("helm %v: exit code %d, stdout differs from plain helm's (%d):\n%s\n---\n%s", args, ours.code, plain.code, b, a)
			}
		}
		// An operation's stdout is JSON of Helm's and nothing else.
		if r := s.fairlead("--print-trace", "--progress", "plain", "helm", "upgrade", "web", appChart, "--wait", "-o", "json"); r.code != 0 ||
			!strings.HasPrefix(r.stdout, "{") || strings.Contains(r.stdout, "fairlead: ") || !strings.Contains(r.stderr, "helm-upgrade web") {
			t.Errorf("exit code %d\nstdout: %.200s\nstderr: %s", r.code, r.stdout, r.stderr)
		}
		// Values on stdin reach Helm.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := s.command(ctx, "helm", "upgrade", "web", appChart, "-f", "-")
		cmd.Stdin = strings.NewReader("replicas: 2\n")
		if r := s.wait(cmd); r.code != 0 {
			t.Fatal(r.stderr)
		}
		if got := s.plain("get", "values", "web").stdout; !strings.Contains(got, "replicas: 2") {
			t.Errorf("values from stdin did not arrive: %s", got)
		}
	})
}

// started waits until the release's record of that revision is there.
func (s *scene) started(name string, revision int) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		out, err := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "-n", s.namespace, "get", "secret",
			fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision)).CombinedOutput()
		if err == nil && len(out) > 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("revision %d of %s never began", revision, name)
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			eachHelm(t, func(t *testing.T, s *scene) {
				s.must("install", "web", appChart, "--wait")
				cmd := s.command(t.Context(), "--auto-rollback", "helm", "upgrade", "web", appChart, "--wait", "--set", notReady)
				go func() {
					s.started("web", 2)
					_ = cmd.Process.Signal(sig)
				}()
				r := s.wait(cmd)
				if r.code == 0 {
					t.Fatalf("exit code 0\n%s", r.stderr)
				}
				tr := s.collector.trace(t)
				root := tr.one("helm-upgrade")
				wantAttrs(t, "root", root.Attributes(), map[string]string{
					"error.type": "cancelled", "helm.operation.state": "cancelled", "helm.revision": "2", "cicd.pipeline.task.run.result": "cancellation",
				})
				tr.one("helm-upgrade-failed")
				tr.none("helm-rollback") // whoever cancelled decides
				if got := s.history("web"); got != "1 deployed, 2 failed" {
					t.Errorf("history %q", got)
				}
				if !strings.Contains(r.stderr, "was cancelled") {
					t.Errorf("stderr: %s", r.stderr)
				}
			})
		})
	}
}

// TestKilledHelm kills the helm below us, and shows the next one who left the lock.
func TestKilledHelm(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		s.must("install", "web", appChart, "--wait")
		cmd := s.command(t.Context(), "helm", "upgrade", "web", appChart, "--wait", "--set", notReady)
		go func() {
			s.started("web", 2)
			children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
			for _, pid := range childrenOf(cmd.Process.Pid, string(children)) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}()
		r := s.wait(cmd)
		if r.code != 137 {
			t.Fatalf("exit code %d, want 137\n%s", r.code, r.stderr)
		}
		root := s.collector.trace(t).one("helm-upgrade")
		if cause := attr(root.Attributes(), "helm.cause"); !strings.Contains(cause, "killed by signal 9") || !strings.Contains(cause, "pending-upgrade") {
			t.Errorf("cause %q", cause)
		}
		if !strings.Contains(r.stderr, "helm rollback web 1") {
			t.Errorf("stderr does not say how to recover: %s", r.stderr)
		}

		s.collector.reset()
		locked := s.fairlead("--auto-rollback", "helm", "upgrade", "web", appChart)
		if locked.code != 1 {
			t.Fatalf("exit code %d, want 1", locked.code)
		}
		root = s.collector.trace(t).one("helm-upgrade")
		wantAttrs(t, "locked", root.Attributes(), map[string]string{"error.type": "lock", "helm.revision": "-"})
		if id := attr(root.Attributes(), "helm.operation.id"); id != root.TraceID().String()+"/"+root.SpanID().String() {
			t.Errorf("an operation without a record has the id %q", id)
		}
		for _, want := range []string{"revision 2 of", "is pending-upgrade since", "helm rollback web 1"} {
			if !strings.Contains(locked.stderr, want) {
				t.Errorf("stderr lacks %q: %s", want, locked.stderr)
			}
		}
		if got := s.history("web"); got != "1 deployed, 2 pending-upgrade" {
			t.Errorf("history %q", got)
		}
	})
}

// childrenOf parses the children of a process, of whichever thread made them.
func childrenOf(pid int, first string) []int {
	text := first
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		text += " " + string(b)
	}
	var out []int
	for _, field := range strings.Fields(text) {
		var child int
		if _, err := fmt.Sscan(field, &child); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// TestNoPermissionToWatch runs as a service account that may do what Helm needs
// and watch nothing.
func TestNoPermissionToWatch(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		s.kubectl("-n", s.namespace, "create", "serviceaccount", "deployer")
		s.kubectl("-n", s.namespace, "create", "role", "deployer", "--verb=get,list,create,update,patch,delete", "--resource=*.*,secrets,services,configmaps")
		s.kubectl("-n", s.namespace, "create", "rolebinding", "deployer", "--role=deployer", "--serviceaccount="+s.namespace+":deployer")
		token := strings.TrimSpace(s.kubectl("-n", s.namespace, "create", "token", "deployer"))
		r := s.fairlead("helm", "install", "web", appChart, "--kube-token", token, "--kube-as-user", "", "--set", "service.enabled=false")
		if r.code != 0 {
			// An admin certificate in the kubeconfig goes before a token: use one without.
			t.Logf("with the certificate: %s", r.stderr)
		}
		config := s.kubectl("config", "view", "--raw", "--minify")
		config = regexp.MustCompile(`(?m)^\s+client-(certificate|key)(-data)?:.*\n`).ReplaceAllString(config, "")
		config = regexp.MustCompile(`(?m)^  user:\s*(\{\})?\s*$`).ReplaceAllString(config, "  user:\n    token: "+token)
		s.collector.reset()
		s.env = append(s.env, "KUBECONFIG="+s.file("kubeconfig", config))
		r = s.fairlead("helm", "install", "limited", appChart, "--set", "service.enabled=false")
		if r.code != 0 {
			t.Fatalf("exit code %d\n%s", r.code, r.stderr)
		}
		tr := s.collector.trace(t)
		root := tr.one("helm-install")
		if len(tr.spans) != 1 {
			t.Errorf("spans %v, want the operation's alone", tr.names())
		}
		if missing := attr(root.Attributes(), "fairlead.watch.missing"); !strings.Contains(missing, "forbidden") {
			t.Errorf("fairlead.watch.missing = %q", missing)
		}
		if lines := strings.Count(r.stderr, "fairlead"); lines != 0 {
			t.Errorf("stderr of a success: %s", r.stderr)
		}
		if strings.Contains(string(s.collector.bytes()), token) {
			t.Error("the token was exported")
		}
	})
}

func TestUnreadableKubeconfig(t *testing.T) {
	s := newScene(t, 4)
	s.env = append(s.env, "KUBECONFIG="+s.file("kubeconfig", "{{{ not yaml"))
	r := s.fairlead("helm", "install", "web", appChart)
	if r.code != 1 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	root := s.collector.trace(t).one("helm-install")
	if root.Status().Code() != ptrace.StatusCodeError {
		t.Error("the span is not an error")
	}
	wantAttrs(t, "root", root.Attributes(), map[string]string{"error.type": "unreachable", "helm.previous_revision": "-", "helm.revision": "-"})
	if attr(root.Attributes(), "fairlead.watch.missing") == "" {
		t.Error("no fairlead.watch.missing")
	}
}

func TestHelmNotFoundAndRecursion(t *testing.T) {
	s := newScene(t, 4)
	dir := t.TempDir()
	link := filepath.Join(dir, "helm")
	if err := os.Symlink(fairlead(), link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), fairlead(), "helm", "version")
	cmd.Env = []string{"PATH=" + dir}
	if r := s.wait(cmd); r.code != 127 || !strings.Contains(r.stderr, "helm not found") || !strings.Contains(r.stderr, "FAIRLEAD_HELM_BIN") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	// A script named helm that calls us again.
	script := s.file("helm", "#!/bin/sh\nexec "+fairlead()+" helm \"$@\"\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), fairlead(), "helm", "version")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "FAIRLEAD_HELM_BIN=" + script}
	if r := s.wait(cmd); r.code == 0 || !strings.Contains(r.stderr, "calls itself") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	// By the name helm, found first on PATH, with the real one behind it.
	bin := t.TempDir()
	if err := os.Symlink(s.helm, filepath.Join(bin, "helm")); err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), link, "version", "--short")
	cmd.Env = []string{"PATH=" + dir + ":" + bin, "HOME=" + t.TempDir()}
	if r := s.wait(cmd); r.code != 0 || !strings.HasPrefix(r.stdout, "v4") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// TestHelmfileConvention calls us as `helmfile --helm-binary` does: by a path,
// with global flags before and after the verb, several releases at once.
func TestHelmfileConvention(t *testing.T) {
	s := newScene(t, 3)
	done := make(chan result, 3)
	for i := range 3 {
		go func() {
			cmd := s.command(context.Background(), "helm", "--kube-context", "", "upgrade", "--install", fmt.Sprintf("app%d", i), appChart,
				"--create-namespace", "--namespace", s.namespace, "--reset-values", "--history-max", "10")
			out, err := cmd.CombinedOutput()
			r := result{stderr: string(out)}
			if err != nil {
				r.code = 1
			}
			done <- r
		}()
	}
	for range 3 {
		if r := <-done; r.code != 0 {
			t.Errorf("%s", r.stderr)
		}
	}
	s.collector.mu.Lock()
	traces := map[string]bool{}
	for _, span := range s.collector.spans {
		if span.Name() == "helm-upgrade" {
			traces[attr(span.Attributes(), "helm.release")] = true
		}
	}
	s.collector.mu.Unlock()
	if len(traces) != 3 {
		t.Errorf("releases with a trace: %v", traces)
	}
}
