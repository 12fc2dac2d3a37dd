//go:build linux

package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/fairlead/test/cluster/internal/cgroup"
	"fairlead.dev/fairlead/test/cluster/internal/node"
)

// Words of the keeper's standard input after the request.
const (
	wordDetach = "detach" // live on when the input ends
	wordKeep   = "keep"   // leave the state directory
)

// request is the first line of the keeper's standard input.
type request struct {
	Name     string            `json:"name"`
	Config   node.Config       `json:"config"`
	Programs map[string]string `json:"programs"` // name in the cluster's PATH, and the file
}

// Commands that this program is started again with, in a cluster's processes.
const (
	KeeperCommand = "keeper"
	InitCommand   = "init"
	NodeCommand   = "node"
	ChildCommand  = "child"
)

// Keep is the process that outlives everything of a cluster: it makes the
// state directory, starts the namespaces, and removes all of it when it is
// told to, when the namespaces end, or when its input ends without
// wordDetach, as it does when the process that asked for the cluster is
// killed. What goes wrong is returned, with the end of the node's log.
func Keep(in io.Reader) error {
	input := bufio.NewReader(in)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	unlock, err := lock(r.Name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := remove(r.Name, false); err != nil { // an earlier one's
		return fmt.Errorf("remove what an earlier cluster left: %w", err)
	}
	keep := false
	err = keepRunning(r, input, signals, &keep)
	return errors.Join(err, remove(r.Name, keep))
}

func keepRunning(r request, input *bufio.Reader, signals <-chan os.Signal, keep *bool) error {
	c, err := prepare(r)
	if err != nil {
		return err
	}
	log, err := os.Create(c.Log("node"))
	if err != nil {
		return err
	}
	defer log.Close()
	// The signal of the parent's death is bound to the thread that forks.
	runtime.LockOSThread()
	self := exec.Command("/proc/self/exe", InitCommand, c.Dir)
	self.Stdout, self.Stderr = log, log
	self.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
	if err := self.Start(); err != nil {
		return fmt.Errorf("make namespaces (this needs CAP_SYS_ADMIN): %w", err)
	}
	c.Keeper, c.Init = os.Getpid(), self.Process.Pid
	if err := c.save(); err != nil {
		_ = self.Process.Kill()
		return errors.Join(err, self.Wait())
	}
	ended := make(chan error, 1)
	words := make(chan string)
	go readWords(input, words) // ends with the process at the latest
	go func() { ended <- self.Wait() }()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the cluster's first process ended (%w); the last lines of the log:\n%s", err, node.LastLines(c.Log("node"), 15))
		case word, more := <-words:
			if word == wordKeep {
				*keep = true
			}
			if word == wordDetach {
				words = nil
				if err := detach(log); err != nil {
					return err
				}
			}
			if more {
				continue
			}
		case <-signals:
		}
		// Its whole PID namespace goes with it; that it was killed is no news.
		_ = self.Process.Kill()
		<-ended
		return nil
	}
}

// readWords sends each line and closes words at the input's end.
func readWords(input *bufio.Reader, words chan<- string) {
	defer close(words)
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		words <- strings.TrimSpace(line)
	}
}

// detach lets go of the terminal and pipes of whoever asked for the cluster.
func detach(log *os.File) error {
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// prepare fills the state directory and makes the control group.
func prepare(r request) (Cluster, error) {
	c := Cluster{Name: r.Name, Dir: r.Config.Dir}
	own := filepath.Join(c.Dir, "images")
	c.Images = append([]string{own}, r.Config.Images...)
	if err := node.Prepare(r.Config, time.Now()); err != nil {
		return c, fmt.Errorf("prepare the state directory: %w", err)
	}
	for _, dir := range []string{own, filepath.Join(c.Dir, "bin"), filepath.Join(c.Dir, "helm")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return c, err
		}
	}
	for name, file := range r.Programs {
		if err := os.Symlink(file, filepath.Join(c.Dir, "bin", name)); err != nil {
			return c, err
		}
	}
	return c, cgroup.Create(r.Config.Cgroup)
}
