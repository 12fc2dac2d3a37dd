//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"fairlead.dev/fairlead/test/cluster/internal/addon"
	"fairlead.dev/fairlead/test/cluster/internal/image"
	"fairlead.dev/fairlead/test/cluster/internal/node"
)

// NameVariable is set inside a cluster to its name.
const NameVariable = "FAIRLEAD_TEST_CLUSTER"

// Environ is base with what commands inside the cluster get beside it.
func (c Cluster) Environ(base []string) []string {
	bin := filepath.Join(c.Dir, "bin")
	helm := filepath.Join(c.Dir, "helm")
	env := append(slices.Clone(base),
		NameVariable+"="+c.Name,
		"KUBECONFIG="+c.Kubeconfig(),
		"PATH="+bin+":"+os.Getenv("PATH"),
		"HELM_CACHE_HOME="+filepath.Join(helm, "cache"),
		"HELM_CONFIG_HOME="+filepath.Join(helm, "config"),
		"HELM_DATA_HOME="+filepath.Join(helm, "data"),
		"FAIRLEAD_TEST_HELM3="+filepath.Join(bin, "helm3"),
		"FAIRLEAD_TEST_HELM4="+filepath.Join(bin, "helm4"),
		"FAIRLEAD_TEST_KUBECTL="+filepath.Join(bin, "kubectl"),
		"FAIRLEAD_TEST_CLUSTERCTL="+filepath.Join(bin, "cluster"),
		"FAIRLEAD_TEST_REGISTRY="+image.Host,
		"FAIRLEAD_TEST_NODE_ADDRESS="+node.Address,
		"FAIRLEAD_TEST_GATEWAY=http://"+addon.GatewayAddress,
		"FAIRLEAD_TEST_LOGS="+filepath.Join(c.Dir, node.LogDir),
	)
	return env
}

// Exec runs a command inside the cluster's namespaces with this process's
// standard streams and working directory, and returns its exit code: 128 and
// the signal's number when a signal ended it. Signals that this process gets
// are passed on. It dies with the cluster and with this process.
func (c Cluster) Exec(ctx context.Context, argv []string) (int, error) {
	type result struct {
		code int
		err  error
	}
	done := make(chan result)
	// The thread that enters the namespaces is of no use afterwards: it is
	// locked, and ends with its goroutine.
	go func() {
		runtime.LockOSThread()
		code, err := c.exec(ctx, argv)
		done <- result{code, err}
	}()
	r := <-done
	return r.code, r.err
}

func (c Cluster) exec(ctx context.Context, argv []string) (int, error) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	env := c.Environ(os.Environ())
	path, err := lookPath(argv[0], filepath.Join(c.Dir, "bin"))
	if err != nil {
		return 0, err
	}
	if err := enter(c.Init); err != nil {
		return 0, fmt.Errorf("enter cluster %q: %w", c.Name, err)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{ChildCommand, "--", path}, argv...)...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case s := <-signals:
				if s != syscall.SIGINT || !term.IsTerminal(int(os.Stdin.Fd())) {
					_ = cmd.Process.Signal(s) // it may have ended just now
				}
			case <-stop:
				return
			}
		}
	}()
	return exitCode(cmd.Wait())
}

// Child becomes the command argv at path, after it made sure that it dies with
// its parent. (SysProcAttr.Pdeathsig does not know of parents in another PID
// namespace: it takes them for dead.)
func Child(path string, argv []string) error {
	runtime.LockOSThread() // the setting is the thread's, and execve keeps the thread
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("die with the parent: %w", err)
	}
	// A parent outside of this namespace has the number 0; an orphan's is 1.
	if os.Getppid() != 0 {
		return errors.New("the parent ended")
	}
	return fmt.Errorf("run %s: %w", path, unix.Exec(path, argv, os.Environ()))
}

// forwarded are the signals that the command gets from us. The terminal sends
// SIGINT to the command itself; Notify only keeps it from ending us.
func forwarded() []os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// lookPath finds a command as the shell would, in first and then the PATH.
func lookPath(name, first string) (string, error) {
	if filepath.Base(name) == name {
		if path := filepath.Join(first, name); unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// enter moves this thread into the namespaces of a process, and its children
// into its PID namespace.
func enter(pid int) error {
	// A thread that shares its root directory cannot change its mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	kinds := []struct {
		name string
		flag int
	}{
		{"net", unix.CLONE_NEWNET}, {"uts", unix.CLONE_NEWUTS}, {"ipc", unix.CLONE_NEWIPC},
		{"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS},
	}
	for _, kind := range kinds {
		path := fmt.Sprintf("/proc/%d/ns/%s", pid, kind.name)
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.Setns(int(f.Fd()), kind.flag)
		f.Close()
		if err != nil {
			return fmt.Errorf("join %s: %w", path, err)
		}
	}
	return nil
}
