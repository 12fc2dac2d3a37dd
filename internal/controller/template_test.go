package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// track makes a workload of a pod template in YAML.
func track(t *testing.T, selector map[string]string, text string) *workload {
	t.Helper()
	w := &workload{selector: &metav1.LabelSelector{MatchLabels: selector}, template: &corev1.PodTemplateSpec{}}
	if err := yaml.UnmarshalStrict([]byte(text), w.template); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPromotedTemplate(t *testing.T) {
	stable := track(t, map[string]string{"app": "shop", "track": "stable"}, `
metadata:
  labels: {app: shop, track: stable, team: a}
  annotations: {example.org/owner: stable-team}
spec:
  nodeSelector: {pool: stable}
  containers:
  - {name: shop, image: "shop:1", env: [{name: DEPLOYMENT_TRACK, value: stable}, {name: FLAG, value: "off"}]}
`)
	canary := track(t, map[string]string{"app": "shop-canary", "release": "canary"}, `
metadata:
  labels: {app: shop-canary, release: canary, track: canary, team: b}
  annotations: {example.org/owner: canary-team, example.org/new: "1"}
spec:
  nodeSelector: {pool: canary}
  containers:
  - {name: sidecar, image: "proxy:2", env: [{name: DEPLOYMENT_TRACK, value: canary}]}
  - {name: shop, image: "shop:2", env: [{name: APP_VERSION, value: "2"}, {name: DEPLOYMENT_TRACK, value: canary}, {name: FLAG, value: "on"}]}
`)
	want := track(t, nil, `
metadata:
  labels: {app: shop, track: stable, team: b}
  annotations: {example.org/owner: stable-team, example.org/new: "1"}
spec:
  nodeSelector: {pool: stable}
  containers:
  - {name: sidecar, image: "proxy:2", env: []}
  - {name: shop, image: "shop:2", env: [{name: APP_VERSION, value: "2"}, {name: DEPLOYMENT_TRACK, value: stable}, {name: FLAG, value: "off"}]}
`)
	keep := []string{"metadata.annotations.example.org/owner", "spec.nodeSelector", "spec.containers[shop].env[FLAG]"}
	got, err := promoted(stable, canary, keep)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.template.Spec.Containers[1], got.Spec.Containers[1]); diff != "" {
		t.Errorf("container shop (-want +got):\n%s", diff)
	}
	if len(got.Spec.Containers[0].Env) != 0 {
		t.Errorf("the track of the canary stays in a container that stable does not have: %v", got.Spec.Containers[0].Env)
	}
	if diff := cmp.Diff(want.template.ObjectMeta, got.ObjectMeta); diff != "" {
		t.Errorf("labels and annotations (-want +got):\n%s", diff)
	}
	if got.Spec.NodeSelector["pool"] != "stable" {
		t.Errorf("spec.nodeSelector is %v, want stable's", got.Spec.NodeSelector)
	}
	stable.template = got
	again, err := promoted(stable, canary, keep)
	if diff := cmp.Diff(got, again); diff != "" || err != nil {
		t.Errorf("a second promotion changes what the first has made: %v\n%s", err, diff)
	}
	if got := versionOf(stable.template); got != "2" {
		t.Errorf("version %q, want 2", got)
	}
}

func TestPathsToKeep(t *testing.T) {
	for _, bad := range []string{"", "spec", "spec.", "status.phase", "metadata.name", "spec.containers[", "spec.containers[]", "spec.containers[a]b", "spec..x"} {
		if _, err := parsePath(bad); err == nil {
			t.Errorf("path %q is taken", bad)
		}
	}
}

func TestWindows(t *testing.T) {
	office := []v1alpha1.Window{{Days: []string{"Mon", "Tue"}, From: "09:00", To: "17:00", TimeZone: "Europe/Oslo"}, {Days: []string{"Sun"}, From: "22:00", To: "24:00"}}
	for at, want := range map[string]bool{
		"2026-11-23T08:00:00Z": true,  // Monday, nine in Oslo
		"2026-11-23T07:59:00Z": false, // a minute before
		"2026-11-23T16:00:00Z": false, // five in Oslo
		"2026-11-25T10:00:00Z": false, // Wednesday
		"2026-11-22T23:59:00Z": true,  // Sunday in UTC
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := inWindow(office, now); got != want || err != nil {
			t.Errorf("%s: open %v, %v; want %v", at, got, err, want)
		}
	}
	if open, err := inWindow(nil, time.Now()); !open || err != nil {
		t.Errorf("without windows: %v, %v", open, err)
	}
	if _, err := inWindow([]v1alpha1.Window{{TimeZone: "Mars/Olympus"}}, time.Now()); err == nil {
		t.Error("a time zone that does not exist is taken")
	}
}

// What is persisted is what is read, and goes with the step or the rollout.
func TestStateIsKept(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 123456000, time.UTC)
	s := rollout.State{
		Template: "abc", Attempt: 2, Phase: rollout.PhaseProgressing, Step: 1, Started: at, GateStarted: at.Add(time.Minute), PhaseStarted: at,
		Approved: 1, Reason: rollout.ReasonGate, Message: "m", Reasserts: 3, Contested: true, StableReplicas: 4,
		Sized: 2, Resizes: 1, LostSince: at.Add(2 * time.Minute),
	}
	first := metav1.NewMicroTime(at)
	before := &v1alpha1.Progress{Template: "abc", Attempt: 2, Step: 1, Gates: []metav1.MicroTime{first}, Answers: map[string]string{"gate": "pass"}}
	p := progressOf(before, s)
	if diff := cmp.Diff(s, stateOf(&v1alpha1.CanaryReleaseStatus{Progress: p})); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
	if len(p.Gates) != 2 || p.Answers["gate"] != "pass" {
		t.Errorf("gates %v, answers %v: want this gate's start too, and the step's answers", p.Gates, p.Answers)
	}
	s.Step, s.GateStarted = 2, time.Time{}
	if next := progressOf(p, s); len(next.Gates) != 2 || next.Answers != nil {
		t.Errorf("next step: gates %v, answers %v: want the starts and no answers", next.Gates, next.Answers)
	}
	s.Attempt = 3
	if again := progressOf(p, s); again.Gates != nil {
		t.Errorf("next rollout: gates %v of the one before", again.Gates)
	}
}

func TestReadyPodsAreCountedFromBelow(t *testing.T) {
	three := int32(3)
	for name, c := range map[string]struct {
		generation, observed     int64
		replicas, updated, ready int32
		want                     rollout.Workload
	}{
		"all new":              {1, 1, 3, 3, 3, rollout.Workload{Exists: true, Desired: 3, Ready: 3, Updated: true}},
		"old ones are ready":   {2, 2, 4, 1, 3, rollout.Workload{Exists: true, Desired: 3}},
		"one old is left":      {2, 2, 4, 3, 4, rollout.Workload{Exists: true, Desired: 3, Ready: 3}},
		"not yet seen":         {2, 1, 3, 3, 3, rollout.Workload{Exists: true, Desired: 3}},
		"fewer than are asked": {1, 1, 2, 2, 2, rollout.Workload{Exists: true, Desired: 3, Ready: 2}},
	} {
		if diff := cmp.Diff(c.want, seenOf(&three, c.generation, c.observed, c.replicas, c.updated, c.ready)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
