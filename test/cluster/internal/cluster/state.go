//go:build linux

// Package cluster starts, enters and removes clusters from the outside. Start
// with Up; a Cluster is what Find and Up return.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/fairlead/test/cluster/internal/cgroup"
	"fairlead.dev/fairlead/test/cluster/internal/node"
)

// ErrNotRunning is returned when no cluster of a name runs.
var ErrNotRunning = errors.New("no such cluster is running")

// ErrRunning is returned by Up when a cluster of the name runs already.
var ErrRunning = errors.New("a cluster of this name is already running")

// namePattern keeps names good for files, control groups and, below the
// temporary directory, for the 108 bytes of a socket's path.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Cluster is a cluster of this machine.
type Cluster struct {
	Name string `json:"name"`
	Dir  string `json:"dir"` // the state directory
	// Keeper and Init are process ids: of the process that removes the
	// cluster, and of the first one in its namespaces.
	Keeper int `json:"keeper"`
	Init   int `json:"init"`
	// Images are the image stores of the registry; the first is the cluster's own.
	Images []string `json:"images"`
}

// stateFile marks a state directory whose cluster was started.
const stateFile = "cluster.json"

// keptFile marks a state directory that stays for its logs.
const keptFile = "kept"

// base is the parent of all state directories.
func base() string { return filepath.Join(os.TempDir(), "fairlead-cluster") }

// makeBase makes the parent of all state directories. One that another user
// made, to have root write where it leads, is an error.
func makeBase() error {
	if err := os.Mkdir(base(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(base())
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory of this user alone: remove it", base())
	}
	return nil
}

func stateDir(name string) string { return filepath.Join(base(), name) }

func cgroupName(name string) string { return "fairlead-test-" + name }

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("cluster name %q: want at most 32 of a-z, 0-9 and -, not - at either end", name)
	}
	return nil
}

// Find returns the running cluster of a name, or ErrNotRunning.
func Find(name string) (Cluster, error) {
	if err := checkName(name); err != nil {
		return Cluster{}, err
	}
	b, err := os.ReadFile(filepath.Join(stateDir(name), stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Cluster{}, fmt.Errorf("cluster %q: %w", name, ErrNotRunning)
	}
	if err != nil {
		return Cluster{}, err
	}
	var c Cluster
	if err := json.Unmarshal(b, &c); err != nil {
		return Cluster{}, fmt.Errorf("read the state of cluster %q: %w", name, err)
	}
	if unlock, err := lock(name); err == nil { // nobody keeps it any more
		unlock()
		return Cluster{}, fmt.Errorf("cluster %q: %w", name, ErrNotRunning)
	}
	return c, nil
}

// Names returns the names of all clusters that run.
func Names() ([]string, error) {
	locks, err := filepath.Glob(filepath.Join(base(), "*.lock"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range locks {
		name := strings.TrimSuffix(filepath.Base(l), ".lock")
		if _, err := Find(name); err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

func (c Cluster) save() error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, stateFile), b, 0o644)
}

// Kubeconfig is the path of the administrator's configuration. It works for
// processes inside the cluster's network namespace.
func (c Cluster) Kubeconfig() string { return filepath.Join(c.Dir, node.KubeconfigFile) }

// Log is the path of a component's log; "node" is the supervisor's own.
func (c Cluster) Log(component string) string {
	return filepath.Join(c.Dir, node.LogDir, component+".log")
}

// control is a client of the control socket.
func (c Cluster) control() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.Dir, node.SocketFile))
		},
	}}
}

// lock takes the lock of a name, which the keeper of a cluster holds as long
// as the cluster or its remains exist. The error is ErrRunning when it is held.
func lock(name string) (unlock func(), err error) {
	path := stateDir(name) + ".lock"
	for {
		if err := makeBase(); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the last cluster's end removed the directory meanwhile
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("cluster %q: %w", name, ErrRunning)
			}
			return nil, err
		}
		held, err := f.Stat()
		current, err2 := os.Stat(path)
		if err == nil && err2 == nil && os.SameFile(held, current) {
			return func() {
				os.Remove(path)
				os.Remove(base()) // the last one's; fails while it is not empty
				f.Close()
			}, nil
		}
		f.Close() // its last holder removed it meanwhile
	}
}

// removeTimeout is how long dying processes may hold control groups.
const removeTimeout = 30 * time.Second

// remove deletes what a dead cluster left. The caller holds the lock. With
// keep the state directory stays.
func remove(name string, keep bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	err := cgroup.Remove(ctx, cgroupName(name))
	dir := stateDir(name)
	if keep {
		return errors.Join(err, os.WriteFile(filepath.Join(dir, keptFile), nil, 0o644))
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// sweep removes the remains of clusters whose keeper was killed.
func sweep() error {
	entries, err := os.ReadDir(base())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var failures []error
	for _, e := range entries {
		if !e.IsDir() || checkName(e.Name()) != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(base(), e.Name(), keptFile)); err == nil {
			continue
		}
		unlock, lockErr := lock(e.Name())
		if lockErr != nil {
			continue // it lives
		}
		failures = append(failures, remove(e.Name(), false))
		unlock()
	}
	return errors.Join(append(failures, err)...)
}
