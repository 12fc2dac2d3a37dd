//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

var bothHelms = []string{"FAIRLEAD_TEST_HELM4", "FAIRLEAD_TEST_HELM3"}

func forBothHelms(t *testing.T, test func(t *testing.T, b *bench)) {
	for _, helmVariable := range bothHelms {
		t.Run(strings.ToLower(strings.TrimPrefix(helmVariable, "FAIRLEAD_TEST_")), func(t *testing.T) {
			t.Parallel()
			test(t, newBench(t, helmVariable))
		})
	}
}

// find returns the steps of a kind whose object is so named, at any depth.
func find(steps []release.Step, kind release.StepKind, object string) (out []release.Step) {
	for _, s := range steps {
		if s.Kind == kind && (object == "" || s.Object.String() == object) {
			out = append(out, s)
		}
		out = append(out, find(s.Children, kind, object)...)
	}
	return out
}

// one returns the only step of that kind and object.
func one(t *testing.T, op *operation, steps []release.Step, kind release.StepKind, object string) release.Step {
	t.Helper()
	found := find(steps, kind, object)
	if len(found) != 1 {
		t.Fatalf("%d steps %s %s, want 1, in\n%s", len(found), kind, object, outline(op.steps, op.start, "  "))
	}
	return found[0]
}

// checkNesting fails on steps that end before they start or leave their parent.
func checkNesting(t *testing.T, steps []release.Step, from, to time.Time) {
	t.Helper()
	for _, s := range steps {
		if s.End.Before(s.Start) || s.Start.Before(from) || s.End.After(to) {
			t.Errorf("%s %s from %s to %s is not within %s to %s", s.Kind, s.Object, s.Start, s.End, from, to)
		}
		checkNesting(t, s.Children, s.Start, s.End)
	}
}

func TestTimelineOfInstallUpgradeUninstall(t *testing.T) {
	forBothHelms(t, func(t *testing.T, b *bench) {
		install := b.run("install", "web", chart("app"), "--wait", "--timeout", "60s", "--set",
			"hook.enabled=true,hook.after=1s,init.enabled=true,init.after=1s,replicas=2,image=fairlead.test/slow-3s/app:v1,statefulSet.enabled=true,daemonSet.enabled=true")
		if install.exitCode != 0 {
			t.Fatal(install.stderr)
		}
		t.Logf("install\n%s%s", outline(install.steps, install.start, "  "), strings.Join(install.waits, "\n"))
		checkNesting(t, install.steps, install.start, install.end)
		hook := one(t, install, install.steps, release.StepHook, "Job web-hook")
		deployment := one(t, install, install.steps, release.StepWorkload, "Deployment web")
		one(t, install, install.steps, release.StepWorkload, "StatefulSet web")
		one(t, install, install.steps, release.StepWorkload, "DaemonSet web")
		if !hook.Done || hook.Failed || deployment.Start.Before(hook.End) {
			t.Errorf("the hook runs to its end before the Deployment begins:\n%s", outline(install.steps, install.start, "  "))
		}
		pods := find(deployment.Children, release.StepPod, "")
		if len(pods) != 2 || !deployment.Done || deployment.Failed {
			t.Errorf("%d pods, want 2", len(pods))
		}
		for _, p := range pods {
			for _, kind := range []release.StepKind{release.StepSchedule, release.StepPull, release.StepInit, release.StepStart} {
				if n := len(find(p.Children, kind, "")); n == 0 || n > 2 {
					t.Errorf("pod %s has %d steps %s:\n%s", p.Object.Name, n, kind, outline([]release.Step{p}, install.start, "  "))
				}
			}
			if init := one(t, install, p.Children, release.StepInit, ""); init.End.Sub(init.Start) < 900*time.Millisecond {
				t.Errorf("the init container takes a second; its step %s", init.End.Sub(init.Start))
			}
		}
		pulls := find(install.steps, release.StepPull, "")
		if !slices.ContainsFunc(pulls, func(s release.Step) bool { return s.End.Sub(s.Start) >= 3*time.Second }) {
			t.Errorf("an image takes 3 s to pull:\n%s", outline(install.steps, install.start, "  "))
		}

		same := b.run("upgrade", "web", chart("app"), "--wait", "--timeout", "60s", "--reuse-values", "--set", "hook.enabled=false")
		if len(same.steps) != 0 {
			t.Errorf("an upgrade that changes nothing has steps:\n%s", outline(same.steps, same.start, "  "))
		}

		upgrade := b.run("upgrade", "web", chart("app"), "--wait", "--timeout", "60s", "--reuse-values", "--set",
			"hook.enabled=false,image=fairlead.test/app:v2,init.enabled=false")
		t.Logf("upgrade\n%s%s", outline(upgrade.steps, upgrade.start, "  "), strings.Join(upgrade.waits, "\n"))
		checkNesting(t, upgrade.steps, upgrade.start, upgrade.end)
		if d := one(t, upgrade, upgrade.steps, release.StepWorkload, "Deployment web"); len(d.Children) != 2 || !d.Done {
			t.Errorf("the upgrade makes two new pods:\n%s", outline(upgrade.steps, upgrade.start, "  "))
		}
		if len(find(upgrade.steps, release.StepHook, "")) > 0 {
			t.Error("the hook of the install is in the upgrade's timeline")
		}
		if events := upgrade.watch.Events(); len(events) < 4 {
			t.Errorf("%d events", len(events))
		}

		uninstall := b.run("uninstall", "web", "--wait", "--timeout", "60s")
		t.Logf("uninstall\n%s%s", outline(uninstall.steps, uninstall.start, "  "), strings.Join(uninstall.waits, "\n"))
		checkNesting(t, uninstall.steps, uninstall.start, uninstall.end)
		one(t, uninstall, uninstall.steps, release.StepRemoval, "Deployment web")
	})
}

