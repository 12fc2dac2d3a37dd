//go:build linux

package cluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "fairlead": true, "run-123": true, strings.Repeat("x", 32): true,
		"": false, "-a": false, "a-": false, "A": false, "a/b": false, "..": false, strings.Repeat("x", 33): false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestJudgeDisk(t *testing.T) {
	for free, want := range map[uint64]string{
		500 << 20: "/tmp has 0.5 GiB of free disk, and a cluster needs at least 1: make room, or set TMPDIR to a larger disk",
		2 << 30:   "warning: /tmp has 2.0 GiB of free disk, and a cluster needs up to 3: pods stay Pending when it is full\n",
		9 << 30:   "",
	} {
		var log strings.Builder
		got := ""
		if err := judgeDisk("/tmp", free, &log); err != nil {
			got = err.Error()
		}
		if got += log.String(); got != want {
			t.Errorf("%d bytes: %q, want %q", free, got, want)
		}
	}
}

func TestLock(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	unlock, err := lock("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock("a"); !errors.Is(err, ErrRunning) {
		t.Errorf("second lock: %v", err)
	}
	other, err := lock("b")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if _, err := os.Stat(base()); err != nil {
		t.Errorf("the directory of b's lock is gone: %v", err)
	}
	other()
	if _, err := os.Stat(base()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left after the last unlock: %v", err)
	}
}

func TestForeignBaseIsRefused(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Symlink(t.TempDir(), base()); err != nil {
		t.Fatal(err)
	}
	if _, err := lock("a"); err == nil || !strings.Contains(err.Error(), base()) {
		t.Errorf("a link: %v", err)
	}
}

// TestFindTellsRemainsFromClusters: a state directory whose keeper is dead is
// no cluster.
func TestFindTellsRemainsFromClusters(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if _, err := Find("a"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("nothing there: %v", err)
	}
	c := Cluster{Name: "a", Dir: stateDir("a"), Init: 1}
	if err := errors.Join(os.MkdirAll(c.Dir, 0o755), c.save()); err != nil {
		t.Fatal(err)
	}
	if _, err := Find("a"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("remains: %v", err)
	}
	unlock, err := lock("a")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if got, err := Find("a"); err != nil || got.Init != 1 {
		t.Errorf("locked: %+v, %v", got, err)
	}
	if names, err := Names(); err != nil || len(names) != 1 || names[0] != "a" {
		t.Errorf("Names: %v, %v", names, err)
	}
}

func TestExitCode(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		got, err := exitCode(exec.Command("/bin/sh", "-c", script).Run())
		if got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", script, got, err, want)
		}
	}
	if _, err := exitCode(exec.Command("/nonexistent").Run()); err == nil {
		t.Error("a command that cannot start has an exit code")
	}
}

func TestLookPathPrefersTheClustersPrograms(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "sh")
	if err := os.WriteFile(mine, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := lookPath("sh", dir); got != mine || err != nil {
		t.Errorf("sh: %s, %v", got, err)
	}
	if got, err := lookPath("/bin/sh", dir); got != "/bin/sh" || err != nil {
		t.Errorf("/bin/sh: %s, %v", got, err)
	}
	if _, err := lookPath("no-such-program", dir); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
}
