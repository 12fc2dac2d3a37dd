package artifact

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestVersionsAgreeWithModule keeps what is shown and linked in as a version
// from drifting away from what is built.
func TestVersionsAgreeWithModule(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range map[string]string{
		"k8s.io/kubernetes":             KubernetesVersion,
		"github.com/coredns/coredns":    CoreDNSVersion,
		"github.com/traefik/traefik/v3": TraefikVersion,
	} {
		if !strings.Contains(string(b), "\t"+module+" "+version) {
			t.Errorf("go.mod does not require %s %s", module, version)
		}
	}
}

func TestKeyFollowsItsInputs(t *testing.T) {
	source := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("go.sum", "a")
	put("cmd/x/main.go", "b")
	put("cmd/y/main.go", "c")
	key := func(words ...string) string {
		t.Helper()
		k, err := Cache{Source: source}.key(words, "go.sum", "cmd/x")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	before := key("w")
	put("cmd/y/main.go", "changed")
	put("cmd/x/main_test.go", "new test")
	if key("w") != before {
		t.Error("the key changed with what is not an input")
	}
	if key("other") == before {
		t.Error("the key did not change with the words")
	}
	put("cmd/x/main.go", "changed")
	if key("w") == before {
		t.Error("the key did not change with an input")
	}
	if _, err := (Cache{Source: source}).key(nil, "missing"); err == nil {
		t.Error("a missing input has a key")
	}
}

func TestConcurrentBuildersBuildOnce(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: io.Discard}
	var builds atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := c.ensure(t.Context(), "thing", "key", "for a test", func(dir string) error {
				builds.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(filepath.Join(dir, "file")); string(b) != "x" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	wg.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("%d builds", n)
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: io.Discard}
	broken := errors.New("broken")
	if _, err := c.ensure(t.Context(), "thing", "key", "for a test", func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(c.Dir)
	if err != nil || len(left) != 1 || left[0].Name() != ".thing.lock" {
		t.Errorf("left %v, %v, want the lock only", left, err)
	}
}

func TestUnusedVersionsAreRemoved(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: io.Discard}
	build := func(key string) string {
		t.Helper()
		dir, err := c.ensure(t.Context(), "thing", key, "for a test", func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	old, recent := build("old"), build("recent")
	long := time.Now().Add(-2 * unusedFor)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	build("new")
	if _, err := os.Stat(old); err == nil {
		t.Error("the unused version is still there")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("the recent version: %v", err)
	}
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: new(bytes.Buffer)}
	unlock, err := c.lock(t.Context(), "thing")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ensure(ctx, "thing", "key", "", func(string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestUnknownHelm(t *testing.T) {
	if _, err := (Cache{}).Helm(t.Context(), "5"); err == nil || !strings.Contains(err.Error(), `"5"`) {
		t.Errorf("error %v", err)
	}
}