// With --atomic Helm removes the evidence itself: the snapshot that the watch
// takes must be of before.
func TestEvidenceOfAnAtomicUpgrade(t *testing.T) {
	forBothHelms(t, func(t *testing.T, b *bench) {
		if op := b.run("install", "web", chart("app"), "--wait", "--timeout", "60s"); op.exitCode != 0 {
			t.Fatal(op.stderr)
		}
		atomic := "--atomic"
		if b.helm == os.Getenv("FAIRLEAD_TEST_HELM4") {
			atomic = "--rollback-on-failure"
		}
		op := b.run("upgrade", "web", chart("app"), atomic, "--wait", "--timeout", "8s", "--set",
			"env.CRASH_AFTER=0s,env.CRASH_MESSAGE=no database")
		if op.exitCode == 0 {
			t.Fatal("helm succeeded")
		}
		t.Logf("%s: %s\n%s", op.cause.ErrorType, op.cause.Sentence, outline(op.steps, op.start, "  "))
		if !strings.Contains(op.cause.Sentence, `it last said "no database"`) {
			t.Errorf("cause %s", op.cause.Sentence)
		}
		if op.snapshot.Revision != 2 || op.snapshot.Status != "failed" || len(op.snapshot.Logs) == 0 {
			t.Errorf("snapshot of revision %d (%s) with %d logs, want 2, failed, at least one", op.snapshot.Revision, op.snapshot.Status, len(op.snapshot.Logs))
		}
		rollouts := find(op.steps, release.StepWorkload, "Deployment web")
		if len(rollouts) == 3 && rollouts[0].Done && !rollouts[0].Failed {
			rollouts = rollouts[1:] // the controller said only now that the install's had ended
		}
		if len(rollouts) != 2 || !rollouts[0].Failed || !rollouts[1].Done || rollouts[1].Failed {
			t.Errorf("a failed rollout and the one of the rollback are expected:\n%s", outline(op.steps, op.start, "  "))
		}
		var states []string
		for _, r := range op.watch.Records() {
			states = append(states, fmt.Sprintf("%d %s", r.Revision, r.Status))
		}
		if want := []string{"1 superseded", "2 failed", "3 deployed"}; !slices.Equal(states, want) {
			t.Errorf("records %v, want %v", states, want)
		}
	})
}
