package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/release"
)

func read[T any](t *testing.T, text string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		t.Fatal(err)
	}
	return out
}

var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestPod(t *testing.T) {
	p := read[corev1.Pod](t, `
metadata:
  name: web-5d9-x
  namespace: shop
  uid: u1
  creationTimestamp: "2026-03-01T12:00:00Z"
  labels: {pod-template-hash: 5d9, app.kubernetes.io/instance: web}
  annotations: {meta.helm.sh/release-name: copied-from-the-template}
  ownerReferences:
  - {apiVersion: v1, kind: Other, name: o, uid: o1}
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-5d9, uid: r1, controller: true}
spec:
  nodeName: node-1
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data}}
  - {name: key, secret: {secretName: key}}
  initContainers:
  - {name: proxy, image: "proxy:1", restartPolicy: Always}
  containers:
  - {name: app, image: "web:2", env: [{name: PASSWORD, value: hunter2}], args: [--token=hunter2]}
status:
  phase: Running
  conditions:
  - {type: Ready, status: "False", reason: ContainersNotReady, message: "containers with unready status: [app]", lastTransitionTime: "2026-03-01T12:00:05Z"}
  initContainerStatuses:
  - {name: proxy, image: "proxy:1", imageID: "", restartCount: 0, ready: true, started: true, state: {running: {startedAt: "2026-03-01T12:00:02Z"}}}
  containerStatuses:
  - name: app
    image: "web:2"
    imageID: ""
    ready: false
    restartCount: 2
    started: false
    state: {waiting: {reason: CrashLoopBackOff, message: "back-off 20s"}}
    lastState: {terminated: {exitCode: 3, reason: Error, message: "password hunter2 refused", startedAt: "2026-03-01T12:00:03Z", finishedAt: "2026-03-01T12:00:04Z"}}
`)
	before := p.DeepCopy()
	if _, err := strip(p); err != nil {
		t.Fatal(err)
	}
	conv := converter{redact: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }}
	want := &release.Pod{
		Meta: release.Meta{
			ObjectRef: release.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-5d9-x", UID: "u1"},
			Owner:     release.ObjectRef{Kind: "ReplicaSet", Namespace: "shop", Name: "web-5d9", UID: "r1"},
			Instance:  "web", Created: created,
		},
		Phase: "Running", Node: "node-1", Template: "5d9", Claims: []string{"data"},
		Conditions: []release.Condition{{
			Type: "Ready", Status: "False", Reason: "ContainersNotReady", Message: "containers with unready status: [app]", Since: created.Add(5 * time.Second),
		}},
		Init: []release.Container{{
			Name: "proxy", Image: "proxy:1", State: release.ContainerRunning, Ready: true, Started: true, Sidecar: true, Running: created.Add(2 * time.Second),
		}},
		Containers: []release.Container{{
			Name: "app", Image: "web:2", State: release.ContainerWaiting, Reason: "CrashLoopBackOff", Message: "back-off 20s", Restarts: 2,
			LastExit: &release.Termination{ExitCode: 3, Reason: "Error", Message: "password *** refused", Started: created.Add(3 * time.Second), Finished: created.Add(4 * time.Second)},
		}},
	}
	got := conv.pod(p)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(got, conv.pod(before)); diff != "" {
		t.Errorf("what is stripped is read after all:\n%s", diff)
	}
	if p.Spec.Containers[0].Env != nil || p.Spec.Containers[0].Args != nil {
		t.Error("environment and arguments are kept")
	}
}

func TestWorkloads(t *testing.T) {
	conv := converter{}
	mark := metav1.ObjectMeta{
		Name: "web", Namespace: "shop", UID: "u1", Generation: 4, CreationTimestamp: metav1.NewTime(created),
		Annotations: map[string]string{
			"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "ops", "helm.sh/hook": "pre-install, post-upgrade",
			"deployment.kubernetes.io/revision": "7", "deprecated.daemonset.template.generation": "3",
		},
	}
	d := conv.deployment(&appsv1.Deployment{
		ObjectMeta: mark,
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(int32(5)),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: ptr.To(intstr.FromString("25%"))}},
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 4, Replicas: 6, UpdatedReplicas: 3, ReadyReplicas: 4, AvailableReplicas: 2},
	})
	want := &release.Workload{
		Meta: release.Meta{
			ObjectRef: release.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u1"}, Release: release.Ref{Namespace: "ops", Name: "web"},
			Hook: []string{"pre-install", "post-upgrade"}, Generation: 4, Created: created,
		},
		ObservedGeneration: 4, Desired: 5, Total: 6, Updated: 3, Ready: 4, Available: 2, MaxUnavailable: 1, Revision: 7,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := conv.deployment(&appsv1.Deployment{}).Desired; n != 1 {
		t.Errorf("without replicas a Deployment wants %d pods", n)
	}
	set := conv.statefulSet(&appsv1.StatefulSet{
		Spec:   appsv1.StatefulSetSpec{Replicas: ptr.To(int32(3)), UpdateStrategy: appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(int32(2))}}},
		Status: appsv1.StatefulSetStatus{UpdateRevision: "b", CurrentRevision: "a", UpdatedReplicas: 1},
	})
	if set.Desired != 3 || set.Partition != 2 || set.Template != "b" || set.CurrentTemplate != "a" || set.Updated != 1 {
		t.Errorf("StatefulSet %+v", set)
	}
	daemon := conv.daemonSet(&appsv1.DaemonSet{ObjectMeta: mark, Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 9, NumberReady: 8}})
	if daemon.Desired != 9 || daemon.Ready != 8 || daemon.Template != "3" {
		t.Errorf("DaemonSet %+v", daemon)
	}
	rs := conv.replicaSet(&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Annotations:     map[string]string{"deployment.kubernetes.io/revision": "7", "meta.helm.sh/release-name": "copied"},
		Labels:          map[string]string{"pod-template-hash": "5d9"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", UID: "u1"}},
	}})
	if rs.Revision != 7 || rs.Template != "5d9" || !rs.Release.IsZero() || rs.Owner.UID != "u1" {
		t.Errorf("ReplicaSet %+v", rs)
	}
	job := conv.job(&batchv1.Job{Status: batchv1.JobStatus{
		Failed: 1, Active: 1, StartTime: ptr.To(metav1.NewTime(created)),
		Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded"}},
	}})
	if failed, c := job.JobFailed(); !failed || c.Reason != "BackoffLimitExceeded" || job.Total != 2 || !job.Started.Equal(created) {
		t.Errorf("Job %+v", job)
	}
}

