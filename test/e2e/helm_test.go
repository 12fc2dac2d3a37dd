//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// matrixRow is a row of the matrix: one command through fairlead, and all that
// must come of it.
type matrixRow struct {
	reason string
	before [][]string // plain helm commands that prepare the release
	own    []string   // fairlead's own flags, before the word helm
	args   []string
	atomic bool   // with Helm's own rollback flag
	values string // a values file: unlike --set its values are no secrets, so they may show in a cause

	code    int
	span    string // of the operation, the root
	attrs   map[string]string
	failed  string            // error.type, a regular expression; "" = the operation succeeds
	cause   string            // a regular expression
	steps   []string          // spans that must be under the root or its rollback
	inner   string            // the span of the rollback or removal that followed
	innerIs map[string]string // its attributes
	history string
	deploys map[string]float64 // helm.deploy.count by helm.success
	stderr  string             // a regular expression
}

// install is the chart's installation that the rows begin with.
var install = []string{"install", "web", appChart, "--wait"}

func upgrade(args ...string) []string {
	return append([]string{"upgrade", "web", appChart, "--wait", "--timeout", "8s"}, args...)
}

const (
	failedImage = "image=fairlead.test/nope:v1"
	notReady    = "env.UNREADY=true"
)

var matrix = []matrixRow{
	{
		reason: "install", args: append(install, "--set", "hook.enabled=true"), span: "helm-install",
		attrs:   map[string]string{"helm.operation": "install", "helm.previous_revision": "0", "helm.revision": "1"},
		steps:   []string{"helm.hook", "k8s.workload.rollout", "k8s.pod", "k8s.pod.schedule", "k8s.pod.pull", "k8s.pod.start"},
		history: "1 deployed", deploys: map[string]float64{"true": 1},
	},
	{
		reason: "upgrade --install of a new release is an install by its kind, an upgrade by its name",
		args:   []string{"upgrade", "--install", "web", appChart, "--wait"}, span: "helm-upgrade",
		attrs:   map[string]string{"helm.operation": "install", "helm.previous_revision": "0", "helm.revision": "1"},
		history: "1 deployed", deploys: map[string]float64{"true": 1},
	},
	{
		reason: "upgrade", before: [][]string{install}, args: upgrade("--set", "image=fairlead.test/app:v2"), span: "helm-upgrade",
		attrs:   map[string]string{"helm.operation": "upgrade", "helm.previous_revision": "1", "helm.revision": "2"},
		steps:   []string{"k8s.workload.rollout", "k8s.pod"},
		history: "1 superseded, 2 deployed", deploys: map[string]float64{"true": 1},
	},
	{
		reason: "an upgrade that changes nothing", before: [][]string{install}, args: upgrade(), span: "helm-upgrade",
		attrs:   map[string]string{"helm.operation": "upgrade", "helm.previous_revision": "1", "helm.revision": "2"},
		history: "1 superseded, 2 deployed", deploys: map[string]float64{"true": 1},
	},
	{
		reason: "failing hook", before: [][]string{install}, code: 1, span: "helm-upgrade",
		args: upgrade(), values: "{hook: {enabled: true, result: fail}, env: {CRASH_MESSAGE: no schema}}",
		attrs:  map[string]string{"helm.operation": "upgrade", "helm.previous_revision": "1", "helm.revision": "2"},
		failed: "hook", cause: `web-hook.*no schema`, steps: []string{"helm.hook"},
		history: "1 deployed, 2 failed", deploys: map[string]float64{"false": 1},
		stderr: `(?s)Error: UPGRADE FAILED.*fairlead: upgrade of .*/web revision 2 failed after .*\(hook\).*cause `,
	},
	{
		reason: "an image that cannot be pulled", before: [][]string{install}, args: upgrade("--set", failedImage), code: 1, span: "helm-upgrade",
		attrs:  map[string]string{"helm.operation": "upgrade", "helm.revision": "2"},
		failed: "not_ready|timeout", cause: `Deployment web .*"fairlead.test/nope:v1".*cannot be pulled`,
		steps: []string{"k8s.workload.rollout", "k8s.pod", "k8s.pod.pull"}, history: "1 deployed, 2 failed", deploys: map[string]float64{"false": 1},
	},
	{
		reason: "crash loop", before: [][]string{install}, code: 1, span: "helm-upgrade",
		args: upgrade(), values: "{env: {CRASH_AFTER: 0s, EXIT_CODE: '3', CRASH_MESSAGE: no database}}",
		failed: "not_ready|timeout", cause: `Deployment web .*container app of pod web-\S+ .*exit code 3.*no database`,
		steps: []string{"k8s.workload.rollout", "k8s.pod"}, history: "1 deployed, 2 failed", deploys: map[string]float64{"false": 1},
		stderr: `(?s)cause .*log .*\| .*next .*kubectl -n \S+ logs`,
	},
	{
		reason: "never ready", before: [][]string{install}, args: upgrade("--set", notReady), code: 1, span: "helm-upgrade",
		failed: "not_ready|timeout", cause: `Deployment web .*readiness probe fails`, history: "1 deployed, 2 failed", deploys: map[string]float64{"false": 1},
	},
	{
		reason: "template error changes nothing and so rolls nothing back", before: [][]string{install},
		own: []string{"--auto-rollback"}, args: upgrade(), values: "fail: boom", code: 1, span: "helm-upgrade",
		attrs:  map[string]string{"helm.revision": "-", "helm.previous_revision": "1", "helm.chart.name": "app", "helm.chart.version": "0.1.0"},
		failed: "template", cause: "boom", history: "1 deployed", deploys: map[string]float64{"false": 1},
		stderr: `nothing was changed, revision 1 stays deployed`,
	},
	{
		reason: "first install failing, without automatic rollback", code: 1, span: "helm-install",
		args:   append(install, "--timeout", "8s", "--set", failedImage),
		attrs:  map[string]string{"helm.previous_revision": "0", "helm.revision": "1"},
		failed: "not_ready|timeout", cause: "cannot be pulled", history: "1 failed", deploys: map[string]float64{"false": 1},
	},
	{
		reason: "first install failing is uninstalled, never rolled back to 0", own: []string{"--auto-rollback"}, code: 1, span: "helm-install",
		args:   append(install, "--timeout", "8s", "--set", failedImage),
		failed: "not_ready|timeout", cause: "cannot be pulled", inner: "helm-uninstall",
		innerIs: map[string]string{"helm.operation": "uninstall", "helm.exit_code": "0", "helm.operation.automatic": "true"},
		history: "", deploys: map[string]float64{"false": 1}, stderr: "uninstalled .*/web after its first install failed",
	},
	{
		reason: "first install failing is kept by option", own: []string{"--auto-rollback=keep"}, code: 1, span: "helm-install",
		args:   append(install, "--timeout", "8s", "--set", failedImage),
		failed: "not_ready|timeout", cause: "cannot be pulled", history: "1 failed", deploys: map[string]float64{"false": 1},
		stderr: "no automatic rollback: the first install failed and is kept",
	},
	{
		reason: "automatic rollback", before: [][]string{install}, own: []string{"--auto-rollback"}, args: upgrade("--set", failedImage), code: 1,
		span: "helm-upgrade", failed: "not_ready|timeout", cause: "cannot be pulled", inner: "helm-rollback",
		innerIs: map[string]string{"helm.release": "web", "helm.rollback_to_revision": "1", "helm.exit_code": "0", "helm.revision": "3",
			"helm.operation": "rollback", "helm.operation.automatic": "true"},
		history: "1 superseded, 2 failed, 3 deployed", deploys: map[string]float64{"false": 1},
		stderr: `rolling back to revision 1(.|\n)*rolled back .*/web to revision 1 \(as revision 3\)`,
	},
	{
		reason: "automatic rollback goes to what was deployed, not to the revision before",
		before: [][]string{install, {"upgrade", "web", appChart, "--set", "hook.enabled=true,hook.result=fail"}},
		own:    []string{"--auto-rollback"}, args: upgrade("--set", failedImage), code: 1,
		span: "helm-upgrade", attrs: map[string]string{"helm.previous_revision": "1", "helm.revision": "3"},
		failed: "not_ready|timeout", cause: "cannot be pulled", inner: "helm-rollback",
		innerIs: map[string]string{"helm.rollback_to_revision": "1", "helm.revision": "4"},
		history: "1 superseded, 2 failed, 3 failed, 4 deployed", deploys: map[string]float64{"false": 1},
	},
	{
		reason: "Helm's own rollback is recognised and not repeated", before: [][]string{install}, own: []string{"--auto-rollback"}, atomic: true,
		args: upgrade(), values: "{env: {CRASH_AFTER: 0s, CRASH_MESSAGE: no database}}", code: 1, span: "helm-upgrade",
		attrs:  map[string]string{"helm.revision": "2"},
		failed: "rolled_back|not_ready|timeout", cause: "no database", inner: "helm-rollback",
		innerIs: map[string]string{"helm.rollback_to_revision": "1", "helm.revision": "3", "helm.operation.automatic": "true"},
		history: "1 superseded, 2 failed, 3 deployed", deploys: map[string]float64{"false": 1},
		stderr: `Helm rolled back to revision 1 \(as revision 3\)`,
	},
	{
		reason: "Helm's own removal of a first install", atomic: true, args: append(install, "--timeout", "8s", "--set", failedImage), code: 1,
		span: "helm-install", failed: "rolled_back|not_ready|timeout", cause: "cannot be pulled", inner: "helm-uninstall",
		history: "", deploys: map[string]float64{"false": 1}, stderr: "Helm uninstalled the release",
	},
	{
		reason: "uninstall", before: [][]string{install}, args: []string{"uninstall", "web", "--wait"}, span: "helm-uninstall",
		attrs: map[string]string{"helm.operation": "uninstall", "helm.revision": "1", "helm.chart.name": "app"}, history: "",
	},
	{
		reason: "uninstall by another of its names", before: [][]string{install}, args: []string{"del", "web"}, span: "helm-uninstall",
		attrs: map[string]string{"helm.operation": "uninstall", "helm.operation.command": "uninstall"}, history: "",
	},
	{
		reason: "uninstall of what is not there", args: []string{"uninstall", "web"}, code: 1, span: "helm-uninstall",
		failed: "not_found", cause: "not found", history: "",
	},
	{
		reason: "rollback by hand", before: [][]string{install, upgrade("--set", "image=fairlead.test/app:v2")},
		args: []string{"rollback", "web", "1", "--wait"}, span: "helm-rollback",
		attrs:   map[string]string{"helm.operation": "rollback", "helm.rollback_to_revision": "1", "helm.revision": "3", "helm.previous_revision": "2"},
		history: "1 superseded, 2 superseded, 3 deployed",
	},
	{
		reason: "rollback without a revision names the one that it went to", before: [][]string{install, upgrade("--set", "image=fairlead.test/app:v2")},
		args: []string{"rollback", "web", "--wait"}, span: "helm-rollback",
		attrs:   map[string]string{"helm.operation": "rollback", "helm.rollback_to_revision": "1", "helm.revision": "3"},
		history: "1 superseded, 2 superseded, 3 deployed",
	},
	{
		reason: "test", before: [][]string{{"install", "web", appChart, "--wait", "--set", "hook.enabled=true,hook.types=test"}},
		args: []string{"test", "web"}, span: "helm-test", attrs: map[string]string{"helm.operation": "test", "helm.revision": "1"},
		steps: []string{"helm.hook"}, history: "1 deployed",
	},
	{
		reason: "failing test", before: [][]string{{"install", "web", appChart, "--wait", "--set", "hook.enabled=true,hook.types=test,hook.result=fail"}},
		args: []string{"test", "web"}, code: 1, span: "helm-test", failed: "hook|not_ready|_OTHER", cause: "web-hook",
		history: "1 deployed",
	},
}

