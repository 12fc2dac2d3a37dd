package kube

import (
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"fairlead.dev/fairlead/internal/release"
)

// Annotations and labels by which Helm and the controllers mark objects.
const (
	annotationReleaseName      = "meta.helm.sh/release-name"
	annotationReleaseNamespace = "meta.helm.sh/release-namespace"
	annotationHook             = "helm.sh/hook"
	annotationRevision         = "deployment.kubernetes.io/revision"
	annotationTemplate         = "deprecated.daemonset.template.generation"
	labelInstance              = "app.kubernetes.io/instance"
	labelTemplateGeneration    = "pod-template-generation"
)

// maxMessage bounds each free text that is kept: a scheduler's words for a
// hundred nodes fit, a stack trace in a termination message is cut (Kubernetes
// itself allows 4 KiB there).
const maxMessage = 2048

// converter turns API objects into those of package release. It reads what is
// shown and nothing else: no environment, arguments, or volumes' contents.
type converter struct {
	redact func(string) string
}

// text bounds and redacts a free text. It cuts after redacting: half a secret
// would not be recognised.
func (c converter) text(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && c.redact != nil {
		s = c.redact(s)
	}
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

func meta(kind string, m *metav1.ObjectMeta) release.Meta {
	out := release.Meta{
		ObjectRef:  release.ObjectRef{Kind: kind, Namespace: m.Namespace, Name: m.Name, UID: string(m.UID)},
		Instance:   m.Labels[labelInstance],
		Generation: m.Generation,
		Created:    m.CreationTimestamp.UTC(),
	}
	if m.DeletionTimestamp != nil {
		out.Deleting = m.DeletionTimestamp.UTC()
	}
	for i, o := range m.OwnerReferences {
		if i == 0 || o.Controller != nil && *o.Controller {
			out.Owner = release.ObjectRef{Kind: o.Kind, Namespace: m.Namespace, Name: o.Name, UID: string(o.UID)}
		}
	}
	// A controller copies its own annotations to what it makes (a Deployment
	// does to its ReplicaSets): only what has no owner says whose it is.
	if name := m.Annotations[annotationReleaseName]; name != "" && out.Owner.IsZero() {
		ns := m.Annotations[annotationReleaseNamespace]
		if ns == "" {
			ns = m.Namespace
		}
		out.Release = release.Ref{Namespace: ns, Name: name}
	}
	if hook := m.Annotations[annotationHook]; hook != "" && out.Owner.IsZero() {
		for event := range strings.SplitSeq(hook, ",") {
			if event = strings.TrimSpace(event); event != "" {
				out.Hook = append(out.Hook, event)
			}
		}
	}
	return out
}

func (c converter) deployment(d *appsv1.Deployment) *release.Workload {
	w := &release.Workload{
		Meta:               meta(release.KindDeployment, &d.ObjectMeta),
		ObservedGeneration: d.Status.ObservedGeneration,
		Desired:            count(d.Spec.Replicas),
		Total:              d.Status.Replicas,
		Updated:            d.Status.UpdatedReplicas,
		Ready:              d.Status.ReadyReplicas,
		Available:          d.Status.AvailableReplicas,
		Paused:             d.Spec.Paused,
	}
	w.Revision, _ = strconv.ParseInt(d.Annotations[annotationRevision], 10, 64)
	if s := d.Spec.Strategy; s.Type == appsv1.RollingUpdateDeploymentStrategyType && s.RollingUpdate != nil {
		w.MaxUnavailable = maxUnavailable(s.RollingUpdate.MaxUnavailable, s.RollingUpdate.MaxSurge, w.Desired)
	}
	for _, k := range d.Status.Conditions {
		w.Conditions = append(w.Conditions, c.condition(string(k.Type), string(k.Status), k.Reason, k.Message, k.LastTransitionTime))
	}
	return w
}

func (c converter) statefulSet(s *appsv1.StatefulSet) *release.Workload {
	w := &release.Workload{
		Meta:               meta(release.KindStatefulSet, &s.ObjectMeta),
		ObservedGeneration: s.Status.ObservedGeneration,
		Desired:            count(s.Spec.Replicas),
		Total:              s.Status.Replicas,
		Updated:            s.Status.UpdatedReplicas,
		Ready:              s.Status.ReadyReplicas,
		Available:          s.Status.AvailableReplicas,
		Template:           s.Status.UpdateRevision,
		CurrentTemplate:    s.Status.CurrentRevision,
		OnDelete:           s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
	}
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil {
		w.Partition = *r.Partition
	}
	for _, k := range s.Status.Conditions {
		w.Conditions = append(w.Conditions, c.condition(string(k.Type), string(k.Status), k.Reason, k.Message, k.LastTransitionTime))
	}
	return w
}

func (c converter) daemonSet(d *appsv1.DaemonSet) *release.Workload {
	w := &release.Workload{
		Meta:               meta(release.KindDaemonSet, &d.ObjectMeta),
		ObservedGeneration: d.Status.ObservedGeneration,
		Desired:            d.Status.DesiredNumberScheduled,
		Total:              d.Status.CurrentNumberScheduled,
		Updated:            d.Status.UpdatedNumberScheduled,
		Ready:              d.Status.NumberReady,
		Available:          d.Status.NumberAvailable,
		Template:           d.Annotations[annotationTemplate],
		OnDelete:           d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
	}
	if r := d.Spec.UpdateStrategy.RollingUpdate; r != nil {
		w.MaxUnavailable = maxUnavailable(r.MaxUnavailable, r.MaxSurge, w.Desired)
	}
	for _, k := range d.Status.Conditions {
		w.Conditions = append(w.Conditions, c.condition(string(k.Type), string(k.Status), k.Reason, k.Message, k.LastTransitionTime))
	}
	return w
}

func (c converter) replicaSet(r *appsv1.ReplicaSet) *release.Workload {
	w := &release.Workload{
		Meta:               meta(release.KindReplicaSet, &r.ObjectMeta),
		ObservedGeneration: r.Status.ObservedGeneration,
		Desired:            count(r.Spec.Replicas),
		Total:              r.Status.Replicas,
		Updated:            r.Status.Replicas,
		Ready:              r.Status.ReadyReplicas,
		Available:          r.Status.AvailableReplicas,
		Template:           r.Labels[appsv1.DefaultDeploymentUniqueLabelKey],
	}
	w.Revision, _ = strconv.ParseInt(r.Annotations[annotationRevision], 10, 64)
	for _, k := range r.Status.Conditions {
		w.Conditions = append(w.Conditions, c.condition(string(k.Type), string(k.Status), k.Reason, k.Message, k.LastTransitionTime))
	}
	return w
}

func (c converter) job(j *batchv1.Job) *release.Workload {
	w := &release.Workload{
		Meta:    meta(release.KindJob, &j.ObjectMeta),
		Desired: count(j.Spec.Completions),
		Total:   j.Status.Active + j.Status.Succeeded + j.Status.Failed,
		Ready:   j.Status.Succeeded,
		Failed:  j.Status.Failed,
		Paused:  j.Spec.Suspend != nil && *j.Spec.Suspend,
	}
	w.ObservedGeneration = w.Generation // a Job's status has none
	w.Started, w.Completed = when(j.Status.StartTime), when(j.Status.CompletionTime)
	for _, k := range j.Status.Conditions {
		w.Conditions = append(w.Conditions, c.condition(string(k.Type), string(k.Status), k.Reason, k.Message, k.LastTransitionTime))
	}
	return w
}

func (c converter) claim(p *corev1.PersistentVolumeClaim) *release.Claim {
	out := &release.Claim{Meta: meta(release.KindClaim, &p.ObjectMeta), Phase: string(p.Status.Phase)}
	if p.Spec.StorageClassName != nil {
		out.StorageClass = *p.Spec.StorageClassName
	}
	return out
}

func (c converter) condition(kind, status, reason, message string, since metav1.Time) release.Condition {
	return release.Condition{Type: kind, Status: status, Reason: reason, Message: c.text(message), Since: since.UTC()}
}

// count returns what an optional number means to Kubernetes: one.
func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// maxUnavailable resolves the rolling update's allowance as the controllers do:
// a percentage is rounded down, and when neither allowance is left one pod may
// be missing.
func maxUnavailable(unavailable, surge *intstr.IntOrString, desired int32) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(unavailable, intstr.FromInt32(0)), int(desired), false)
	if err != nil {
		return 0
	}
	s, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(surge, intstr.FromInt32(0)), int(desired), true)
	if err == nil && n == 0 && s == 0 {
		n = 1
	}
	return min(int32(n), desired)
}

func when(t *metav1.Time) time.Time {
	if t == nil || t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
