//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/api"
)

// backend is a fairlead server of a test's own.
type backend struct {
	t       *testing.T
	api     api.Client
	otlp    string // URL of OTLP/HTTP
	process *process
}

// process is a long-lived fairlead.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	log lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(fairlead(), args...)}
	p.cmd.Env, p.cmd.Stderr = env, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("fairlead %s:\n%s", args[0], p.log.String())
		}
	})
	return p
}

// end signals the process and waits until it is gone.
func (p *process) end(sig syscall.Signal) {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(sig)
		_ = p.cmd.Wait()
	}
}

func newBackend(t *testing.T, args ...string) *backend {
	t.Helper()
	web, otlp := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	b := &backend{t: t, api: api.Client{Server: "http://" + web}, otlp: "http://" + otlp}
	b.process = startProcess(t, os.Environ(), append([]string{"server", "--data", t.TempDir(), "--http", web, "--otlp-http", otlp, "--otlp-grpc", "off"}, args...)...)
	eventually(t, 30*time.Second, "the server is up", func() string {
		_, err := b.api.Releases(t.Context(), nil)
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return b
}

// startAgent starts an agent for the scene's namespace and waits until it has
// caught up. data is its directory; the same one for the same agent started again.
func (b *backend) startAgent(s *scene, data string, args ...string) *process {
	b.t.Helper()
	p := b.launchAgent(s, data, args...)
	p.waitLog("caught up")
	return p
}

// launchAgent starts an agent for the scene's namespace and does not wait.
func (b *backend) launchAgent(s *scene, data string, args ...string) *process {
	b.t.Helper()
	return startProcess(b.t, s.base(), append([]string{
		"agent", "--server", b.otlp, "--data", data, "--namespace", s.namespace, "--own-namespace", s.namespace, "--cluster-name", "bed"}, args...)...)
}

// waitLog waits until the process has logged that.
func (p *process) waitLog(what string) {
	p.t.Helper()
	eventually(p.t, 30*time.Second, what, func() string {
		if log := p.log.String(); !strings.Contains(log, what) {
			return "its log: " + log // which may be empty yet
		}
		return ""
	})
}

// eventually waits until try returns "".
func eventually(t *testing.T, bound time.Duration, what string, try func() string) {
	t.Helper()
	deadline := time.Now().Add(bound)
	for {
		problem := try()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %s", what, bound, problem)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// told returns a release's operations as the server has them, oldest first:
// "install 1 succeeded".
func (b *backend) told(namespace, name string) []string {
	b.t.Helper()
	var out []string
	for _, op := range b.operations(namespace, name) {
		line := fmt.Sprintf("%s %d %s", op.Kind, op.Revision, op.State)
		if op.RollbackToRevision > 0 {
			line += fmt.Sprintf(" to %d", op.RollbackToRevision)
		}
		if op.Automatic {
			line += " automatic"
		}
		out = append(out, line)
	}
	return out
}

// operations returns a release's operations, oldest first.
func (b *backend) operations(namespace, name string) []api.Operation {
	b.t.Helper()
	list, err := b.api.Operations(b.t.Context(), url.Values{"namespace": {namespace}, "release": {name}})
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Reverse(list.Operations)
	return list.Operations
}

// play is what five teams do to five releases at once.
type play struct {
	*scene
	wrapped bool
}

// helm runs helm, or fairlead helm, and checks its exit code.
func (p play) helm(code int, args ...string) {
	r := p.result(args...)
	if r.code != code {
		p.t.Errorf("helm %v: exit code %d, want %d\n%s", args, r.code, code, r.stderr)
	}
}

func (p play) result(args ...string) result {
	if p.wrapped {
		return p.fairlead(append([]string{"helm"}, args...)...)
	}
	return p.plain(args...)
}

const crash = "env.CRASH_AFTER=0s,env.CRASH_MESSAGE=no database"

// run plays all of it. between is called when the failing upgrade has begun.
func (p play) run(between func()) {
	var wg sync.WaitGroup
	wg.Go(func() { p.helm(0, "install", "well", appChart, "--wait") })
	wg.Go(func() {
		p.helm(0, "install", "undone", appChart, "--wait")
		if between != nil {
			go func() {
				p.started("undone", 2)
				time.Sleep(2 * time.Second)
				between()
			}()
		}
		p.helm(1, "upgrade", "undone", appChart, p.rollbackFlag(), "--timeout", "12s", "--set", crash)
	})
	wg.Go(func() {
		p.helm(0, "install", "back", appChart, "--wait")
		p.helm(0, "upgrade", "back", appChart, "--wait", "--set", "image=fairlead.test/app:v2")
		p.helm(0, "rollback", "back", "1", "--wait")
	})
	wg.Go(func() { p.helm(1, "install", "crash", appChart, "--wait", "--timeout", "15s", "--set", crash) })
	wg.Go(func() {
		p.helm(0, "install", "stuck", appChart, "--wait")
		args := append([]string{p.scene.helm}, "upgrade", "stuck", appChart, "--wait", "--set", notReady)
		if p.wrapped {
			args = append([]string{fairlead(), "helm"}, args[1:]...)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = p.base()
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			p.t.Error(err)
			return
		}
		p.started("stuck", 2)
		time.Sleep(2 * time.Second)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	wg.Wait()
}

// wantPlay is what is to be told of it.
func (p play) want() map[string][]string {
	last := "upgrade 2 running"
	if p.wrapped {
		last = "upgrade 2 cancelled" // the wrapper's claim expired
	}
	return map[string][]string{
		"well":   {"install 1 succeeded"},
		"undone": {"install 1 succeeded", "upgrade 2 failed", "rollback 3 succeeded to 1 automatic"},
		"back":   {"install 1 succeeded", "upgrade 2 succeeded", "rollback 3 succeeded to 1"},
		"crash":  {"install 1 failed"},
		"stuck":  {"install 1 succeeded", last},
	}
}

// dataDir is a directory that an agent may be started on again.
func dataDir(t *testing.T) string { return filepath.Join(t.TempDir(), "agent") }
