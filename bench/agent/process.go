package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is what is measured.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	dir   string

	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes its log.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func startAgent(binary, endpoint string) (*process, error) {
	return start(func(dir string) (*exec.Cmd, error) {
		cmd := exec.Command(binary, "agent", "--data", dir, "--own-namespace", "default", "--cluster-name", "bench")
		cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
		return cmd, nil
	})
}

// collectorConfig is what `fairlead export collector` gives for events alone.
const collectorConfig = `receivers:
  k8s_events: {auth_type: kubeConfig}
processors:
  batch: {send_batch_size: 512, timeout: 1s}
exporters:
  otlphttp: {endpoint: %q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [k8s_events], processors: [batch], exporters: [otlphttp]}
`

func startCollector(binary, endpoint string) (*process, error) {
	return start(func(dir string) (*exec.Cmd, error) {
		path := filepath.Join(dir, "collector.yaml")
		return exec.Command(binary, "--config", path), os.WriteFile(path, fmt.Appendf(nil, collectorConfig, endpoint), 0o600)
	})
}

func start(command func(dir string) (*exec.Cmd, error)) (*process, error) {
	dir, err := os.MkdirTemp("", "bench-agent")
	if err != nil {
		return nil, err
	}
	cmd, err := command(dir)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, began: time.Now(), dir: dir}
	cmd.Stderr = p
	return p, cmd.Start()
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

func (p *process) lines(with string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, with) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// waitLine waits for a line of the log and returns how long after the start it came.
func (p *process) waitLine(with string, bound time.Duration) (time.Duration, error) {
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if len(p.lines(with)) > 0 {
			return time.Since(p.began), nil
		}
	}
	return 0, fmt.Errorf("no %q within %s:\n%s", with, bound, strings.Join(p.lines(""), "\n"))
}

// cpu is the time of all threads of the process.
func (p *process) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] { // utime, stime: hundredths of a second
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is what a process holds, in bytes: resident, of that its own and not
// its program's text, and the most that was ever resident.
type memory struct{ rss, anonymous, peak int64 }

func (m memory) String() string { return fmt.Sprintf("%s (%s its own)", mib(m.rss), mib(m.anonymous)) }

func (p *process) memory() (m memory) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			m.rss = n << 10
		case "RssAnon:":
			m.anonymous = n << 10
		case "VmHWM:":
			m.peak = n << 10
		}
	}
	return m
}
