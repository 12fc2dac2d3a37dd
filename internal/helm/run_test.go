//go:build unix

package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the process that calls Run or Exec, where a
// test sends signals to it or kills it.
func TestMain(m *testing.M) {
	switch os.Getenv("HELM_TEST_ROLE") {
	case "run":
		roleRun()
	case "exec":
		args := strings.Split(os.Getenv("HELM_TEST_ARGS"), "\x1f")
		err := Exec(args[0], os.Getenv("HELM_TEST_ARGV0"), args[1:], os.Environ())
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(99)
	default:
		os.Exit(m.Run())
	}
}

// roleRun runs HELM_TEST_ARGS and writes the result to HELM_TEST_RESULT.
func roleRun() {
	args := strings.Split(os.Getenv("HELM_TEST_ARGS"), "\x1f")
	result, err := Run(context.Background(), RunOptions{Path: args[0], Args: args[1:], Env: os.Environ()})
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(98)
	}
	text, _ := json.Marshal(result)
	path := os.Getenv("HELM_TEST_RESULT")
	if os.WriteFile(path+".tmp", text, 0o600) != nil || os.Rename(path+".tmp", path) != nil {
		os.Exit(97)
	}
	os.Exit(result.ExitCode)
}

// script runs a shell script with Run and returns the result and its stderr.
func script(t *testing.T, ctx context.Context, text string) (Result, string) {
	t.Helper()
	var stderr bytes.Buffer
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	result, err := Run(ctx, RunOptions{Path: "/bin/sh", Args: []string{"-c", text}, Env: os.Environ(), Stdin: null, Stdout: null, Stderr: &stderr})
	if err != nil {
		t.Fatal(err)
	}
	return result, stderr.String()
}

func TestRunExitStatus(t *testing.T) {
	cases := []struct {
		text   string
		code   int
		signal syscall.Signal
	}{
		{"exit 0", 0, 0}, {"exit 1", 1, 0}, {"exit 43", 43, 0}, {"exit 255", 255, 0},
		{"kill -9 $$", 137, syscall.SIGKILL}, {"kill -TERM $$", 143, syscall.SIGTERM}, {"kill -INT $$", 130, syscall.SIGINT},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			got, _ := script(t, t.Context(), c.text)
			if got.ExitCode != c.code || got.Signal != c.signal || got.Cancelled {
				t.Errorf("got %+v", got)
			}
			if got.Start.IsZero() || got.End.Before(got.Start) {
				t.Errorf("from %v to %v", got.Start, got.End)
			}
		})
	}
	if _, err := Run(t.Context(), RunOptions{Path: "/nowhere/helm"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a helm that is not there: %v", err)
	}
}

