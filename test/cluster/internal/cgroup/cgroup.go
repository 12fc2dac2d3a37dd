//go:build linux

// Package cgroup makes and removes the control group below which all pods of
// a cluster run, with cgroup v1 hierarchies or the one of v2.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mount is where the hierarchies are mounted.
const Mount = "/sys/fs/cgroup"

// V2 reports whether the machine has the unified hierarchy only.
func V2() bool {
	var s unix.Statfs_t
	return unix.Statfs(Mount, &s) == nil && int64(s.Type) == unix.CGROUP2_SUPER_MAGIC
}

// roots are the tops of the hierarchies.
func roots() ([]string, error) {
	if V2() {
		return []string{Mount}, nil
	}
	entries, err := os.ReadDir(Mount)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries { // "cpu" may be a link to "cpu,cpuacct"
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(Mount, e.Name()))
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("no cgroup hierarchy in %s", Mount)
	}
	return dirs, nil
}

// Create makes the group in every hierarchy. The kubelet wants it to exist.
func Create(name string) error {
	dirs, err := roots()
	if err != nil {
		return err
	}
	for _, root := range dirs {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make control group: %w", err)
		}
		// A new cpuset of v1 has no CPUs, and nothing can run in it.
		if filepath.Base(root) != "cpuset" {
			continue
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove kills what still runs in the group and removes it with all groups
// below, in every hierarchy. It waits for dying processes until ctx ends.
func Remove(ctx context.Context, name string) error {
	dirs, err := roots()
	if err != nil {
		return err
	}
	for {
		var failures []error
		for _, root := range dirs {
			failures = append(failures, removeTree(filepath.Join(root, name)))
		}
		failure := errors.Join(failures...)
		if failure == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove control group %s: %w", name, failure)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// removeTree removes the directories below and including top, deepest first.
// The files in them go with them.
func removeTree(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	var failures []error
	for _, dir := range slices.Backward(dirs) {
		kill(dir)
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// kill ends the processes of one group. Those that are already gone, or whose
// group is, need nothing.
func kill(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for pid := range strings.FieldsSeq(string(b)) {
		var n int
		if _, err := fmt.Sscan(pid, &n); err == nil && n > 0 {
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
}