func TestMatrix(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		for _, op := range matrix {
			t.Run(op.reason, func(t *testing.T) {
				t.Parallel()
				op.check(t, newScene(t, s.major))
			})
		}
	})
}

func (op matrixRow) check(t *testing.T, s *scene) {
	for _, args := range op.before {
		if r := s.plain(args...); r.code != 0 && !strings.Contains(strings.Join(args, " "), "result=fail") {
			t.Fatalf("helm %v: exit code %d\n%s", args, r.code, r.stderr)
		}
	}
	args := append(append([]string{}, op.own...), "helm")
	args = append(args, op.args...)
	if op.atomic {
		args = append(args, s.rollbackFlag())
	}
	if op.values != "" {
		args = append(args, "--values", s.file("values.yaml", op.values))
	}
	r := s.fairlead(args...)
	if r.code != op.code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, op.code, r.stdout, r.stderr)
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("stderr:\n%s", r.stderr)
	}
	if !regexp.MustCompile(op.stderr).MatchString(r.stderr) {
		t.Errorf("stderr does not match %s:\n%s", op.stderr, r.stderr)
	}
	if got := s.history("web"); got != op.history {
		t.Errorf("history %q, want %q", got, op.history)
	}
	tr := s.collector.trace(t)
	root := tr.one(op.span)
	if !root.ParentSpanID().IsEmpty() {
		t.Errorf("%s has a parent, want a root", op.span)
	}
	op.checkRoot(t, s, root)
	op.checkFailure(t, tr, root)
	op.checkInner(t, tr, root)
	for _, name := range op.steps {
		found := tr.named(name)
		if len(found) == 0 {
			t.Errorf("no span %s, the trace has %v", name, tr.names())
			continue
		}
		tr.under(found[0], root)
	}
	for _, span := range tr.spans {
		if span.EndTimestamp() < span.StartTimestamp() {
			t.Errorf("span %s ends before it starts", span.Name())
		}
	}
	op.checkRecords(t, s, root)
	for _, success := range []string{"true", "false"} {
		got, _ := s.collector.sum("helm.deploy.count", map[string]string{"helm.success": success, "helm.release": "web", "helm.namespace": s.namespace})
		if got != op.deploys[success] {
			t.Errorf("helm.deploy.count{helm.success=%s} = %v, want %v", success, got, op.deploys[success])
		}
	}
	rollbacks, _ := s.collector.sum("helm.rollback.count", nil)
	want := 0.0
	if op.inner == "helm-rollback" || op.span == "helm-rollback" {
		want = 1
	}
	if rollbacks != want {
		t.Errorf("helm.rollback.count = %v, want %v", rollbacks, want)
	}
}

