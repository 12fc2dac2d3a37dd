package kube

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/fairlead/internal/release"
)

func (c converter) pod(p *corev1.Pod) *release.Pod {
	out := &release.Pod{
		Meta:    meta(release.KindPod, &p.ObjectMeta),
		Phase:   string(p.Status.Phase),
		Reason:  p.Status.Reason,
		Message: c.text(p.Status.Message),
		Node:    p.Spec.NodeName,
	}
	switch out.Owner.Kind {
	case release.KindReplicaSet:
		out.Template = p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	case release.KindStatefulSet:
		out.Template = p.Labels[appsv1.StatefulSetRevisionLabel]
	case release.KindDaemonSet:
		out.Template = p.Labels[labelTemplateGeneration]
	}
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			out.Claims = append(out.Claims, v.PersistentVolumeClaim.ClaimName)
		}
	}
	for _, k := range p.Status.Conditions {
		out.Conditions = append(out.Conditions, c.condition(string(k.Type), string(k.Status), k.Reason, k.Message, k.LastTransitionTime))
	}
	for _, s := range p.Spec.InitContainers {
		sidecar := s.RestartPolicy != nil && *s.RestartPolicy == corev1.ContainerRestartPolicyAlways
		out.Init = append(out.Init, c.container(s, p.Status.InitContainerStatuses, sidecar))
	}
	for _, s := range p.Spec.Containers {
		out.Containers = append(out.Containers, c.container(s, p.Status.ContainerStatuses, false))
	}
	return out
}

func (c converter) container(spec corev1.Container, statuses []corev1.ContainerStatus, sidecar bool) release.Container {
	out := release.Container{Name: spec.Name, Image: spec.Image, Sidecar: sidecar}
	i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == spec.Name })
	if i < 0 {
		return out
	}
	s := statuses[i]
	out.Ready, out.Restarts = s.Ready, s.RestartCount
	out.Started = s.Started != nil && *s.Started
	switch {
	case s.State.Running != nil:
		out.State, out.Running = release.ContainerRunning, s.State.Running.StartedAt.UTC()
	case s.State.Terminated != nil:
		out.State, out.Exit = release.ContainerTerminated, c.termination(s.State.Terminated)
	case s.State.Waiting != nil:
		out.State = release.ContainerWaiting
		out.Reason, out.Message = s.State.Waiting.Reason, c.text(s.State.Waiting.Message)
	}
	if s.LastTerminationState.Terminated != nil {
		out.LastExit = c.termination(s.LastTerminationState.Terminated)
	}
	return out
}

func (c converter) termination(t *corev1.ContainerStateTerminated) *release.Termination {
	return &release.Termination{
		ExitCode: t.ExitCode, Signal: t.Signal, Reason: t.Reason, Message: c.text(t.Message),
		Started: t.StartedAt.UTC(), Finished: t.FinishedAt.UTC(),
	}
}

// event reads both shapes of event: the old one with count and source, and the
// one of events.k8s.io with series, eventTime and reportingController.
func (c converter) event(e *corev1.Event, received time.Time) *release.Event {
	out := &release.Event{
		UID: string(e.UID), Name: e.Name, Namespace: e.Namespace, Type: e.Type, Reason: e.Reason,
		Message: c.text(e.Message), Action: e.Action, Count: max(e.Count, 1),
		First: e.FirstTimestamp.UTC(), Last: e.LastTimestamp.UTC(),
		Source: e.Source.Component, Host: e.Source.Host,
		Object: release.ObjectRef{
			Kind: e.InvolvedObject.Kind, Namespace: e.InvolvedObject.Namespace,
			Name: e.InvolvedObject.Name, UID: string(e.InvolvedObject.UID),
		},
		FieldPath: e.InvolvedObject.FieldPath, APIVersion: e.InvolvedObject.APIVersion,
		Resource: e.InvolvedObject.ResourceVersion, Received: received,
	}
	if out.Source == "" {
		out.Source = e.ReportingController
	}
	if e.FirstTimestamp.IsZero() {
		out.First = e.EventTime.UTC()
		if e.EventTime.IsZero() {
			out.First = e.CreationTimestamp.UTC()
		}
	}
	if e.LastTimestamp.IsZero() {
		out.Last = out.First
	}
	if e.Series != nil {
		out.Count = max(out.Count, e.Series.Count)
		out.Last = e.Series.LastObservedTime.UTC()
	}
	return out
}