func TestMaxUnavailable(t *testing.T) {
	cases := []struct {
		unavailable, surge *intstr.IntOrString
		desired, want      int32
	}{
		{ptr.To(intstr.FromString("25%")), ptr.To(intstr.FromString("25%")), 3, 0},
		{ptr.To(intstr.FromString("25%")), ptr.To(intstr.FromString("25%")), 8, 2},
		{ptr.To(intstr.FromInt32(5)), nil, 3, 3},
		{ptr.To(intstr.FromInt32(0)), ptr.To(intstr.FromInt32(0)), 3, 1}, // or nothing could ever move
		{nil, ptr.To(intstr.FromInt32(1)), 3, 0},
	}
	for _, c := range cases {
		if got := maxUnavailable(c.unavailable, c.surge, c.desired); got != c.want {
			t.Errorf("%v, surge %v of %d: %d, want %d", c.unavailable, c.surge, c.desired, got, c.want)
		}
	}
}

func TestEventsOfBothKinds(t *testing.T) {
	received := created.Add(time.Minute)
	object := corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "web-x", UID: "p1", FieldPath: "spec.containers{app}", APIVersion: "v1", ResourceVersion: "9"}
	old := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "web-x.1", Namespace: "shop", UID: "e1"}, InvolvedObject: object, Reason: "BackOff", Message: "Back-off",
		Type: "Warning", Count: 7, Source: corev1.EventSource{Component: "kubelet", Host: "node-1"},
		FirstTimestamp: metav1.NewTime(created), LastTimestamp: metav1.NewTime(created.Add(time.Second)),
	}
	want := &release.Event{
		UID: "e1", Name: "web-x.1", Namespace: "shop", Type: "Warning", Reason: "BackOff", Message: "Back-off", Count: 7,
		First: created, Last: created.Add(time.Second), Source: "kubelet", Host: "node-1",
		Object:    release.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-x", UID: "p1"},
		FieldPath: "spec.containers{app}", APIVersion: "v1", Resource: "9", Received: received,
	}
	if diff := cmp.Diff(want, (converter{}).event(old, received)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	attributes := map[string]any{
		"k8s.event.reason": "BackOff", "k8s.event.action": "", "k8s.event.name": "web-x.1", "k8s.event.uid": "e1", "k8s.event.count": int64(7),
		"k8s.event.start_time": "2026-03-01T12:00:00Z", "k8s.namespace.name": "shop",
	}
	if diff := cmp.Diff(attributes, want.Attributes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	recent := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "web-x.2", Namespace: "shop", UID: "e2"}, Regarding: object, Reason: "FailedScheduling", Note: "0/1 nodes",
		Type: "Warning", Action: "Scheduling", ReportingController: "default-scheduler", EventTime: metav1.NewMicroTime(created),
		Series: &eventsv1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(created.Add(3 * time.Second))},
	}
	got := (converter{}).event(coreEvent(recent), received)
	if got.Count != 4 || !got.First.Equal(created) || !got.Last.Equal(created.Add(3*time.Second)) || got.Source != "default-scheduler" || got.Message != "0/1 nodes" || got.Action != "Scheduling" {
		t.Errorf("got %+v", got)
	}
}

func TestTextIsRedactedBeforeItIsCut(t *testing.T) {
	secret := strings.Repeat("s", 100)
	conv := converter{redact: func(s string) string { return strings.ReplaceAll(s, secret, "***") }}
	if got := conv.text(strings.Repeat("a", maxMessage-50) + secret); strings.Contains(got, "sss") {
		t.Error("half a secret is left")
	}
	if got := conv.text(strings.Repeat("ä", maxMessage)); len(got) > maxMessage+len("…") || strings.ContainsRune(got, '�') {
		t.Errorf("%d bytes", len(got))
	}
}
