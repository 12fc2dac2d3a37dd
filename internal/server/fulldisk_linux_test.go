package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A file system of 48 MiB is filled by somebody else: writes are refused with
// the reason, reads go on, nothing acknowledged is lost, and writes go on by
// themselves when there is room again.
func TestFullFileSystem(t *testing.T) {
	cfg := testConfig(t)
	if err := syscall.Mount("tmpfs", cfg.Store.Dir, "tmpfs", 0, "size=48m"); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			t.Skipf("SKIPPED: mounting a small file system needs root: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(cfg.Store.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	cfg.Store.MinFree = 16 << 20
	s := startServer(t, cfg)
	if code, body := sendCounter(t, s, 60); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	ballast := filepath.Join(cfg.Store.Dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 36<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.space.read(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if code, body := sendCounter(t, s, 61); code != 503 || !strings.Contains(body, "is full") {
			t.Errorf("write: %d %q, want 503 and the reason", code, body)
		}
	}
	query := "http://" + s.HTTPAddr() + "/prometheus/api/v1/query?query=http_server_request_total"
	if code, body := do(t, "GET", query, ""); code != 200 || !strings.Contains(body, `"60"`) {
		t.Errorf("read: %d %s", code, body)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	recovered := false
	for range 100 { // the guard looks once a second
		if code, _ := sendCounter(t, s, 62); code == 200 {
			recovered = true
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !recovered {
		t.Error("writes are still refused with room on the disk")
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, cfg)
	if code, body := do(t, "GET", "http://"+s.HTTPAddr()+"/prometheus/api/v1/query?query=http_server_request_total", ""); code != 200 || !strings.Contains(body, `"62"`) {
		t.Errorf("after a restart: %d %s", code, body)
	}
}
