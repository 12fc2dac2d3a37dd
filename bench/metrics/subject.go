package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// subject is a program under measurement.
type subject struct {
	name string
	cmd  *exec.Cmd
	otlp string // URL of OTLP metrics
	api  string // base URL of the Prometheus API
}

func (s *subject) pid() int { return s.cmd.Process.Pid }

func (s *subject) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

func startFairlead(ctx context.Context, program, dir string) (*subject, error) {
	s := &subject{name: "fairlead", cmd: exec.CommandContext(ctx, program, "server", "--data", dir,
		"--http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0")}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(stderr)
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if rest, ok := strings.CutPrefix(line, "Prometheus"); ok {
			s.api = strings.TrimSpace(rest)
		}
		if rest, ok := strings.CutPrefix(line, "OTLP HTTP"); ok {
			s.otlp = strings.TrimSpace(rest) + "/v1/metrics"
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return s, nil
		}
	}
	return nil, errors.Join(errors.New("fairlead did not start"), s.cmd.Wait())
}

// prometheusConfig gives Prometheus the labels and the window that the server
// has by default.
const prometheusConfig = `
storage: {tsdb: {out_of_order_time_window: 2h}}
otlp:
  promote_resource_attributes: [service.name, service.version, service.instance.id, deployment.track, deployment.environment,
    deployment.environment.name, k8s.namespace.name, k8s.pod.name, k8s.cluster.name]
`

func startPrometheus(ctx context.Context, program, dir string) (*subject, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(prometheusConfig), 0o600); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	ln.Close()
	s := &subject{name: "Prometheus", api: "http://" + addr, otlp: "http://" + addr + "/api/v1/otlp/v1/metrics",
		cmd: exec.CommandContext(ctx, program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
			"--web.listen-address="+addr, "--web.enable-otlp-receiver", "--enable-feature=exemplar-storage", "--log.level=error")}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 600 {
		resp, err := http.Get(s.api + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("the Prometheus was not ready within a minute"), s.cmd.Process.Kill())
}

type use struct{ cpu, rss, peak float64 } // seconds, MiB, MiB

func usages(subjects []*subject) ([]use, error) {
	var all []use
	for _, s := range subjects {
		u, err := usage(s.pid())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, u)
	}
	return all, nil
}

// ticksPerSecond is USER_HZ, which is 100 on every Linux.
const ticksPerSecond = 100

func usage(pid int) (use, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return use{}, err
	}
	// The program's name, in brackets, may hold blanks.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	u := use{cpu: (user + system) / ticksPerSecond}
	status, err3 := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(status), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64) // other lines hold no number
		switch f[0] {
		case "VmRSS:":
			u.rss = kib / 1024
		case "VmHWM:":
			u.peak = kib / 1024
		}
	}
	return u, errors.Join(err1, err2, err3)
}

// idleTime is how long the idle server is left alone before it is measured.
const idleTime = 10 * time.Second

func measureIdle(ctx context.Context, program string) error {
	dir, err := os.MkdirTemp("", "fairlead-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	s, err := startFairlead(ctx, program, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	ready := time.Since(began)
	time.Sleep(idleTime)
	u, err := usage(s.pid())
	fmt.Printf("ready after %s, %.2f CPU-s; %.0f MiB resident after %s idle, %.0f MiB at most\n",
		ready.Round(time.Millisecond), u.cpu, u.rss, idleTime, u.peak)
	return errors.Join(err, s.stop())
}
