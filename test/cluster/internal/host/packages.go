// Package host is about the machine that a cluster runs on: the distribution's
// programs it needs, and whether it can run one at all.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// ErrUnsupported is wrapped by errors that say why this machine or user cannot
// run a cluster of its own.
var ErrUnsupported = errors.New("no cluster can be started here")

// Path is where programs are looked for, whatever the caller's PATH.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// tools are the programs of the distribution and the Debian packages they are in.
var tools = map[string]string{
	"containerd":              "containerd",
	"containerd-shim-runc-v2": "containerd",
	"runc":                    "runc",
	"nft":                     "nftables",
	"iptables":                "iptables",
	"conntrack":               "conntrack",
}

// cniDirs are where distributions put the CNI plugins.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

const cniPackage = "containernetworking-plugins"

// Supported returns nil when this process may start a cluster, else an error
// that wraps ErrUnsupported and says why not.
func Supported() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: it needs Linux, this is %s", ErrUnsupported, runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root for namespaces and cgroups, the user id is %d", ErrUnsupported, os.Geteuid())
	}
	return nil
}

// Find returns the path of one of the distribution's programs.
func Find(tool string) (string, error) {
	for _, dir := range filepath.SplitList(Path) {
		path := filepath.Join(dir, tool)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s in %s: %w", tool, Path, exec.ErrNotFound)
}

// CNIDir returns the directory with the CNI plugins.
func CNIDir() (string, error) {
	for _, dir := range cniDirs {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find the CNI plugin ptp in %s: %w", strings.Join(cniDirs, ", "), exec.ErrNotFound)
}

// missing returns the packages whose programs are not there, sorted.
func missing() []string {
	var packages []string
	for tool, pkg := range tools {
		if _, err := Find(tool); err != nil {
			packages = append(packages, pkg)
		}
	}
	if _, err := CNIDir(); err != nil {
		packages = append(packages, cniPackage)
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

// InstallPackages installs what is missing with apt-get. Where there is no
// apt-get the error names what to install.
func InstallPackages(ctx context.Context, log io.Writer) error {
	packages := missing()
	if len(packages) == 0 {
		return nil
	}
	names := strings.Join(packages, " ")
	if _, err := Find("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks what these Debian packages hold: %s; install your distribution's counterparts", names)
	}
	fmt.Fprintf(log, "installing Debian packages: %s\n", names)
	install := append([]string{"install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}, packages...)
	if _, err := aptGet(ctx, install); err != nil {
		// The package lists are often missing or old.
		if out, err := aptGet(ctx, []string{"update"}); err != nil {
			return fmt.Errorf("apt-get update: %w\n%s", err, out)
		}
		if out, err := aptGet(ctx, install); err != nil {
			return fmt.Errorf("apt-get install %s: %w\n%s", names, err, out)
		}
	}
	if still := missing(); len(still) > 0 {
		return fmt.Errorf("after installing %s the programs of %s are still not in %s", names, strings.Join(still, " "), Path)
	}
	return nil
}

func aptGet(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
