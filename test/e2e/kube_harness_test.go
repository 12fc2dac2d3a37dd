//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

// bench is a namespace of its own with a watch beside Helm: what the wrapper
// puts together, without the wrapper.
type bench struct {
	t         *testing.T
	helm      string // the binary
	namespace string
	client    *kube.Client
}

func newBench(t *testing.T, helmVariable string) *bench {
	t.Helper()
	binary := os.Getenv(helmVariable)
	if binary == "" {
		t.Skipf("%s is not set: run with `make e2e`", helmVariable)
	}
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", " ", "-").Replace(t.Name()))
	name = fmt.Sprintf("%.40s-%d", strings.TrimPrefix(name, "test"), time.Now().UnixNano()%1e6)
	b := &bench{t: t, helm: binary, namespace: name}
	b.kubectl("", "create", "namespace", name)
	t.Cleanup(func() { b.kubectl("", "delete", "namespace", name, "--wait=false") })
	kube.SilenceClientLogs()
	client, err := kube.NewClient(kube.ClientOptions{Namespace: name})
	if err != nil {
		t.Fatal(err)
	}
	b.client = client
	return b
}

// kubectl runs kubectl with an optional manifest on stdin.
func (b *bench) kubectl(stdin string, args ...string) string {
	b.t.Helper()
	if b.namespace != "" && args[0] != "create" && args[0] != "delete" || stdin != "" {
		args = append([]string{"-n", b.namespace}, args...)
	}
	cmd := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// operation is one run of Helm with what was seen beside it.
type operation struct {
	watch      *kube.Watch
	start, end time.Time
	exitCode   int
	stderr     string
	waits      []string // each change of what it waited for
	snapshot   release.Snapshot
	cause      release.Cause
	steps      []release.Step
}

// run runs Helm on the release "web" and watches beside it.
func (b *bench) run(args ...string) *operation {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	ref := release.Ref{Namespace: b.namespace, Name: "web"}
	rule := release.ReadyWatcher
	if b.helm == os.Getenv("FAIRLEAD_TEST_HELM3") {
		rule = release.ReadyLegacy
	}
	op := &operation{start: time.Now()}
	op.watch = kube.StartWatch(ctx, b.client, kube.WatchOptions{
		Namespaces: []string{b.namespace}, Release: ref, Decode: helm.ReadRecord, Ready: rule, Snapshot: &kube.SnapshotOptions{},
	})
	b.t.Cleanup(op.watch.Stop)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := ""
		for {
			select {
			case <-stop:
				return
			case <-op.watch.Changed():
			}
			for _, w := range op.watch.Waiting()[:min(1, len(op.watch.Waiting()))] {
				if line := fmt.Sprintf("%s %s (%s %s %s)", w.Object, w.Text, w.Pod, w.Reason, w.Detail); line != last {
					op.waits = append(op.waits, line)
					last = line
				}
			}
		}
	}()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.helm, append(args, "-n", b.namespace)...)
	cmd.Stderr = &stderr
	err := cmd.Run()
	op.end = time.Now()
	close(stop)
	<-done
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		op.exitCode = exit.ExitCode()
	} else if err != nil {
		b.t.Fatal(err)
	}
	op.stderr = stderr.String()
	if op.exitCode != 0 {
		b.explain(ctx, op)
	}
	op.steps = op.watch.Steps(op.start, op.end)
	op.watch.Stop()
	if missing := op.watch.Missing(); len(missing) > 0 {
		b.t.Errorf("missing: %v", missing)
	}
	return op
}

func (b *bench) explain(ctx context.Context, op *operation) {
	class, words := helm.Classify(op.exitCode, op.stderr, false)
	records := op.watch.Records()
	ok := false
	for i := len(records) - 1; i >= 0 && !ok; i-- {
		op.snapshot, ok = op.watch.FailureSnapshot(ctx, records[i].Revision)
	}
	if !ok {
		op.snapshot, ok = op.watch.FailureSnapshot(ctx, 1) // an install whose record is gone
	}
	if !ok {
		op.snapshot = kube.TakeSnapshot(ctx, b.client, op.watch.Facts(), kube.SnapshotOptions{})
	}
	op.cause = release.FindCause(op.snapshot, class, words)
}

// chart returns the path of a chart of the tests.
func chart(name string) string {
	if root := os.Getenv("FAIRLEAD_TEST_CHARTS"); root != "" {
		return filepath.Join(root, name)
	}
	return filepath.Join("..", "charts", name)
}

// outline prints steps as a tree, for failing tests.
func outline(steps []release.Step, from time.Time, indent string) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s%-12s %-40s %6.2f..%6.2f done=%v failed=%v %s\n", indent, s.Kind, s.Object,
			s.Start.Sub(from).Seconds(), s.End.Sub(from).Seconds(), s.Done, s.Failed, s.Reason)
		b.WriteString(outline(s.Children, from, indent+"  "))
	}
	return b.String()
}
