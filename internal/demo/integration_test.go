//go:build integration

package demo_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// firstRollback is how long a stranger may wait, from git clone to the demo's
// rollback, after the build.
const firstRollback = 2 * time.Minute

// clone clones what is committed, as a stranger does; where there are changes
// that are not committed it is this checkout.
func clone(t *testing.T) string {
	t.Helper()
	here, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	changes, err := exec.Command("git", "-C", here, "status", "--porcelain").Output()
	if err != nil || len(changes) > 0 {
		t.Logf("not in a clone, but in this checkout: %v, changes:\n%s", err, changes)
		return here
	}
	dir := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "--quiet", here, dir).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	return dir
}

// fairlead builds the program and returns a command that runs its demo, with
// temporary files below dir.
func fairlead(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	return built(t, filepath.Join("..", ".."), dir, args...)
}

func built(t *testing.T, source, dir string, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fairlead-under-test") // its own name, to find its processes
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/fairlead")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build has it: compiled once
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, append([]string{"demo", "--http", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	t.Cleanup(func() {
		if left := processes(t, path); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) > 0 {
			t.Errorf("left behind: %v, %v", files, err)
		}
	})
	return cmd
}

// processes returns the command lines of the processes that run a program.
func processes(t *testing.T, path string) (found []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Log("processes that are left behind are looked for on Linux only")
		return nil
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatalf("no processes in /proc: %v", err)
	}
	for _, file := range lines {
		text, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(text), path) { // others end meanwhile
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

// noted keeps what is written, and when a word was first among it.
type noted struct {
	text bytes.Buffer // not embedded: its ReadFrom would go past Write
	word string
	at   time.Time
}

func (n *noted) Write(b []byte) (int, error) {
	written, err := n.text.Write(b)
	if n.at.IsZero() && bytes.Contains(n.text.Bytes(), []byte(n.word)) {
		n.at = time.Now()
	}
	return written, err
}

// TestIntegrationDemo: the whole story, from a clone, as a stranger runs it.
func TestIntegrationDemo(t *testing.T) {
	t.Parallel()
	began := time.Now()
	source := clone(t)
	cloned := time.Since(began)
	cmd := built(t, source, t.TempDir(), "--cluster=none", "--exit")
	out, errs := noted{word: "ROLLED BACK"}, bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = &out, &errs
	began = time.Now()
	err := cmd.Run()
	took := time.Since(began)
	t.Logf("clone %s, demo %s\n%s%s", cloned.Round(time.Second/10), took.Round(time.Second), out.text.String(), errs.String())
	if err != nil {
		t.Fatalf("the demo: %v", err)
	}
	if waited := cloned + out.at.Sub(began); out.at.IsZero() || waited > firstRollback {
		t.Errorf("from git clone to the rollback it took %s beside the build, more than %s", waited, firstRollback)
	}
	rest := out.text.String()
	for _, want := range []string{
		"1. shop 1.1.0", "5 % to the canary", "25 % to the canary", "50 % to the canary", "100 % to the canary", "promoted", "shop 1.1.0 is stable",
		"2. shop 1.2.0", "ROLLED BACK", "/checkout: canary", "all of it to stable", "shop 1.1.0 serves",
		"why", "payment.region=eu", "/checkout", "refused the connection",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the story lacks %q at its place", want)
		}
		rest = after
	}
}

// TestIntegrationDemoInterrupted: Ctrl-C in the middle leaves nothing behind.
func TestIntegrationDemoInterrupted(t *testing.T) {
	t.Parallel()
	cmd := fairlead(t, t.TempDir(), "--cluster=none", "--keep")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 0, 4096)
	for buffer := make([]byte, 512); !bytes.Contains(said, []byte("history")); {
		n, err := stdout.Read(buffer)
		said = append(said, buffer[:n]...)
		if err != nil {
			t.Fatalf("it ended early: %s", said)
		}
	}
	if n := len(processes(t, cmd.Path)); runtime.GOOS == "linux" && n != 5 {
		t.Errorf("%d processes run, want the demo, three of the shop and the payment provider", n)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stdout)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want exit code 130", err)
	}
}

// TestIntegrationDemoPortInUse: what to do is said.
func TestIntegrationDemoPortInUse(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cmd := fairlead(t, t.TempDir(), "--cluster=none", "--http", listener.Addr().String())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--http 127.0.0.1:0") || !strings.Contains(string(out), listener.Addr().String()) {
		t.Errorf("%v: %s", err, out)
	}
}
