package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// workload is what the controller needs of a Deployment or StatefulSet.
type workload struct {
	object   client.Object // nil: there is none
	selector *metav1.LabelSelector
	template *corev1.PodTemplateSpec
	seen     rollout.Workload
	crashing bool   // a pod has crashed and is not well again, be it just now running
	updated  int32  // pods of the newest template, as of now
	revision string // a StatefulSet's name of that template
}

// getWorkload reads a workload from the cache. One that does not exist is no
// error.
func (r *Reconciler) getWorkload(ctx context.Context, namespace string, ref v1alpha1.Workload) (*workload, error) {
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	w := &workload{}
	switch ref.Kind {
	case "", "Deployment":
		var d appsv1.Deployment
		if err := r.client.Get(ctx, key, &d); err != nil {
			return w, client.IgnoreNotFound(err)
		}
		w.object, w.selector, w.template = &d, d.Spec.Selector, &d.Spec.Template
		w.seen = seenOf(d.Spec.Replicas, d.Generation, d.Status.ObservedGeneration, d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.ReadyReplicas)
		if d.Status.ObservedGeneration >= d.Generation {
			w.updated = d.Status.UpdatedReplicas
		}
		for _, c := range d.Status.Conditions {
			switch {
			case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" && w.updated > 0 && w.seen.Ready < w.seen.Desired:
				w.seen.Broken = fmt.Sprintf("Deployment %s: %s", d.Name, c.Message)
			case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
				w.seen.Broken = fmt.Sprintf("Deployment %s: %s", d.Name, c.Message)
			}
		}
	case "StatefulSet":
		var s appsv1.StatefulSet
		if err := r.client.Get(ctx, key, &s); err != nil {
			return w, client.IgnoreNotFound(err)
		}
		w.object, w.selector, w.template = &s, s.Spec.Selector, &s.Spec.Template
		updated := s.Status.UpdatedReplicas
		if s.Status.UpdateRevision == s.Status.CurrentRevision {
			updated = s.Status.Replicas
		}
		w.seen = seenOf(s.Spec.Replicas, s.Generation, s.Status.ObservedGeneration, s.Status.Replicas, updated, s.Status.ReadyReplicas)
		if s.Status.ObservedGeneration >= s.Generation {
			w.updated, w.revision = updated, s.Status.UpdateRevision
		}
	default:
		return w, fmt.Errorf("workload %s/%s: kind %s is not supported", namespace, ref.Name, ref.Kind)
	}
	if w.seen.Broken == "" && w.seen.Ready < w.seen.Desired && w.updated > 0 {
		pods, err := r.newestPods(ctx, namespace, w)
		if err != nil {
			return w, err
		}
		for _, p := range pods {
			w.crashing = w.crashing || crashing(p)
			if w.seen.Broken == "" {
				w.seen.Broken = brokenPod(p)
			}
		}
	}
	return w, nil
}

// seenOf counts the ready replicas of the newest template from below: while old
// pods are there, any of them may be among the ready ones.
func seenOf(want *int32, generation, observed int64, replicas, updated, ready int32) rollout.Workload {
	w := rollout.Workload{Exists: true, Desired: 1}
	if want != nil {
		w.Desired = *want
	}
	if observed < generation {
		return w
	}
	w.Updated = updated == replicas && replicas == w.Desired
	w.Ready = max(0, ready-(replicas-updated))
	return w
}

// hopeless are reasons for which a container waits and that do not pass by
// themselves while the template stays. A first failed pull may; the kubelet
// calls it ErrImagePull, and only the next one ImagePullBackOff.
var hopeless = map[string]bool{
	"CrashLoopBackOff": true, "ImagePullBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true,
	"CreateContainerConfigError": true, "CreateContainerError": true, "RunContainerError": true,
}

// newestPods returns the pods of the newest template. Pods are not cached: only
// those of workloads that are not ready are ever read.
func (r *Reconciler) newestPods(ctx context.Context, namespace string, w *workload) ([]*corev1.Pod, error) {
	match, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := r.reader.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: match}, client.Limit(200)); err != nil {
		return nil, err
	}
	label, revision := appsv1.ControllerRevisionHashLabelKey, w.revision
	if revision == "" {
		label = appsv1.DefaultDeploymentUniqueLabelKey
		var newest metav1.Time
		for i := range pods.Items {
			if p := &pods.Items[i]; newest.Before(&p.CreationTimestamp) {
				newest, revision = p.CreationTimestamp, p.Labels[label]
			}
		}
	}
	var out []*corev1.Pod
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Labels[label] == revision {
			out = append(out, p)
		}
	}
	return out, nil
}

// crashing reports whether a container of the pod has crashed and is not ready
// again: between two back-offs it runs for a moment.
func crashing(p *corev1.Pod) bool {
	for _, c := range p.Status.ContainerStatuses {
		if !c.Ready && c.RestartCount > 0 {
			return true
		}
	}
	return false
}

// brokenPod says why a pod will not become ready, "" when it may.
func brokenPod(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return ""
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			waiting := c.State.Waiting
			if waiting == nil || !hopeless[waiting.Reason] {
				continue
			}
			text := fmt.Sprintf("pod %s: container %s: %s", p.Name, c.Name, waiting.Reason)
			if t := c.LastTerminationState.Terminated; t != nil {
				text += fmt.Sprintf(" after exit code %d (%s)", t.ExitCode, t.Reason)
			}
			if c.RestartCount > 0 {
				text += fmt.Sprintf(", restarted %d times", c.RestartCount)
			} else if waiting.Message != "" {
				text += ": " + waiting.Message
			}
			return cut(text)
		}
	}
	return ""
}

// scale gives a workload its number of replicas.
func (r *Reconciler) scale(ctx context.Context, w *workload, replicas int32) error {
	patch := []byte(fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
	err := r.client.Patch(ctx, emptyLike(w.object), client.RawPatch(mergePatch, patch), client.FieldOwner(fieldOwner))
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// emptyLike is an object with the identity of o and nothing else, so that an
// answer of the API server does not land in the cache's object.
func emptyLike(o client.Object) client.Object {
	meta := metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName()}
	if _, ok := o.(*appsv1.StatefulSet); ok {
		return &appsv1.StatefulSet{ObjectMeta: meta}
	}
	return &appsv1.Deployment{ObjectMeta: meta}
}

// promoteTemplate upgrades stable to what promoted returned. A workload that
// changed since it was read is a conflict.
func (r *Reconciler) promoteTemplate(ctx context.Context, w *workload, template *corev1.PodTemplateSpec) error {
	switch o := w.object.DeepCopyObject().(type) {
	case *appsv1.Deployment:
		o.Spec.Template = *template
		return r.client.Update(ctx, o, client.FieldOwner(fieldOwner))
	case *appsv1.StatefulSet:
		o.Spec.Template = *template
		return r.client.Update(ctx, o, client.FieldOwner(fieldOwner))
	}
	return fmt.Errorf("promote %T: want a Deployment or StatefulSet", w.object)
}
