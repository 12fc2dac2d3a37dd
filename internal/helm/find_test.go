//go:build unix

package helm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	program := func(name string) string {
		writeFile(t, path(name), "#!/bin/sh\n")
		if err := os.Chmod(path(name), 0o755); err != nil {
			t.Fatal(err)
		}
		return path(name)
	}
	self := program("opt/fairlead")
	real := program("usr/bin/helm")
	other := program("other/helm-3.22")
	writeFile(t, path("notes/helm"), "no program")
	if err := os.MkdirAll(path("folder/helm"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"links/helm": self, "chain/helm": path("links/helm")} {
		if err := os.MkdirAll(filepath.Dir(path(link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(path("hard"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, path("hard/helm")); err != nil {
		t.Fatal(err)
	}
	dirs := func(names ...string) string {
		for i, n := range names {
			names[i] = path(n)
		}
		return strings.Join(names, ":")
	}
	cases := []struct {
		reason string
		env    map[string]string
		want   string
		err    error
		says   string
	}{
		{reason: "the first on PATH", env: map[string]string{"PATH": dirs("none", "usr/bin")}, want: real},
		{reason: "never ourselves, by symbolic link, link to a link, or hard link",
			env: map[string]string{"PATH": dirs("links", "chain", "hard", "usr/bin")}, want: real},
		{reason: "files that are no programs and directories are passed over", env: map[string]string{"PATH": dirs("notes", "folder", "usr/bin")}, want: real},
		{reason: "the override wins", env: map[string]string{"PATH": dirs("usr/bin"), EnvBin: other, EnvHelmBin: real}, want: other},
		{reason: "the override may be a name on PATH", env: map[string]string{"PATH": dirs("other"), EnvBin: "helm-3.22"}, want: other},
		{reason: "HELM_BIN wins over PATH", env: map[string]string{"PATH": dirs("usr/bin"), EnvHelmBin: other}, want: other},
		{reason: "unless it is ourselves: Helm sets it for plugins", env: map[string]string{"PATH": dirs("usr/bin"), EnvHelmBin: path("links/helm")}, want: real},
		{reason: "or stale", env: map[string]string{"PATH": dirs("usr/bin"), EnvHelmBin: "/nowhere/helm"}, want: real},
		{reason: "no helm", env: map[string]string{"PATH": dirs("links", "none")}, err: ErrNotFound, says: "install Helm"},
		{reason: "an override that does not exist is no reason to take another", env: map[string]string{"PATH": dirs("usr/bin"), EnvBin: "/nowhere/helm"}, err: ErrNotFound, says: EnvBin + "=/nowhere/helm"},
		{reason: "an override that is ourselves", env: map[string]string{"PATH": dirs("usr/bin"), EnvBin: path("links/helm")}, err: ErrRecursion, says: "is fairlead itself"},
		{reason: "a script that calls us again and again", env: map[string]string{"PATH": dirs("usr/bin"), EnvDepth: "8"}, err: ErrRecursion, says: EnvBin},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			got, err := Find(FindOptions{Getenv: func(k string) string { return c.env[k] }, Self: self})
			if !errors.Is(err, c.err) || got != c.want {
				t.Fatalf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

func TestCalledAs(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/fairlead", "#!/bin/sh\n")
	if err := errors.Join(os.Chmod(dir+"/fairlead", 0o755), os.Symlink(dir+"/fairlead", dir+"/helm")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Chdir(dir)
	for name, want := range map[string]string{"helm": dir + "/helm", "./helm": dir + "/helm", dir + "/helm": dir + "/helm", "nothing": ""} {
		if got := CalledAs(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestChildEnv(t *testing.T) {
	got := ChildEnv([]string{"A=1", "TRACEPARENT=old", EnvDepth + "=2", "B=x=y"}, "TRACEPARENT=new")
	want := []string{"A=1", "B=x=y", EnvDepth + "=3", "TRACEPARENT=new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{EnvDepth + "=1"}, ChildEnv(nil)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDetectVersion(t *testing.T) {
	forBoth(t, func(t *testing.T, major int, path string) {
		cache := t.TempDir()
		got, err := DetectVersion(context.Background(), path, cache)
		if err != nil || got.Major != major || !strings.HasPrefix(got.Text, "v") {
			t.Fatalf("got %+v, %v", got, err)
		}
		// The second time nothing is run: an answer of another kind in the cache is believed.
		file := versionFile(path, cache)
		writeFile(t, file, `{"major": 3, "text": "v3.99.0"}`)
		if got, err := DetectVersion(context.Background(), path, cache); err != nil || got.Text != "v3.99.0" {
			t.Errorf("the cache was not asked: %+v, %v", got, err)
		}
		// A damaged cache is no obstacle, nor is one that cannot be written.
		writeFile(t, file, `{"major": 30`)
		if got, err := DetectVersion(context.Background(), path, cache); err != nil || got.Major != major {
			t.Errorf("damaged cache: %+v, %v", got, err)
		}
		if got, err := DetectVersion(context.Background(), path, "/proc/nowhere"); err != nil || got.Major != major {
			t.Errorf("cache that cannot be written: %+v, %v", got, err)
		}
	})
}

func TestDetectVersionOfScriptsIsNotRemembered(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	script := filepath.Join(dir, "helm")
	for _, v := range []string{"v3.1.0", "v4.2.0"} {
		// Same size, and the time may be the same: a shim stays as it is while what it calls changes.
		writeFile(t, script, "#!/bin/sh\necho "+v+"\n")
		if err := os.Chmod(script, 0o755); err != nil {
			t.Fatal(err)
		}
		if got, err := DetectVersion(context.Background(), script, cache); err != nil || got.Text != v {
			t.Errorf("got %+v, %v; want %s", got, err, v)
		}
	}
}

func TestDetectVersionRefuses(t *testing.T) {
	script := filepath.Join(t.TempDir(), "helm")
	for reason, c := range map[string]struct{ body, says string }{
		"Helm 2":            {"echo Client: v2.17.0+ga690bad", "needs Helm 3 or 4"},
		"something else":    {"echo Microsoft Windows", "is it helm?"},
		"one that fails":    {"exit 3", "exit status 3"},
		"one without words": {":", "is it helm?"},
	} {
		t.Run(reason, func(t *testing.T) {
			writeFile(t, script, "#!/bin/sh\n"+c.body+"\n")
			if err := os.Chmod(script, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := DetectVersion(context.Background(), script, t.TempDir())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), script) {
				t.Errorf("got %v, want a word of %q", err, c.says)
			}
		})
	}
}

func BenchmarkDetectVersion(b *testing.B) {
	path := realHelm(b, 4)
	b.Run("asked", func(b *testing.B) {
		for b.Loop() {
			if _, err := DetectVersion(b.Context(), path, "/proc/nowhere"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		cache := b.TempDir()
		for b.Loop() {
			if _, err := DetectVersion(b.Context(), path, cache); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMayRecord(b *testing.B) {
	args := strings.Fields("--kube-context prod upgrade --install web ./chart -n shop --set a=b --wait --timeout 5m")
	for b.Loop() {
		MayRecord(args)
	}
}
