//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Init is the first process of a cluster's namespaces. It starts self with
// args, which must call Run, reaps every orphan, and returns when that process
// ends; everything else in the namespaces ends with it.
func Init(self string, args []string) error {
	pid, err := syscall.ForkExec(self, append([]string{self}, args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case ended == pid && status.Signaled():
			return fmt.Errorf("the node was ended by signal %d", status.Signal())
		case ended == pid && status.ExitStatus() != 0:
			return fmt.Errorf("the node ended with exit status %d", status.ExitStatus())
		case ended == pid:
			return nil
		}
	}
}

// Run sets up the namespaces it is in, starts the cluster and serves the
// control socket until it is killed. An error while starting is shown by the
// control socket; the one it returns is about the time before.
func Run(dir string) error {
	c, err := LoadConfig(dir)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := unix.Sethostname([]byte(Name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := mountAll(c); err != nil {
		return err
	}
	if err := setupNetwork(); err != nil {
		return err
	}
	n, err := newNode(c, started)
	if err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	n.start()
	select {} // until killed
}
