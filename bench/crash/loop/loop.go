// Package loop is the crash loop: kill under load, start again, count.
package loop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say what to kill and how often.
type Options struct {
	Server   string // the fairlead program
	Dir      string // data directory; "" makes one and removes it
	Kills    int
	Between  time.Duration
	Senders  int
	Seed     int64
	Args     []string // more arguments of the server
	Progress func(format string, args ...any)
}

// Count is what became of one signal.
type Count struct {
	Acknowledged int `json:"acknowledged"`
	Found        int `json:"found"`
}

// Result is what the loop saw. Recovery is the longest time from start to
// ready after a kill.
type Result struct {
	Kills    int           `json:"kills"`
	Metrics  Count         `json:"metrics"`
	Traces   Count         `json:"traces"`
	Logs     Count         `json:"logs"`
	Recovery time.Duration `json:"recoveryNanoseconds"`
}

// Lost reports whether anything acknowledged is missing.
func (r Result) Lost() bool {
	return r.Metrics.Found < r.Metrics.Acknowledged || r.Traces.Found < r.Traces.Acknowledged || r.Logs.Found < r.Logs.Acknowledged
}

// startTimeout is how long a start may take; recovery is proportional to the
// log, which stays small here.
const startTimeout = time.Minute

// Run kills and counts.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "fairlead-crash-")
		if err != nil {
			return Result{}, err
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	rnd := rand.New(rand.NewSource(o.Seed))
	acked := newLedger()
	var r Result
	for range o.Kills {
		p, err := startServer(ctx, o)
		if err != nil {
			return r, err
		}
		r.Recovery = max(r.Recovery, p.ready)
		send, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		for range o.Senders {
			wg.Go(func() { sender(send, p.otlp, acked) })
		}
		pause(ctx, 100*time.Millisecond+time.Duration(rnd.Int63n(int64(o.Between))))
		err = p.kill()
		stop()
		wg.Wait()
		if err != nil {
			return r, err
		}
		r.Kills++
		m, t, l := acked.sizes()
		o.Progress("kill %d: ready after %s; acknowledged so far: %d points, %d spans, %d records", r.Kills, p.ready.Round(time.Millisecond), m, t, l)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	p, err := startServer(ctx, o)
	if err != nil {
		return r, err
	}
	r.Recovery = max(r.Recovery, p.ready)
	findErr := find(ctx, p.http, acked, &r)
	if err := errors.Join(findErr, p.kill()); err != nil {
		return r, err
	}
	logs, err := findLogs(ctx, filepath.Join(o.Dir, "data"))
	r.Logs = count(acked.logs, logs)
	return r, err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// process is a running server.
type process struct {
	cmd        *exec.Cmd
	http, otlp string // base URLs
	ready      time.Duration
	done       chan struct{}
}

func startServer(ctx context.Context, o Options) (*process, error) {
	args := append([]string{"server", "--data", filepath.Join(o.Dir, "data"), "--http", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "127.0.0.1:0"}, o.Args...)
	p := &process{cmd: exec.CommandContext(ctx, o.Server, args...), done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	type found struct{ http, otlp, said string }
	ready := make(chan found, 1)
	go func() {
		defer close(p.done)
		var f found
		sc := bufio.NewScanner(stderr)
		for sc.Scan() {
			line := strings.TrimSpace(sc.Text())
			f.said += line + "\n"
			if rest, ok := strings.CutPrefix(line, "pages"); ok {
				f.http = strings.TrimSuffix(strings.TrimSpace(rest), "/")
			}
			if rest, ok := strings.CutPrefix(line, "OTLP HTTP"); ok {
				f.otlp = strings.TrimSpace(rest)
				ready <- f
				break
			}
		}
		if f.otlp == "" {
			ready <- f
		}
		_, _ = io.Copy(io.Discard, stderr)
	}()
	select {
	case f := <-ready:
		if f.otlp == "" {
			_ = p.kill()
			return nil, fmt.Errorf("the server did not start; it said:\n%s", f.said)
		}
		p.http, p.otlp, p.ready = f.http, f.otlp, time.Since(began)
		return p, nil
	case <-time.After(startTimeout):
		_ = p.kill()
		return nil, fmt.Errorf("the server was not ready after %s", startTimeout)
	}
}

// kill is SIGKILL: no chance to flush anything.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	<-p.done
	_ = p.cmd.Wait() // "signal: killed" is what was asked for
	return nil
}

var client = &http.Client{Timeout: 30 * time.Second}