func (op matrixRow) checkRoot(t *testing.T, s *scene, root ptrace.Span) {
	t.Helper()
	wantAttrs(t, op.span, root.Attributes(), map[string]string{
		"helm.release": "web", "helm.namespace": s.namespace, "helm.exit_code": fmt.Sprint(op.code), "process.exit.code": fmt.Sprint(op.code),
		"deployment.name": "web", "k8s.namespace.name": s.namespace, "cicd.pipeline.task.type": "deploy",
		"fairlead.watch.missing": "-",
	})
	wantAttrs(t, op.span, root.Attributes(), op.attrs)
	switch {
	case op.span == "helm-install" || op.span == "helm-upgrade":
		wantAttrs(t, op.span, root.Attributes(), map[string]string{"helm.chart.name": "app", "helm.chart.version": "0.1.0"})
		wait := attr(root.Attributes(), "helm.wait")
		if want := map[int]string{3: "true", 4: "watcher"}[s.major]; wait != want {
			t.Errorf("helm.wait = %q, want %q", wait, want)
		}
	}
	status := map[bool]string{true: "succeeded", false: "failed"}[op.failed == ""]
	wantAttrs(t, op.span, root.Attributes(), map[string]string{"deployment.status": status})
	if failed := root.Status().Code() == ptrace.StatusCodeError; failed != (op.failed != "") {
		t.Errorf("%s: status %v", op.span, root.Status().Code())
	}
	if revision := attr(root.Attributes(), "helm.revision"); revision != "" {
		wantAttrs(t, op.span, root.Attributes(), map[string]string{"deployment.id": s.namespace + "/web.v" + revision})
	}
}