func TestRunStderr(t *testing.T) {
	t.Run("bytes pass unchanged, also without a line's end", func(t *testing.T) {
		got, stderr := script(t, t.Context(), `printf 'a\r\n\033[31mred\033[0m\000 no end' >&2`)
		want := "a\r\n\x1b[31mred\x1b[0m\x00 no end"
		if stderr != want || got.Stderr != want || got.StderrTruncated {
			t.Errorf("passed %q, kept %q", stderr, got.Stderr)
		}
	})
	t.Run("of much only the end is kept, in whole lines", func(t *testing.T) {
		got, stderr := script(t, t.Context(), `i=0; while [ $i -lt 20000 ]; do echo "line $i of many"; i=$((i+1)); done >&2; echo "Error: the end" >&2`)
		if strings.Count(stderr, "\n") != 20001 {
			t.Errorf("%d lines passed", strings.Count(stderr, "\n"))
		}
		if len(got.Stderr) > TailBytes || len(got.Stderr) < TailBytes-100 || !got.StderrTruncated || !strings.HasSuffix(stderr, got.Stderr) || !strings.HasPrefix(got.Stderr, "line ") {
			t.Errorf("kept %d bytes from %q", len(got.Stderr), got.Stderr[:40])
		}
	})
	t.Run("a writer that fails does not stop Helm", func(t *testing.T) {
		got, err := Run(t.Context(), RunOptions{Path: "/bin/sh", Args: []string{"-c", `i=0; while [ $i -lt 9000 ]; do echo "line $i"; i=$((i+1)); done >&2; exit 5`},
			Env: os.Environ(), Stderr: failingWriter{}})
		if err != nil || got.ExitCode != 5 || !strings.HasSuffix(got.Stderr, "line 8999\n") {
			t.Errorf("%v, exit code %d, %d bytes", err, got.ExitCode, len(got.Stderr))
		}
	})
	t.Run("a process that Helm leaves behind with its stderr is not waited for", func(t *testing.T) {
		pid := filepath.Join(t.TempDir(), "pid")
		got, stderr := script(t, t.Context(), `sleep 3600 & echo $! > `+pid+`; echo last >&2; exit 3`)
		text, _ := os.ReadFile(pid)
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || syscall.Kill(n, syscall.SIGKILL) != nil {
			t.Errorf("the process left behind was not there: %q", text)
		}
		if got.ExitCode != 3 || stderr != "last\n" {
			t.Errorf("exit code %d, %q", got.ExitCode, stderr)
		}
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRunContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var signals []os.Signal
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	go func() { // ready: the trap is set
		_, _ = r.Read(make([]byte, 1))
		cancel()
	}()
	got, err := Run(ctx, RunOptions{Path: "/bin/sh", Args: []string{"-c", `trap 'echo stopped >&2; exit 9' TERM; echo; while :; do sleep 0.01; done`},
		Env: os.Environ(), Stdout: w, Stderr: io.Discard, OnSignal: func(s os.Signal) { signals = append(signals, s) }})
	_ = w.Close()
	if err != nil || got.ExitCode != 9 || !got.Cancelled || got.Stderr != "stopped\n" || len(signals) != 1 {
		t.Errorf("%v, %+v, %v", err, got, signals)
	}
}

// wrapper starts the test binary in the role "run" with a shell script, in a
// session of its own so that no signal of ours reaches it by accident.
type wrapper struct {
	*exec.Cmd
	dir    string
	until  time.Time // when waiting for the script is given up
	stderr bytes.Buffer
}

func newWrapper(t *testing.T, text string) *wrapper {
	t.Helper()
	w := &wrapper{Cmd: exec.Command(os.Args[0]), dir: t.TempDir(), until: time.Now().Add(time.Minute)}
	w.Env = append(os.Environ(), "HELM_TEST_ROLE=run", "HELM_TEST_ARGS=/bin/sh\x1f-c\x1f"+text, "HELM_TEST_RESULT="+filepath.Join(w.dir, "result"), "DIR="+w.dir)
	w.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	w.Stderr = &w.stderr
	t.Cleanup(func() {
		if w.Process != nil && t.Failed() {
			_ = syscall.Kill(-w.Process.Pid, syscall.SIGKILL)
		}
	})
	return w
}

func (w *wrapper) result(t *testing.T) Result {
	t.Helper()
	var got Result
	text, err := os.ReadFile(filepath.Join(w.dir, "result"))
	if err != nil {
		t.Fatalf("%v; stderr: %s", err, &w.stderr)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// await waits for a file that the script writes.
func (w *wrapper) await(t *testing.T, name string) string {
	t.Helper()
	for {
		if text, err := os.ReadFile(filepath.Join(w.dir, name)); err == nil && bytes.HasSuffix(text, []byte("\n")) {
			return strings.TrimSpace(string(text))
		}
		if time.Now().After(w.until) {
			t.Fatalf("no file %s", name)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// awaitText waits until the file holds exactly that text.
func (w *wrapper) awaitText(t *testing.T, name, want string) {
	t.Helper()
	for got := ""; got != want; {
		if got = w.await(t, name); got != want && time.Now().After(w.until) {
			t.Fatalf("%s holds %q, want %q", name, got, want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// countSignals is a script that counts signals until it has seen a TERM, and
// then a little longer: one sent twice would come at once.
const countSignals = `
trap 'echo INT >> $DIR/signals' INT
trap 'echo TERM >> $DIR/signals; last=1' TERM
trap 'echo HUP >> $DIR/signals' HUP
trap 'echo QUIT >> $DIR/signals' QUIT
echo $$ > $DIR/ready
n=0
while [ $n -lt 20 ]; do
  sleep 0.01
  [ -n "$last" ] && n=$((n+1))
done
exit 12`

func TestRunHandsSignalsOn(t *testing.T) {
	w := newWrapper(t, countSignals)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	w.await(t, "ready")
	want := ""
	for _, s := range []struct {
		signal syscall.Signal
		name   string
	}{{syscall.SIGINT, "INT"}, {syscall.SIGHUP, "HUP"}, {syscall.SIGQUIT, "QUIT"}, {syscall.SIGPIPE, ""}, {syscall.SIGTERM, "TERM"}} {
		if s.signal == syscall.SIGHUP && signal.Ignored(s.signal) {
			continue // under nohup it stays ignored, as it should
		}
		if err := w.Process.Signal(s.signal); err != nil {
			t.Fatal(err)
		}
		if s.name == "" {
			continue
		}
		want = strings.TrimSpace(want + "\n" + s.name)
		w.awaitText(t, "signals", want)
	}
	_ = w.Wait()
	got := w.result(t)
	if signals := w.await(t, "signals"); got.ExitCode != 12 || !got.Cancelled || got.Signal != 0 || signals != want {
		t.Errorf("result %+v, signals %q", got, signals)
	}
}

func TestRunKeepsIgnoredSignalsIgnored(t *testing.T) {
	w := newWrapper(t, `kill -HUP $PPID; kill -HUP $$; exit 4`)
	// As nohup does it.
	w.Path, w.Args = "/bin/sh", []string{"sh", "-c", `trap '' HUP; exec "$0"`, os.Args[0]}
	_ = w.Run()
	if got := w.result(t); got.ExitCode != 4 || got.Cancelled {
		t.Errorf("%+v", got)
	}
}

func TestKilledWrapperLeavesHelmAtWork(t *testing.T) {
	// 300 KB are more than a pipe of the usual size holds; a broken pipe would
	// kill the script at its first word.
	size := 10000
	if growsPipes() {
		size = 300000
	}
	w := newWrapper(t, `trap 'echo broken > $DIR/broken; exit 1' PIPE
echo $$ > $DIR/ready; while [ ! -e $DIR/go ]; do sleep 0.01; done
head -c `+strconv.Itoa(size)+` /dev/zero >&2 || echo failed > $DIR/broken
echo done > $DIR/done`)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	w.await(t, "ready")
	if err := w.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = w.Wait()
	writeFile(t, filepath.Join(w.dir, "go"), "\n")
	w.await(t, "done")
	if _, err := os.Stat(filepath.Join(w.dir, "broken")); err == nil {
		t.Error("Helm's stderr was broken")
	}
}

// growsPipes reports whether this system gives a pipe more room on demand.
func growsPipes() bool {
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	size := 0
	if conn, err := r.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { growPipe(fd); size = pipeSize(fd) })
	}
	return size >= 1<<20
}

func TestRunAtATerminal(t *testing.T) {
	master, slave := openPTY(t)
	w := newWrapper(t, countSignals)
	w.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	w.Stdin, w.Stdout = slave, slave
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	w.await(t, "ready")
	// Ctrl-C reaches the whole foreground group: once, although we see it too.
	if _, err := master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	w.awaitText(t, "signals", "INT")
	// SIGTERM reaches us alone and is handed on.
	if err := w.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = w.Wait()
	if got, signals := w.result(t), w.await(t, "signals"); signals != "INT\nTERM" || !got.Cancelled || got.ExitCode != 12 {
		t.Errorf("result %+v, signals %q", got, signals)
	}
}

func TestRunInheritsStreamsAndDescriptors(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/values", "from descriptor 3")
	values, err := os.Open(dir + "/values")
	if err != nil {
		t.Fatal(err)
	}
	master, slave := openPTY(t)
	_ = master
	w := newWrapper(t, `cat <&3 >$DIR/fd3; cat >$DIR/stdin; [ -t 1 ] && echo terminal >$DIR/tty; [ "$(ps -o pgid= -p $$ | tr -d ' ')" = "$(ps -o pgid= -p $PPID | tr -d ' ')" ] && echo same >$DIR/group; exit 0`)
	w.Stdin = strings.NewReader("from stdin")
	w.Stdout = slave
	w.ExtraFiles = []*os.File{values} // as `helm upgrade -f /dev/fd/3 3<values` or -f <(sops -d values)
	if err := w.Run(); err != nil {
		t.Fatalf("%v: %s", err, &w.stderr)
	}
	for name, want := range map[string]string{"fd3": "from descriptor 3", "stdin": "from stdin", "tty": "terminal\n", "group": "same\n"} {
		if got, err := os.ReadFile(filepath.Join(w.dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestExecReplacesTheProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HELM_TEST_ROLE=exec", "HELM_TEST_ARGV0=/opt/helm", "HELM_TEST_ARGS=/bin/sh\x1f-c\x1fecho $$ $0; exit 21\x1f/opt/other")
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 21 || out.String() != strconv.Itoa(cmd.Process.Pid)+" /opt/other\n" {
		t.Errorf("%v, %q, our child was %d", err, &out, cmd.Process.Pid)
	}
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HELM_TEST_ROLE=exec", "HELM_TEST_ARGS=/nowhere/helm")
	if text, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(text), "run /nowhere/helm: no such file or directory") {
		t.Errorf("%v, %q", err, text)
	}
}

// TestRunIsHelmByteForByte compares what comes out of Run with what the same
// Helm writes without us.
func TestRunIsHelmByteForByte(t *testing.T) {
	memory := filepath.Join(t.TempDir(), "releases.yaml")
	writeFile(t, memory, memoryRelease("web", "default", 1, "deployed")+memoryRelease("stuck", "default", 2, "pending-upgrade")+memoryRelease("stuck", "default", 1, "deployed"))
	chart := writeChart(t, nil)
	lines := []string{
		"uninstall web", "uninstall nothing", "test web", "rollback stuck 1", "upgrade stuck " + chart, "install web " + chart,
		"upgrade web " + chart + " --set a", "upgrade web ./nowhere", "upgrade web " + chart + " --wiat", "upgrade", "uninstall web --debug",
		"upgrade web " + chart + " --timeout 5",
	}
	forBoth(t, func(t *testing.T, _ int, path string) {
		env := noClusterEnv(t, memory)
		for _, line := range lines {
			args := strings.Fields(line)
			plain := exec.Command(path, args...)
			plain.Env = env
			var wantOut, wantErr bytes.Buffer
			plain.Stdout, plain.Stderr = &wantOut, &wantErr
			_ = plain.Run()

			out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
			if err != nil {
				t.Fatal(err)
			}
			var gotErr bytes.Buffer
			got, err := Run(t.Context(), RunOptions{Path: path, Args: args, Env: env, Stdout: out, Stderr: &gotErr})
			if err != nil {
				t.Fatal(err)
			}
			_ = out.Close()
			gotOut, _ := os.ReadFile(out.Name())
			if got.ExitCode != plain.ProcessState.ExitCode() {
				t.Errorf("helm %s: exit code %d instead of %d", line, got.ExitCode, plain.ProcessState.ExitCode())
			}
			// Times of day are all that may differ.
			if a, b := withoutTimes(string(gotOut)), withoutTimes(wantOut.String()); a != b {
				t.Errorf("helm %s: stdout %q instead of %q", line, a, b)
			}
			if a, b := withoutTimes(gotErr.String()), withoutTimes(wantErr.String()); a != b || got.Stderr != gotErr.String() {
				t.Errorf("helm %s: stderr %q instead of %q", line, a, b)
			}
		}
	})
}

var timeOfDay = regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d[T ][\d:.]+|m=\+[\d.]+|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d`)

func withoutTimes(s string) string { return timeOfDay.ReplaceAllString(s, "TIME") }

// openPTY opens a pseudo-terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	name, err := ptsName(int(master.Fd()))
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	slave, err = os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	return master, slave
}
