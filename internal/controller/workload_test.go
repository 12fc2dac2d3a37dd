package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A pod that crashes is in back-off only most of the time: in between it runs.
func TestACrashIsSeenBetweenTwoBackOffs(t *testing.T) {
	pod := func(c corev1.ContainerStatus) *corev1.Pod {
		c.Name = "app"
		return &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{c}}}
	}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		status           corev1.ContainerStatus
		crashing, broken bool
	}{
		"back-off":            {corev1.ContainerStatus{State: waiting, RestartCount: 2}, true, true},
		"running in between":  {corev1.ContainerStatus{State: running, RestartCount: 2}, true, false},
		"starting":            {corev1.ContainerStatus{State: running}, false, false},
		"well after restarts": {corev1.ContainerStatus{State: running, RestartCount: 2, Ready: true}, false, false},
	} {
		p := pod(c.status)
		if crashing(p) != c.crashing || (brokenPod(p) != "") != c.broken {
			t.Errorf("%s: crashing %v, broken %q", name, crashing(p), brokenPod(p))
		}
	}
}
