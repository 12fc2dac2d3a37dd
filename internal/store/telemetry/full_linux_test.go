package telemetry

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

const inNamespace = "FAIRLEAD_TEST_IN_NAMESPACE"

// A full disk refuses writes with a clear error, goes on reading, and recovers
// once there is room. The disk is a small tmpfs in a mount namespace of the
// test's own.
func TestDiskFull(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOSPC) {
			t.Skipf("no mount namespace to be had here: %v", err)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("%s", out)
		}
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testStore(t, filepath.Join(dir, "store"), Options{MinFree: -1})
	sh := shop(time.Second)
	const batch = 50 // traces
	// store sends a batch; the shop's last partial batches are traces too.
	store := func(i int) (err error) {
		sh.Batches(i*batch, (i+1)*batch, 400, false, func(td ptrace.Traces) { err = errors.Join(err, s.ConsumeTraces(t.Context(), td)) })
		return err
	}
	n := 0
	var err error
	for ; n < 1000 && err == nil; n++ {
		err = store(n)
	}
	n-- // the last was refused
	if !errors.Is(err, ErrFull) || !s.Stats().Full || s.Stats().Refused == 0 {
		t.Fatalf("after %d batches: %v, %+v", n, err, s.Stats())
	}
	t.Logf("full after %d batches: %v", n, err)
	checkTraces(t, s, sh, 0, n*batch)
	if err := store(n); !errors.Is(err, ErrFull) {
		t.Errorf("still full, and ConsumeTraces gave %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := store(n); err != nil {
		t.Fatalf("there is room again: %v", err)
	}
	if s.Stats().Full {
		t.Error("Stats still says full")
	}
	checkTraces(t, s, sh, 0, (n+1)*batch)

	// With a reserve the refusal comes before the disk is full, and says so.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = testStore(t, filepath.Join(dir, "store"), Options{MinFree: 1 << 30})
	if err := store(n + 1); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "1024 MiB are kept free") {
		t.Errorf("with a reserve: %v", err)
	}
	checkTraces(t, s, sh, 0, (n+1)*batch)
}
