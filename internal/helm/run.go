package helm

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// RunOptions are the inputs of [Run].
type RunOptions struct {
	// Path is the helm to run, from [Find].
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is the child's whole environment; see [ChildEnv].
	Env []string
	// Stdin and Stdout are given to Helm as they are, so that terminals, pipes
	// and bytes are exactly Helm's; nil is this process's own.
	Stdin, Stdout *os.File
	// Stderr receives Helm's stderr as it comes, byte for byte; nil is os.Stderr.
	Stderr io.Writer
	// OnStart is called once with the process id when Helm runs; may be nil.
	OnStart func(pid int)
	// OnSignal is called for each signal that asks to end, after it was
	// forwarded where that is needed; may be nil. It must not block.
	OnSignal func(os.Signal)
}

// Result says how Helm ended.
type Result struct {
	// ExitCode is Helm's own, or 128+n when signal n killed it, as a shell says.
	ExitCode int
	// Signal is the signal that killed Helm; 0 when it exited by itself.
	Signal syscall.Signal
	// Cancelled is set when this process was asked to end (SIGINT, SIGTERM,
	// SIGHUP or the context) while Helm ran.
	Cancelled bool
	// Start and End are when Helm began and ended.
	Start, End time.Time
	// Stderr is the end of what Helm wrote there, at most [TailBytes], not redacted.
	Stderr string
	// StderrTruncated is set when Helm wrote more than that.
	StderrTruncated bool
}

// TailBytes is how much of Helm's stderr is kept. The error is at the end; 64
// KiB hold any error of Helm's together with the warnings before it, and a
// --debug log cannot fill the memory.
const TailBytes = 64 << 10

// Exec replaces this process by the helm at path; it returns only an error. On
// Windows, which cannot do that, it runs helm with this process's streams and
// exits with its code.
func Exec(path string, args, env []string) error {
	return errors.New("not implemented")
}

// Run runs Helm and waits for its end. Helm stays in our process group, so that
// the terminal's signals and job control reach it as they would without us;
// signals that reach this process alone are handed on. It returns an error only
// when Helm could not be started. When ctx ends, Helm is asked to end by
// SIGTERM and waited for.
func Run(ctx context.Context, opts RunOptions) (Result, error) {
	return Result{}, errors.New("not implemented")
}
