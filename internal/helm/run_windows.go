package helm

import (
	"os"
	"os/signal"
	"syscall"
)

// notifySignals keeps Ctrl-C from ending us. The console sends it to every
// process that is attached to it, so Helm has it already.
func notifySignals(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) }

func asksToEnd(os.Signal) bool { return true }

func reachedGroup(os.Signal) bool { return true }

// terminate kills: Windows has no gentler way for a process without a window.
func terminate(p *os.Process) { _ = p.Kill() }

func killedBy(*os.ProcessState) syscall.Signal { return 0 }

// pipeKeeper does nothing: a broken pipe is an error on Windows, not a death.
type pipeKeeper struct{}

func (*pipeKeeper) open(*os.File) {}

func (*pipeKeeper) close() {}
