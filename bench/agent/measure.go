package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"fairlead.dev/fairlead/internal/release"
)

// sink is an OTLP endpoint that counts.
type sink struct {
	*httptest.Server
	mu     sync.Mutex
	told   map[string]bool // releases with an operation
	events map[string]bool // by UID
}

func newSink() *sink {
	s := &sink{told: map[string]bool{}, events: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.receive))
	return s
}

func (s *sink) receive(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/logs" {
		_, _ = io.Copy(io.Discard, r.Body)
		return
	}
	body := io.Reader(r.Body)
	if z, err := gzip.NewReader(r.Body); err == nil {
		body = z
	}
	data, err := io.ReadAll(body)
	req := plogotlp.NewExportRequest()
	if err == nil {
		err = req.UnmarshalProto(data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() == release.EventName {
					ns, _ := rec.Attributes().Get(release.AttrNamespace)
					name, _ := rec.Attributes().Get(release.AttrRelease)
					s.told[ns.AsString()+"/"+name.AsString()] = true
				} else if uid, ok := rec.Attributes().Get("k8s.event.uid"); ok {
					if name, _ := rec.Attributes().Get("k8s.event.name"); strings.HasPrefix(name.AsString(), "bench.") {
						s.events[uid.AsString()] = true
					}
				}
			}
		}
	}
}

func (s *sink) waitOperations(want int, bound time.Duration) int {
	return s.wait(want, bound, func() int { return len(s.told) })
}

func (s *sink) waitEvents(want int, bound time.Duration) int {
	return s.wait(want, bound, func() int { return len(s.events) })
}

func (s *sink) wait(want int, bound time.Duration, have func() int) (n int) {
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s.mu.Lock()
		n = have()
		s.mu.Unlock()
		if n >= want {
			return n
		}
	}
	return n
}

// agent is the measured process.
type agent struct {
	cmd   *exec.Cmd
	began time.Time
	dir   string

	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes the agent's log.
func (a *agent) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(p)
}

func startAgent(binary, endpoint string) (*agent, error) {
	dir, err := os.MkdirTemp("", "bench-agent")
	if err != nil {
		return nil, err
	}
	a := &agent{cmd: exec.Command(binary, "agent", "--data", dir, "--own-namespace", "default", "--cluster-name", "bench"), began: time.Now(), dir: dir}
	a.cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
	a.cmd.Stderr = a
	return a, a.cmd.Start()
}

func (a *agent) stop() {
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	_ = a.cmd.Wait()
	_ = os.RemoveAll(a.dir)
}

func (a *agent) lines(with string) (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for line := range strings.Lines(a.log.String()) {
		if strings.Contains(line, with) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func (a *agent) caughtUp(bound time.Duration) (time.Duration, error) {
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if len(a.lines("caught up")) > 0 {
			return time.Since(a.began), nil
		}
	}
	return 0, fmt.Errorf("not caught up within %s:\n%s", bound, strings.Join(a.lines(""), "\n"))
}

// cpu is the time of all threads of the process.
func (a *agent) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.cmd.Process.Pid))
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

// memory is the resident memory now, and the most it ever was, in bytes.
func (a *agent) memory() (rss, peak int64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			rss = n << 10
		case "VmHWM:":
			peak = n << 10
		}
	}
	return rss, peak
}
