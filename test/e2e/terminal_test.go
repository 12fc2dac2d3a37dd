//go:build e2e

package e2e

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

// screen is what a terminal shows of the bytes that it was sent, as far as
// fairlead uses it: line ends, carriage returns, and clearing the line.
type screen struct {
	lines   []string
	cleared []string // lines that were cleared again
}

var escape = regexp.MustCompile("^\x1b\\[([0-9;?]*)([A-Za-z])")

func render(sent string) screen {
	var s screen
	var line []rune
	at := 0
	for sent != "" {
		if m := escape.FindStringSubmatch(sent); m != nil {
			if m[2] == "K" && m[1] == "2" {
				s.cleared = append(s.cleared, string(line))
				line, at = nil, 0
			}
			sent = sent[len(m[0]):]
			continue
		}
		r := []rune(sent[:min(len(sent), 4)])[0]
		sent = sent[len(string(r)):]
		switch r {
		case '\r':
			at = 0
		case '\n':
			s.lines = append(s.lines, strings.TrimRight(string(line), " "))
			line, at = nil, 0
		default:
			line = append(line[:min(at, len(line))], r)
			at = len(line)
		}
	}
	if len(line) > 0 {
		s.lines = append(s.lines, string(line))
	}
	return s
}

// steady replaces what differs from run to run.
func (s *scene) steady(text string) string {
	for _, r := range []struct{ find, put string }{
		{regexp.QuoteMeta(s.namespace), "NAMESPACE"},
		{`web-[0-9a-f]{8,10}-[a-z0-9]{5}`, "web-POD"},
		{`\d{4}-\d\d-\d\dT[0-9:.]+Z`, "CLOCK"},
		{`\b\d+ times\b`, "N times"},
		{`\b\d+(\.\d+)?m?s\b`, "TIME"},
		{`[0-9a-f]{32}`, "TRACE"},
		{`http://\d+\.\d+\.\d+\.\d+(:\d+)?`, "http://ADDRESS"},
		{`/\S*/helm[34]?\b`, "HELM"},
	} {
		text = regexp.MustCompile(r.find).ReplaceAllString(text, r.put)
	}
	return text
}

// TestTerminal runs an upgrade that never becomes ready on a real terminal of
// 100 columns: a status line while Helm waits, and nothing of it at the end. What
// stands on the screen after Helm's words is testdata/terminal.txt; FAIRLEAD_UPDATE_GOLDEN=1 rewrites it.
func TestTerminal(t *testing.T) {
	s := newScene(t, 4)
	s.must("install", "web", appChart, "--wait")
	s.env = append(s.env, "TERM=xterm-256color")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const columns = 100
	terminal, err := pty.StartWithSize(s.command(ctx, "helm", "upgrade", "web", appChart, "--wait", "--timeout", "8s", "--set", notReady), &pty.Winsize{Rows: 40, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	sent, _ := io.ReadAll(terminal) // on Linux a terminal whose program has ended is an I/O error
	got := render(string(sent))

	shown := regexp.MustCompile(`^[⠋⠙⠸⠴⠦⠇] \d+s  waiting for Deployment web: 0/1 ready`)
	counted := 0
	for _, line := range got.cleared {
		if n := len([]rune(line)); n >= columns {
			t.Errorf("a status line of %d columns would wrap: %q", n, line)
		}
		if shown.MatchString(line) {
			counted++
		}
	}
	if counted < 3 {
		t.Errorf("%d status lines while Helm waited, want one a second:\n%s", counted, strings.Join(got.cleared, "\n"))
	}

	helms, ours, found := strings.Cut(strings.Join(got.lines, "\n")+"\n", "fairlead: ")
	if !found || !strings.Contains(helms, "Error: UPGRADE FAILED") {
		t.Errorf("Helm's own words first:\n%s", helms)
	}
	final := s.steady("fairlead: " + ours)
	golden := filepath.Join("testdata", "terminal.txt")
	if os.Getenv("FAIRLEAD_UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(final), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), final); diff != "" {
		t.Errorf("the screen at the end, -want +got:\n%s", diff)
	}
}

// TestGitLabLog runs the same in GitLab's log, which is no terminal: lines of
// their own while Helm waits, and the explanation in a section that folds.
func TestGitLabLog(t *testing.T) {
	s := newScene(t, 3)
	s.must("install", "web", appChart, "--wait")
	s.env = append(s.env, "GITLAB_CI=true", "CI=true", "CI_PIPELINE_ID=9", "CI_JOB_NAME=deploy")
	r := s.fairlead("helm", "upgrade", "web", appChart, "--wait", "--timeout", "8s", "--set", notReady)
	if r.code != 1 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	for _, want := range []string{
		`(?m)^fairlead: \d+s waiting for Deployment web: 0/1 ready`,
		`(?m)^\x1b\[0Ksection_start:\d+:fairlead_[0-9a-f]{16}\[collapsed=false\]\r\x1b\[0Kfairlead: why helm upgrade failed\n`,
		`(?m)^\x1b\[0Ksection_end:\d+:fairlead_[0-9a-f]{16}\r\x1b\[0K\n`,
	} {
		if !regexp.MustCompile(want).MatchString(r.stderr) {
			t.Errorf("no %s in\n%q", want, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "\x1b[2K") || strings.Contains(r.stderr, "⠋") {
		t.Errorf("a terminal's status line in a log:\n%q", r.stderr)
	}
}
