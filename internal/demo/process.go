package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// startTimeout is how long a process may take until it listens; a busy
	// machine takes a second.
	startTimeout = 20 * time.Second
	// stopTimeout is how long it may finish requests and send its telemetry.
	stopTimeout = 8 * time.Second
)

// process is a child: this program as the demo's application.
type process struct {
	name  string
	url   *url.URL
	cmd   *exec.Cmd
	stdin io.Closer
	said  *tail
	ended chan struct{}
}

// launcher starts children.
type launcher struct {
	self string   // this program
	args []string // that make it the application
	env  []string // of all children
}

// newLauncher keeps this process' environment without what would change where
// or how telemetry is sent.
func newLauncher(self string, args []string, otlp string) launcher {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		for _, prefix := range []string{"OTEL_", "APP_VERSION=", "DEPLOYMENT_", "POD_"} {
			if strings.HasPrefix(v, prefix) {
				return true
			}
		}
		return false
	})
	return launcher{self: self, args: args, env: append(env,
		"OTEL_EXPORTER_OTLP_ENDPOINT="+otlp,
		fmt.Sprintf("OTEL_METRIC_EXPORT_INTERVAL=%d", exportInterval.Milliseconds()),
		"OTEL_BSP_SCHEDULE_DELAY=500", "OTEL_BLRP_SCHEDULE_DELAY=500",
		"OTEL_RESOURCE_ATTRIBUTES=k8s.namespace.name="+namespace,
		"DEPLOYMENT_ENVIRONMENT=demo",
	)}
}

// start returns when the process listens.
func (l launcher) start(ctx context.Context, name, version, track string, args ...string) (*process, error) {
	// Not CommandContext: at the end it is asked, and only then killed.
	cmd := exec.Command(l.self, append(slices.Clone(l.args), args...)...) //nolint:noctx // see above
	cmd.Env = append(slices.Clone(l.env), "POD_NAME="+name, "APP_VERSION="+version, "DEPLOYMENT_TRACK="+track)
	p := &process{name: name, cmd: cmd, said: &tail{}, ended: make(chan struct{})}
	cmd.Stderr = p.said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	address := make(chan string, 1)
	go func() {
		defer close(p.ended)
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		address <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait() // how it ended is of no use to anybody
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case line := <-address:
		if line != "" {
			p.url = &url.URL{Scheme: "http", Host: line}
			return p, nil
		}
		err = fmt.Errorf("start %s: it ended: %s", name, p.said)
	case <-timer.C:
		err = fmt.Errorf("start %s: it does not listen after %s: %s", name, startTimeout, p.said)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, p.stop())
}

// stop lets the process finish what it does, and kills it when it takes long.
func (p *process) stop() error {
	p.stdin.Close()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
	}
	err := p.cmd.Process.Kill()
	<-p.ended
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	return nil
}

// tail keeps the last part of what a process says on stderr.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const mostTail = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > mostTail {
		t.text = slices.Clone(t.text[n-mostTail:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.text)); s != "" {
		return s
	}
	return "it said nothing"
}
