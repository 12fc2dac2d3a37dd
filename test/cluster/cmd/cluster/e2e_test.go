//go:build e2e && linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/cluster"
	"fairlead.dev/fairlead/test/cluster/internal/host"
)

// These tests start real clusters with the real program, which TestMain
// builds. They need root on Linux and skip aloud elsewhere.

// program is the path of the built program.
var program string

// chart is the path of the test chart.
var chart string

func TestMain(m *testing.M) {
	if os.Getenv(trafficVariable) != "" {
		os.Exit(trafficMain())
	}
	if err := host.Supported(); err != nil {
		fmt.Fprintf(os.Stderr, "SKIPPED: %v\n", err)
		os.Exit(0)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cluster-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "cluster")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if chart, err = filepath.Abs("../../../charts/app"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// A cluster of the user's own must not get in the way.
	os.Unsetenv("KUBECONFIG")
	os.Unsetenv(nameVariable)
	return m.Run()
}

// try runs the program and returns its output and exit code.
func try(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--name", name}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// must runs the program, wants it to succeed, and returns its standard output.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	stdout, stderr, code := try(t, name, args...)
	if code != 0 {
		t.Fatalf("cluster %v: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// up starts a cluster for the test and ends it with the test, which fails if
// anything is left.
func up(t *testing.T, name string, flags ...string) cluster.Cluster {
	t.Helper()
	traces := traces{name: name}
	t.Cleanup(func() {
		if _, err := cluster.Find(name); err == nil {
			if err := cluster.Down(context.Background(), name); err != nil {
				t.Errorf("down: %v", err)
			}
		}
		traces.wantNone(t)
	})
	must(t, name, append([]string{"up"}, flags...)...)
	c, err := cluster.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	traces = tracesOf(t, c)
	return c
}

// traces is what a cluster has on the machine while it runs.
type traces struct {
	name       string
	processes  []int
	namespaces map[string]bool // "net:[4026532001]"
}

var namespaceKinds = []string{"net", "mnt", "pid", "uts", "ipc"}

// tracesOf notes the processes and namespaces of a cluster: of its first
// process, of all that share its mounts, and of its pods.
func tracesOf(t *testing.T, c cluster.Cluster) traces {
	t.Helper()
	found := traces{name: c.Name, namespaces: map[string]bool{}}
	mounts := namespace(c.Init, "mnt")
	for _, pid := range pids(t) {
		group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)) // gone already: not ours to note
		if namespace(pid, "mnt") != mounts && !bytes.Contains(group, []byte("fairlead-test-"+c.Name+"/")) {
			continue
		}
		found.processes = append(found.processes, pid)
		for _, kind := range namespaceKinds {
			found.namespaces[namespace(pid, kind)] = true
		}
	}
	delete(found.namespaces, "")
	// Seven components, init, node, and CoreDNS with its sandbox and shim.
	if len(found.processes) < 12 {
		t.Fatalf("only %d processes of cluster %s found: the check for traces would check nothing", len(found.processes), c.Name)
	}
	return found
}

// wantNone fails the test for everything of the cluster that is still there.
func (w traces) wantNone(t *testing.T) {
	t.Helper()
	for _, pid := range pids(t) {
		for _, kind := range namespaceKinds {
			if n := namespace(pid, kind); w.namespaces[n] {
				command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				t.Errorf("process %d (%q) is still in %s", pid, command, n)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "fairlead-cluster/"+w.name+"/") {
			t.Errorf("mount left: %s", line)
		}
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/fairlead-test-" + w.name)
	unified, err2 := filepath.Glob("/sys/fs/cgroup/fairlead-test-" + w.name)
	files, err3 := filepath.Glob(filepath.Join(os.TempDir(), "fairlead-cluster", w.name+"*"))
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Concat(groups, unified, files) {
		t.Errorf("left: %s", path)
	}
}

func namespace(pid int, kind string) string {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil {
		return "" // the process ended
	}
	return link
}

func pids(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestUpDown starts and ends clusters one after the other, as many as
// CLUSTER_TEST_ROUNDS says, and wants nothing left after each.
func TestUpDown(t *testing.T) {
	rounds := 2
	if v := os.Getenv("CLUSTER_TEST_ROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "t-updown", "build") // not part of what is measured
	var ups, downs []time.Duration
	for range rounds {
		started := time.Now()
		must(t, "t-updown", "up")
		ups = append(ups, time.Since(started))
		c, err := cluster.Find("t-updown")
		if err != nil {
			t.Fatal(err)
		}
		traces := tracesOf(t, c)
		started = time.Now()
		must(t, "t-updown", "down")
		downs = append(downs, time.Since(started))
		traces.wantNone(t)
		if t.Failed() {
			return
		}
	}
	for what, times := range map[string][]time.Duration{"up": ups, "down": downs} {
		slices.Sort(times)
		t.Logf("%s: n %d, min %.2fs, median %.2fs, max %.2fs", what, len(times),
			times[0].Seconds(), times[len(times)/2].Seconds(), times[len(times)-1].Seconds())
	}
}

func TestRunExitCodesAndStreams(t *testing.T) {
	const name = "t-run"
	stdout, stderr, code := try(t, name, "run", "--no-gateway", "--", "sh", "-c", "kubectl get nodes -o name; pwd; exit 42")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if want := "node/node-1\n" + dir + "\n"; stdout != want || code != 42 {
		t.Errorf("run: code %d, stdout %q, want 42, %q\n%s", code, stdout, want, stderr)
	}
	up(t, name, "--no-gateway")
	if _, _, code := try(t, name, "exec", "--", "sh", "-c", "kill -TERM $$"); code != 128+int(syscall.SIGTERM) {
		t.Errorf("command ended by SIGTERM: exit code %d", code)
	}
	if _, stderr, code := try(t, name, "up"); code != 1 || !strings.Contains(stderr, "already running") {
		t.Errorf("second up: code %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"up"}, {"down"}, {"exec", "--name", "other", "--", "true"}} {
		_, stderr, code := try(t, name, append([]string{"exec", "--", "cluster"}, args...)...)
		if code != 1 || !strings.Contains(stderr, "from outside") {
			t.Errorf("%v inside: code %d, %s", args, code, stderr)
		}
	}
	cmd := exec.Command(program, "--name", name, "exec", "--", "cat")
	cmd.Stdin = strings.NewReader("through")
	if out, err := cmd.Output(); string(out) != "through" || err != nil {
		t.Errorf("stdin: %q, %v", out, err)
	}
	// A signal reaches the command, which decides what to do with it.
	cmd = exec.Command(program, "--name", name, "exec", "--", "sh", "-c", "trap 'echo trapped; exit 3' TERM; echo waiting; while :; do sleep 0.1; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("waiting\n"))
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	if _, err := rest.ReadFrom(out); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says more
	if rest.String() != "trapped\n" || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("after SIGTERM: %q, exit code %d, want trapped, 3", rest.String(), cmd.ProcessState.ExitCode())
	}
}

func TestNotRunning(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"exec", "--", "true"}, {"logs", "etcd"}, {"down"}} {
		_, stderr, code := try(t, "t-none", args...)
		if code != 1 || !strings.Contains(stderr, `"t-none": no such cluster is running`) {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
	_, stderr, code := try(t, "Bad_Name", "status")
	if code != 1 || !strings.Contains(stderr, `"Bad_Name"`) {
		t.Errorf("bad name: code %d, %s", code, stderr)
	}
}

func TestNothingLeftWhenRunIsKilled(t *testing.T) {
	const name = "t-killed"
	cmd := exec.Command(program, "--name", name, "run", "--no-gateway", "--", "sleep", "1000000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // the test did, if it came that far
	var c cluster.Cluster
	eventually(t, "the command runs", func() bool {
		var err error
		if c, err = cluster.Find(name); err != nil {
			return false
		}
		return slices.ContainsFunc(pids(t), func(pid int) bool {
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return string(command) == "sleep\x001000000\x00" && namespace(pid, "pid") == namespace(c.Init, "pid")
		})
	})
	traces := tracesOf(t, c)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	eventually(t, "the keeper is done", func() bool { return syscall.Kill(c.Keeper, 0) != nil })
	traces.wantNone(t)
}

func TestKilledKeeperIsSweptUp(t *testing.T) {
	const name = "t-keeper"
	c := up(t, name, "--no-gateway")
	if err := syscall.Kill(c.Keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster died with its keeper", func() bool { return syscall.Kill(c.Init, 0) != nil })
	_, stderr, code := try(t, name, "down")
	if code != 1 || !strings.Contains(stderr, "no such cluster is running") {
		t.Errorf("down: code %d, %s", code, stderr)
	}
}

func TestStartFailureNamesTheComponent(t *testing.T) {
	const name = "t-failing"
	var stderr bytes.Buffer
	cmd := exec.Command(program, "--name", name, "up", "--no-gateway")
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	data := []byte("--data-dir=" + filepath.Join(os.TempDir(), "fairlead-cluster", name, "etcd"))
	eventually(t, "etcd runs", func() bool {
		for _, pid := range pids(t) {
			if command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); bytes.Contains(command, data) {
				return syscall.Kill(pid, syscall.SIGKILL) == nil
			}
		}
		return false
	})
	_ = cmd.Wait() // the exit code says more
	if got := stderr.String(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(got, "etcd ended (signal: killed); the last lines of its log:") {
		t.Errorf("exit code %d\n%s", cmd.ProcessState.ExitCode(), got)
	}
	traces{name: name}.wantNone(t)
}

func TestComponents(t *testing.T) {
	const name = "t-components"
	up(t, name, "--no-gateway")
	for _, c := range []string{"kube-apiserver", "etcd", "containerd", "kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager"} {
		must(t, name, "component", "restart", c)
	}
	must(t, name, "component", "kill", "kube-apiserver")
	if _, stderr, code := try(t, name, "exec", "--", "kubectl", "get", "nodes"); code == 0 || !strings.Contains(stderr, "refused") {
		t.Errorf("without an API server: exit code %d, %s", code, stderr)
	}
	// From inside, as a test in the cluster does it.
	must(t, name, "exec", "--", "cluster", "component", "start", "kube-apiserver")
	must(t, name, "component", "pause", "kube-apiserver")
	if _, stderr, code := try(t, name, "exec", "--", "kubectl", "get", "nodes", "--request-timeout=2s"); code == 0 || strings.Contains(stderr, "refused") {
		t.Errorf("with a paused API server: exit code %d, %s", code, stderr)
	}
	must(t, name, "component", "resume", "kube-apiserver")
	must(t, name, "exec", "--", "kubectl", "wait", "--for=condition=Ready", "node/node-1", "--timeout=120s")
	var status struct {
		Components []struct {
			Name, State string
			Starts      int
		}
	}
	if err := json.Unmarshal([]byte(must(t, name, "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Components {
		if c.State != "running" || c.Starts < 2 {
			t.Errorf("%+v", c)
		}
	}
	if _, stderr, code := try(t, name, "component", "restart", "nope"); code != 1 || !strings.Contains(stderr, `"nope"`) {
		t.Errorf("unknown component: exit code %d, %s", code, stderr)
	}
}

func TestParallelClusters(t *testing.T) {
	for _, name := range []string{"t-one", "t-two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up(t, name, "--no-gateway")
			must(t, name, "exec", "--", "helm4", "install", "web", chart, "--wait", "--timeout", "2m", "--set", "labels.cluster="+name)
			got := must(t, name, "exec", "--", "kubectl", "get", "pods", "-o", "jsonpath={.items[*].metadata.labels.cluster}")
			if got != name {
				t.Errorf("pods of %s: %q", name, got)
			}
		})
	}
}
