package helm

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
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
	// Stderr receives Helm's stderr as it comes, byte for byte; nil is
	// os.Stderr. When it fails Helm goes on and its end is still kept.
	Stderr io.Writer
	// OnStart is called once with the process id when Helm runs; may be nil.
	// Signals wait for its return, Helm and its output do not.
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
	// SIGHUP, SIGQUIT or the context) while Helm ran.
	Cancelled bool
	// Start and End are when Helm began and ended.
	Start, End time.Time
	// Stderr is the end of what Helm wrote there, at most [TailBytes] and whole
	// lines where it wrote more, not redacted.
	Stderr string
	// StderrTruncated is set when Helm wrote more than that.
	StderrTruncated bool
}

// Run runs Helm and waits for its end. Helm stays in our process group, so that
// the terminal's signals and job control reach it as they would without us;
// signals that reach this process alone are handed on. It returns an error only
// when Helm could not be started. When ctx ends, Helm is asked to end by
// SIGTERM and waited for.
//
// When this process is killed Helm goes on to its end, as the release would be
// left pending otherwise, and nothing that it writes to stderr can stop it.
func Run(ctx context.Context, opts RunOptions) (Result, error) {
	stderr := opts.Stderr
	if stderr == nil {
		stderr = os.Stderr
	}
	pipe, err := newStderrPipe()
	if err != nil {
		return Result{}, err
	}
	defer pipe.close()

	cmd := exec.Command(opts.Path, opts.Args...) //nolint:noctx // ctx asks Helm to end, and never kills it
	cmd.Env = opts.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, pipe.writer
	if opts.Stdin != nil {
		cmd.Stdin = opts.Stdin
	}
	if opts.Stdout != nil {
		cmd.Stdout = opts.Stdout
	}

	signals := make(chan os.Signal, 16)
	notifySignals(signals)
	defer signal.Stop(signals)

	result := Result{Start: time.Now()}
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	pipe.started()

	tail := newTail(TailBytes)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		pipe.copyTo(stderr, tail)
	}()
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		result.End = time.Now()
		exited <- err
	}()
	if opts.OnStart != nil {
		opts.OnStart(cmd.Process.Pid)
	}

	result.Cancelled, err = relaySignals(ctx, cmd.Process, signals, exited, opts.OnSignal)
	pipe.exited()
	<-copied

	result.ExitCode, result.Signal = exitStatus(cmd.ProcessState, err)
	result.Stderr, result.StderrTruncated = tail.text()
	return result, nil
}

// relaySignals hands signals on until Helm has exited and returns whether one
// of them asked it to end, and what waiting for it returned.
func relaySignals(ctx context.Context, helm *os.Process, signals <-chan os.Signal, exited <-chan error, onSignal func(os.Signal)) (bool, error) {
	cancelled := false
	done := ctx.Done()
	for {
		select {
		case err := <-exited:
			return cancelled, err
		case <-done:
			done = nil
			cancelled = true
			terminate(helm)
			if onSignal != nil {
				onSignal(syscall.SIGTERM)
			}
		case s := <-signals:
			if !asksToEnd(s) {
				continue
			}
			cancelled = true
			if !reachedGroup(s) {
				// An error means that Helm has just ended by itself.
				_ = helm.Signal(s)
			}
			if onSignal != nil {
				onSignal(s)
			}
		}
	}
}

// exitStatus returns the exit code as a shell would, and the signal if one
// killed Helm.
func exitStatus(state *os.ProcessState, err error) (int, syscall.Signal) {
	if state == nil {
		return 1, 0
	}
	if s := killedBy(state); s != 0 {
		return 128 + int(s), s
	}
	var exit *exec.ExitError
	if code := state.ExitCode(); code >= 0 || errors.As(err, &exit) {
		return code, 0
	}
	return 1, 0
}

// stderrPipe carries Helm's stderr to us.
type stderrPipe struct {
	reader, writer *os.File
	ended          atomic.Bool
	keeper         pipeKeeper
}

func newStderrPipe() (*stderrPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &stderrPipe{reader: r, writer: w}
	p.keeper.open(r)
	return p, nil
}

// started lets go of what only Helm is to hold.
func (p *stderrPipe) started() {
	_ = p.writer.Close()
	p.keeper.close()
}

func (p *stderrPipe) close() {
	_ = p.writer.Close()
	_ = p.reader.Close()
	p.keeper.close()
}

const (
	// stderrIdle is how long stderr may be silent after Helm's exit before it is
	// taken to be complete. It is waited out only when a process that Helm left
	// behind still holds the pipe; without one the pipe ends at once.
	stderrIdle = 100 * time.Millisecond
	// stderrAfterExit bounds what such a process may add.
	stderrAfterExit = 1 << 20
)

// exited tells copyTo that only what is already in the pipe is still wanted.
func (p *stderrPipe) exited() {
	p.ended.Store(true)
	_ = p.reader.SetReadDeadline(time.Now().Add(stderrIdle))
}

// copyTo copies the pipe to both writers until its end.
func (p *stderrPipe) copyTo(out io.Writer, tail *tail) {
	buf := make([]byte, 32<<10)
	late := 0
	for {
		ended := p.ended.Load()
		if ended {
			_ = p.reader.SetReadDeadline(time.Now().Add(stderrIdle))
		}
		n, err := p.reader.Read(buf)
		if n > 0 {
			tail.write(buf[:n])
			if out != nil {
				if _, werr := out.Write(buf[:n]); werr != nil {
					out = nil
				}
			}
		}
		if ended {
			late += n
		}
		if !ended && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // Helm exited just before we read: the pipe may hold more
		}
		if err != nil || late > stderrAfterExit {
			return
		}
	}
}
