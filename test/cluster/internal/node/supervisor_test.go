//go:build linux

package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell returns a component that runs a script, and is ready when file exists.
func shell(name, script, file string) component {
	return component{name: name, path: "/bin/sh", args: []string{"-c", script}, ready: func(context.Context) error {
		_, err := os.Stat(file)
		return err
	}}
}

func TestSupervisorStartsStopsAndNoticesDeath(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	died := make(chan error, 1)
	s := newSupervisor(dir, func(err error) { died <- err })
	s.add(shell("good", "echo up; touch "+ready+"; exec sleep 1000", ready))
	s.add(shell("bad", "echo last words; exit 3", filepath.Join(dir, "never")))
	state := func(name string) Component {
		t.Helper()
		return s.snapshot([]string{name})[0]
	}
	if got := state("good"); got.State != StateStopped || got.Starts != 0 {
		t.Errorf("before the start: %+v", got)
	}
	if err := errors.Join(s.start("good"), s.waitReady(t.Context(), "good"), s.start("good")); err != nil {
		t.Fatal(err)
	}
	if got := state("good"); got.State != StateRunning || got.Starts != 1 || got.PID == 0 {
		t.Errorf("started twice: %+v", got)
	}
	if err := s.freeze("good", StateRunning, StatePaused, syscall.SIGSTOP); err != nil || state("good").State != StatePaused {
		t.Errorf("pause: %v, %+v", err, state("good"))
	}
	// A paused one can be stopped too, and a stopped one stays so.
	if err := errors.Join(s.stop(t.Context(), "good", syscall.SIGTERM), s.stop(t.Context(), "good", syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if got := state("good"); got.State != StateStopped || got.Exit != "signal: terminated" {
		t.Errorf("stopped: %+v", got)
	}
	if err := s.freeze("good", StateRunning, StatePaused, syscall.SIGSTOP); err == nil {
		t.Error("a stopped component was paused")
	}

	if err := s.start("bad"); err != nil {
		t.Fatal(err)
	}
	err := s.waitReady(t.Context(), "bad")
	want := "bad ended (exit status 3); the last lines of its log:\n  last words"
	if err == nil || err.Error() != want {
		t.Errorf("waitReady: %v, want %s", err, want)
	}
	if err := <-died; err.Error() != want {
		t.Errorf("died: %v, want %s", err, want)
	}
	if got := state("bad"); got.State != StateDied || got.Exit != "exit status 3" {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{s.start("nope"), s.stop(t.Context(), "nope", syscall.SIGTERM), s.waitReady(t.Context(), "nope")} {
		if err == nil || !strings.Contains(err.Error(), `"nope"`) {
			t.Errorf("unknown component: %v", err)
		}
	}
}

func TestSupervisorKillsWhatDoesNotEnd(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	s := newSupervisor(dir, func(err error) { t.Errorf("died: %v", err) })
	s.add(shell("stubborn", "trap '' TERM; touch "+ready+"; while :; do sleep 1000; done", ready))
	if err := errors.Join(s.start("stubborn"), s.waitReady(t.Context(), "stubborn")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.stop(ctx, "stubborn", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := s.snapshot([]string{"stubborn"})[0]; got.State != StateStopped || got.Exit != "signal: killed" {
		t.Errorf("%+v", got)
	}
}

func TestWaitReadySaysWhatItSawLast(t *testing.T) {
	dir := t.TempDir()
	s := newSupervisor(dir, func(error) {})
	s.add(shell("slow", "echo still loading; exec sleep 1000", filepath.Join(dir, "never")))
	if err := s.start("slow"); err != nil {
		t.Fatal(err)
	}
	defer s.stop(context.Background(), "slow", syscall.SIGKILL)
	for !strings.Contains(LastLines(s.logPath("slow"), 1), "still loading") {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.waitReady(ctx, "slow")
	if err == nil || !strings.Contains(err.Error(), "never: no such file") || !strings.Contains(err.Error(), "still loading") {
		t.Errorf("error %v", err)
	}
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, tt := range []struct{ reason, content, want string }{
		{"fewer than asked for", "a\nb\n", "  a\n  b"},
		{"more", "a\nb\nc\nd\n", "  b\n  c\n  d"},
		{"longer than what is read", strings.Repeat("x\n", tailBytes) + "y\nz\n", "  x\n  y\n  z"},
		{"empty", "", "  (the log is empty)"},
	} {
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := LastLines(path, 3); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.reason, got, tt.want)
		}
	}
	if got := LastLines(path+"-missing", 3); !strings.Contains(got, "no log") {
		t.Errorf("missing: %q", got)
	}
}
