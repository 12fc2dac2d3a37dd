// Command start measures how long `fairlead server` takes from its start until
// it answers: with much on disk after a clean stop, and with a write-ahead log
// of some size after kill -9.
//
//	go run ./bench/start -server bin/fairlead -gb 10 -wal 512
//
// It fills the disk quickly: blocks of samples for the days before; a day's file
// of traces, its chunks repeated until it has the size at which the server begins
// another, copied under the names of the other days.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	server string
	dir    string
	gb     float64
	wal    int64
	starts int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 4 && os.Args[1] == "log" {
		err = writeLog(ctx, os.Args[2], os.Args[3])
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("start", flag.ContinueOnError)
	fs.StringVar(&o.server, "server", "bin/fairlead", "the binary to measure")
	fs.StringVar(&o.dir, "data", "", "where to keep the data, filled only when it is not there (default: a temporary directory, deleted)")
	fs.Float64Var(&o.gb, "gb", 10, "GB on disk for the clean start, a twentieth of it samples")
	fs.Int64Var(&o.wal, "wal", 512, "MB in the log of samples for the start after a kill")
	fs.IntVar(&o.starts, "starts", 5, "clean starts")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "start")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	data := filepath.Join(o.dir, "data")
	if _, err := os.Stat(data); os.IsNotExist(err) {
		if err := fill(ctx, data, int64(o.gb*1e9)); err != nil {
			return fmt.Errorf("fill %s: %w", data, err)
		}
	}
	var took, cpu []time.Duration
	for i := range o.starts + 1 {
		srv, err := start(ctx, o.server, data)
		if err != nil {
			return err
		}
		if i > 0 { // the first start makes of the log what a server that stopped leaves
			took, cpu = append(took, srv.took), append(cpu, srv.cpu)
		}
		if err := srv.end(syscall.SIGTERM); err != nil {
			return err
		}
	}
	slices.Sort(took)
	slices.Sort(cpu)
	fmt.Fprintf(out, "%.1f GB on disk, clean stop: ready after %s (median of %d, %s to %s), %s of CPU time\n",
		float64(size(data))/1e9, round(took[len(took)/2]), len(took), round(took[0]), round(took[len(took)-1]), round(cpu[len(cpu)/2]))
	return afterKill(ctx, o, data, out)
}

// afterKill lets a process write samples and end without closing the database,
// as kill -9 ends it.
func afterKill(ctx context.Context, o options, data string, out io.Writer) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	tsdb := filepath.Join(data, "metrics", "tsdb")
	before := size(filepath.Join(tsdb, "wal"))
	cmd := exec.CommandContext(ctx, exe, "log", tsdb, fmt.Sprint(o.wal<<20))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	wal := size(filepath.Join(tsdb, "wal")) - before
	srv, err := start(ctx, o.server, data)
	if err != nil {
		return err
	}
	each := func(d time.Duration) time.Duration { return round(time.Duration(float64(d) / (float64(wal) / 1e9))) }
	fmt.Fprintf(out, "%.2f GB of log (%s samples) after a kill: ready after %s with %s of CPU time; a GB: %s, %s of CPU time\n",
		float64(wal)/1e9, strings.TrimSpace(string(text)), round(srv.took), round(srv.cpu), each(srv.took), each(srv.cpu))
	return srv.end(syscall.SIGTERM)
}

type server struct {
	cmd       *exec.Cmd
	logs      <-chan string
	took, cpu time.Duration // until it was ready
}

// start returns once the server says that it is ready.
func start(ctx context.Context, path, data string) (*server, error) {
	cmd := exec.CommandContext(ctx, path, "server", "--data", data, "--http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ready, rest := make(chan time.Duration, 1), make(chan string, 1)
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), " ready in ") {
				ready <- time.Since(began)
			}
			fmt.Fprintln(&all, lines.Text())
		}
		rest <- all.String()
	}()
	select {
	case took := <-ready:
		used, err := cpuTime(cmd.Process.Pid)
		return &server{cmd, rest, took, used}, err
	case text := <-rest:
		return nil, fmt.Errorf("the server ended: %w\n%s", cmd.Wait(), text)
	}
}

func (s *server) end(how syscall.Signal) error {
	if err := s.cmd.Process.Signal(how); err != nil {
		return err
	}
	text := <-s.logs
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the server: %w\n%s", err, text)
	}
	return nil
}

// cpuTime is what a process has used so far.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the server's CPU time (Linux only): %w", err)
	}
	// The second field is the name, in parentheses, and may hold spaces.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		return 0, err
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick, nil
}

func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