func (op matrixRow) checkFailure(t *testing.T, tr tree, root ptrace.Span) {
	t.Helper()
	if op.failed == "" {
		tr.none(op.span + "-failed")
		return
	}
	failed := tr.one(op.span + "-failed")
	if failed.ParentSpanID() != root.SpanID() {
		t.Errorf("%s is no child of %s", failed.Name(), root.Name())
	}
	if failed.StartTimestamp() != failed.EndTimestamp() {
		t.Errorf("%s is no instant", failed.Name())
	}
	wantAttrs(t, failed.Name(), failed.Attributes(), map[string]string{"helm.release": "web", "helm.exit_code": fmt.Sprint(op.code)})
	for _, span := range []ptrace.Span{root, failed} {
		if got := attr(span.Attributes(), "error.type"); !regexp.MustCompile("^(" + op.failed + ")$").MatchString(got) {
			t.Errorf("%s: error.type = %q, want %s", span.Name(), got, op.failed)
		}
		if got := attr(span.Attributes(), "helm.cause"); !regexp.MustCompile(op.cause).MatchString(got) {
			t.Errorf("%s: cause %q does not match %s", span.Name(), got, op.cause)
		}
	}
}

func (op matrixRow) checkInner(t *testing.T, tr tree, root ptrace.Span) {
	t.Helper()
	for _, name := range []string{"helm-rollback", "helm-uninstall"} {
		if name != op.inner && name != op.span {
			tr.none(name)
		}
	}
	if op.inner == "" {
		return
	}
	inner := tr.one(op.inner)
	if inner.ParentSpanID() != root.SpanID() {
		t.Errorf("%s is no child of %s", op.inner, op.span)
	}
	wantAttrs(t, op.inner, inner.Attributes(), op.innerIs)
	wantAttrs(t, op.inner, inner.Attributes(), map[string]string{"helm.operation.parent_id": attr(root.Attributes(), "helm.operation.id")})
}

// checkRecords checks the log records of the operation: a start that says
// running, and an end with the same identity as the span.
func (op matrixRow) checkRecords(t *testing.T, s *scene, root ptrace.Span) {
	t.Helper()
	var states []string
	for _, l := range s.collector.events("helm.operation") {
		if l.TraceID() != root.TraceID() {
			t.Errorf("a record of another trace")
		}
		if l.SpanID() == root.SpanID() {
			states = append(states, attr(l.Attributes(), "helm.operation.state"))
			if last := states[len(states)-1]; last == "succeeded" || last == "failed" {
				wantAttrs(t, "last record", l.Attributes(), map[string]string{
					"helm.operation.id": attr(root.Attributes(), "helm.operation.id"), "helm.operation.observer": "wrapper",
				})
			}
		}
	}
	if len(states) < 2 || states[0] != "running" || states[len(states)-1] == "running" {
		t.Errorf("the operation's records say %v, want running ... and an end", states)
	}
}
