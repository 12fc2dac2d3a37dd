//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// State is what a component's process does.
type State string

const (
	// StateRunning: the process runs.
	StateRunning State = "running"
	// StateStopped: it was stopped or killed through the supervisor.
	StateStopped State = "stopped"
	// StatePaused: it gets no CPU time.
	StatePaused State = "paused"
	// StateDied: it ended by itself.
	StateDied State = "died"
)

// supervisor starts the components and watches them. It never restarts one by
// itself: a component that dies is a finding.
type supervisor struct {
	logDir string
	died   func(error) // called once for each component that ends by itself

	mu        sync.Mutex
	processes map[string]*process
}

type process struct {
	component
	cmd    *exec.Cmd
	state  State
	starts int
	ended  chan struct{} // closed when the current process is gone
	exit   error         // how it ended
}

func newSupervisor(logDir string, died func(error)) *supervisor {
	return &supervisor{logDir: logDir, died: died, processes: map[string]*process{}}
}

// add makes a component known, stopped.
func (s *supervisor) add(c component) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[c.name] = &process{component: c, state: StateStopped}
}

func (s *supervisor) get(name string) (*process, error) {
	p, ok := s.processes[name]
	if !ok {
		return nil, fmt.Errorf("no component is named %q", name)
	}
	return p, nil
}

// start runs a component that does not run; a running one stays as it is.
func (s *supervisor) start(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.get(name)
	if err != nil {
		return err
	}
	if p.state == StateRunning || p.state == StatePaused {
		return nil
	}
	log, err := os.OpenFile(s.logPath(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = environ()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd, p.state, p.ended = cmd, StateRunning, make(chan struct{})
	p.starts++
	go s.wait(p, cmd, p.ended)
	return nil
}

// wait notes a process's end. It returns with it; when the node ends, so do
// all its processes.
func (s *supervisor) wait(p *process, cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	s.mu.Lock()
	p.exit = err
	unexpected := p.state == StateRunning
	if unexpected {
		p.state = StateDied
	}
	close(ended)
	s.mu.Unlock()
	if unexpected {
		s.died(s.deathOf(p.name, err))
	}
}

func (s *supervisor) deathOf(name string, err error) error {
	return fmt.Errorf("%s ended (%w); the last lines of its log:\n%s", name, err, LastLines(s.logPath(name), 15))
}

// stop sends a signal to a component and waits until it is gone; it is killed
// when it still runs at ctx's end.
func (s *supervisor) stop(ctx context.Context, name string, signal syscall.Signal) error {
	s.mu.Lock()
	p, err := s.get(name)
	if err != nil || (p.state != StateRunning && p.state != StatePaused) {
		s.mu.Unlock()
		return err
	}
	p.state = StateStopped
	ended, target := p.ended, p.cmd.Process
	s.mu.Unlock()
	// An error means that it ended this moment, which is what was asked for.
	_ = target.Signal(signal)
	_ = target.Signal(syscall.SIGCONT)
	select {
	case <-ended:
	case <-ctx.Done():
		_ = target.Kill()
		<-ended
	}
	return nil
}

// freeze stops or continues a component's process without ending it.
func (s *supervisor) freeze(name string, from, to State, signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.get(name)
	if err != nil {
		return err
	}
	if p.state == to {
		return nil
	}
	if p.state != from {
		return fmt.Errorf("%s is %s, not %s", name, p.state, from)
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	p.state = to
	return nil
}

// waitReady waits until a component answers. It returns early when the
// process ends, with the last lines of its log.
func (s *supervisor) waitReady(ctx context.Context, name string) error {
	s.mu.Lock()
	p, err := s.get(name)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	ended := p.ended
	s.mu.Unlock()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			s.mu.Lock()
			exit := p.exit
			s.mu.Unlock()
			return s.deathOf(name, exit)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; the last lines of its log:\n%s", name, err, LastLines(s.logPath(name), 15))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Component is one process as the status shows it.
type Component struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	PID    int    `json:"pid,omitempty"` // in the cluster's namespace
	Starts int    `json:"starts"`
	Exit   string `json:"exit,omitempty"` // how it ended, when it does not run
}

func (s *supervisor) snapshot(order []string) []Component {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Component
	for _, name := range order {
		p := s.processes[name]
		c := Component{Name: name, State: p.state, Starts: p.starts}
		if p.state == StateRunning || p.state == StatePaused {
			c.PID = p.cmd.Process.Pid
		} else if p.exit != nil {
			c.Exit = p.exit.Error()
		}
		all = append(all, c)
	}
	return all
}

func (s *supervisor) logPath(name string) string { return filepath.Join(s.logDir, name+".log") }
