// Package artifact builds what a cluster runs and keeps it in the user's cache
// directory. Everything comes from Go modules and this module's own source.
// Start with Cache.Build.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Cache is where artifacts are built and kept. Each has a directory of its
// own, named after a hash of what it is made from; concurrent builders of the
// same artifact wait for one another.
type Cache struct {
	Dir    string    // the cache; see DefaultDir
	Source string    // the directory of this module
	Log    io.Writer // progress
}

// DefaultDir is the test bed's place in the user's cache directory.
func DefaultDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w", err)
	}
	return filepath.Join(dir, "fairlead", "cluster"), nil
}

// unusedFor is how long an artifact may lie unused before the next build of
// the same name removes it. Two weeks outlast a branch; a set is 550 MB.
const unusedFor = 14 * 24 * time.Hour

// ensure returns the directory of an artifact; build fills it if it is not
// there yet. what says in a few words what is being built.
func (c Cache) ensure(ctx context.Context, name, key, what string, build func(dir string) error) (string, error) {
	dir := filepath.Join(c.Dir, name+"-"+key)
	if c.touch(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := c.lock(ctx, name)
	if err != nil {
		return "", fmt.Errorf("lock the build of %s: %w", name, err)
	}
	defer unlock()
	if c.touch(dir) {
		return dir, nil
	}
	started := time.Now()
	fmt.Fprintf(c.Log, "building %s: %s\n", name, what)
	temporary, err := os.MkdirTemp(c.Dir, ".building-"+name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	if err := build(temporary); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return "", err
	}
	fmt.Fprintf(c.Log, "built %s in %s\n", name, time.Since(started).Round(100*time.Millisecond))
	return dir, c.prune(name, dir)
}

// touch reports whether dir exists, and marks it as used.
func (c Cache) touch(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

func (c Cache) lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(c.Dir, "."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for waited := false; ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, err
		}
		if !waited {
			fmt.Fprintf(c.Log, "waiting for another process that builds %s\n", name)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// prune removes the artifact's other versions that nobody used lately.
func (c Cache) prune(name, keep string) error {
	siblings, err := filepath.Glob(filepath.Join(c.Dir, name+"-*"))
	if err != nil {
		return err
	}
	for _, s := range siblings {
		info, err := os.Stat(s)
		if s == keep || err != nil || time.Since(info.ModTime()) < unusedFor {
			continue
		}
		if err := os.RemoveAll(s); err != nil {
			return err
		}
	}
	return nil
}

// key hashes what decides an artifact's content: the Go version and platform,
// the given words, and the files and directories below the module's source.
func (c Cache) key(words []string, inputs ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %q\n", runtime.Version(), runtime.GOARCH, words)
	for _, input := range inputs {
		err := filepath.WalkDir(filepath.Join(c.Source, input), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(c.Source, path)
			fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(name), len(b))
			h.Write(b)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("hash %s: %w", input, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
