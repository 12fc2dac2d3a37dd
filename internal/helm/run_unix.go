//go:build unix

package helm

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// notifySignals subscribes to the signals that would end Helm, so that they
// don't end us first, and to SIGPIPE, so that a closed stderr does not. A signal
// that our parent has set to be ignored (nohup) stays ignored, for Helm too.
func notifySignals(c chan<- os.Signal) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE} {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
}

// asksToEnd reports whether a signal is a wish that Helm end.
func asksToEnd(s os.Signal) bool { return s != syscall.SIGPIPE }

// reachedGroup reports whether the signal is one that the terminal sends to its
// whole foreground process group, and that group is ours: then Helm has it
// already. A `kill -INT` of this process alone, typed at another terminal while
// we stand in the foreground, looks the same and is not handed on; SIGTERM is.
func reachedGroup(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false // no controlling terminal
	}
	defer func() { _ = tty.Close() }()
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

func terminate(p *os.Process) { _ = p.Signal(syscall.SIGTERM) }

func killedBy(state *os.ProcessState) syscall.Signal {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return 0
}

// keeperFD is the lowest number that the keeper's descriptor gets: above those
// that shells hand down (3 to 9 by redirection, 63 and below for <(command)).
const keeperFD = 100

// pipeKeeper hands Helm the reading end of its own stderr pipe. When we are
// killed the pipe is not broken then, and Helm, which would die of SIGPIPE at
// its next warning and leave the release pending, ends its work.
type pipeKeeper struct{ fd int }

func (k *pipeKeeper) open(r *os.File) {
	conn, err := r.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		// Without close-on-exec, so that the child inherits it.
		if n, err := unix.FcntlInt(fd, unix.F_DUPFD, keeperFD); err == nil {
			k.fd = n
		}
		growPipe(fd)
	})
}

func (k *pipeKeeper) close() {
	if k.fd > 0 {
		_ = unix.Close(k.fd)
		k.fd = 0
	}
}
