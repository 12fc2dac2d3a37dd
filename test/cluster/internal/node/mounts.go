//go:build linux

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountAll makes the mount namespace's view of the machine: its own /proc,
// /sys, /run, /var/log, and directories of /var/lib that lie in the state
// directory. The machine's own directories are never written to, so nothing
// of the cluster is left in them.
func mountAll(c Config) error {
	// Private while we work, so that nothing reaches the machine's mounts.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	resolvConf, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		resolvConf = "" // none: nothing to replace
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := freshSys(c.path("cgroups")); err != nil {
		return err
	}
	for _, dir := range []string{"/run", "/var/log"} {
		if err := mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return err
		}
	}
	err = shadow("/var/lib", map[string]string{
		"containerd": c.path("containerd"),
		"kubelet":    c.path("kubelet"),
		"cni":        c.path("cni"),
	})
	if err != nil {
		return err
	}
	if resolvConf != "" {
		if err := replaceFile(resolvConf, c.path("resolv.conf")); err != nil {
			return err
		}
	}
	// The kubelet's mounts must reach the runtime's and back.
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// freshSys mounts a /sys of this network namespace, with the machine's control
// groups in it. aside is a directory that it makes and leaves empty.
func freshSys(aside string) error {
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	if err := mount("/sys/fs/cgroup", aside, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if err := mount(aside, "/sys/fs/cgroup", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Unmount(aside, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", aside, err)
	}
	return nil
}

// shadow covers dir by a directory in memory, in which every entry is the one
// that was there, except for ours: name to source.
func shadow(dir string, ours map[string]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	aside := "/run/shadow"
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	if err := mount(dir, aside, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	bind := func(source, target string) error {
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		return mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
	}
	for _, e := range entries {
		if _, replaced := ours[e.Name()]; replaced || !e.IsDir() {
			continue
		}
		if err := bind(filepath.Join(aside, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for name, source := range ours {
		if err := bind(source, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := unix.Unmount(aside, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", aside, err)
	}
	return os.Remove(aside)
}

// replaceFile shows source at the path of target, which may have been below
// /run and be gone with it.
func replaceFile(target, source string) error {
	if strings.HasPrefix(target, "/run/") {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	return mount(source, target, "", unix.MS_BIND, "")
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s %s on %s: %w", fstype, source, target, err)
	}
	return nil
}
