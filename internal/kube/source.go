package kube

import (
	"context"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"fairlead.dev/fairlead/internal/release"
)

// source is one kind of object that can be watched in a namespace ("" is all).
type source struct {
	name   string // as in RBAC rules: "pods", "deployments.apps"
	sample runtime.Object
	list   func(ctx context.Context, ns string, o metav1.ListOptions) (runtime.Object, error)
	watch  func(ctx context.Context, ns string, o metav1.ListOptions) (watch.Interface, error)
	// convert reads an object; the zero Observation means that it is of no interest.
	convert func(obj runtime.Object, received time.Time) release.Observation
	// selector restricts what the server sends.
	selector string
	// instead is tried when this source is forbidden.
	instead *source
}

func resource(group, version, name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: name}
}

// lister is what the typed clients of one resource have in common.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

func typedSource[T runtime.Object, L runtime.Object](
	name string, sample T, client func(ns string) lister[L], convert func(T, time.Time) release.Observation,
) source {
	return source{
		name: name, sample: sample,
		list: func(ctx context.Context, ns string, o metav1.ListOptions) (runtime.Object, error) {
			return client(ns).List(ctx, o)
		},
		watch: func(ctx context.Context, ns string, o metav1.ListOptions) (watch.Interface, error) {
			return client(ns).Watch(ctx, o)
		},
		convert: func(obj runtime.Object, received time.Time) release.Observation {
			t, ok := obj.(T)
			if !ok {
				return release.Observation{}
			}
			o := convert(t, received)
			o.At = received
			return o
		},
	}
}

// workloadSources are the sources of everything but records.
func workloadSources(c *Client, conv converter) []source {
	apps, core, batch := c.typed.AppsV1(), c.typed.CoreV1(), c.typed.BatchV1()
	events := typedSource("events", &corev1.Event{},
		func(ns string) lister[*corev1.EventList] { return core.Events(ns) },
		func(e *corev1.Event, at time.Time) release.Observation {
			return release.Observation{Event: conv.event(e, at)}
		})
	newEvents := typedSource("events.events.k8s.io", &eventsv1.Event{},
		func(ns string) lister[*eventsv1.EventList] { return c.typed.EventsV1().Events(ns) },
		func(e *eventsv1.Event, at time.Time) release.Observation {
			return release.Observation{Event: conv.event(coreEvent(e), at)}
		})
	events.instead = &newEvents
	return []source{
		typedSource("deployments.apps", &appsv1.Deployment{},
			func(ns string) lister[*appsv1.DeploymentList] { return apps.Deployments(ns) },
			func(d *appsv1.Deployment, _ time.Time) release.Observation {
				return release.Observation{Workload: conv.deployment(d)}
			}),
		typedSource("replicasets.apps", &appsv1.ReplicaSet{},
			func(ns string) lister[*appsv1.ReplicaSetList] { return apps.ReplicaSets(ns) },
			func(r *appsv1.ReplicaSet, _ time.Time) release.Observation {
				return release.Observation{Workload: conv.replicaSet(r)}
			}),
		typedSource("statefulsets.apps", &appsv1.StatefulSet{},
			func(ns string) lister[*appsv1.StatefulSetList] { return apps.StatefulSets(ns) },
			func(s *appsv1.StatefulSet, _ time.Time) release.Observation {
				return release.Observation{Workload: conv.statefulSet(s)}
			}),
		typedSource("daemonsets.apps", &appsv1.DaemonSet{},
			func(ns string) lister[*appsv1.DaemonSetList] { return apps.DaemonSets(ns) },
			func(d *appsv1.DaemonSet, _ time.Time) release.Observation {
				return release.Observation{Workload: conv.daemonSet(d)}
			}),
		typedSource("jobs.batch", &batchv1.Job{},
			func(ns string) lister[*batchv1.JobList] { return batch.Jobs(ns) },
			func(j *batchv1.Job, _ time.Time) release.Observation {
				return release.Observation{Workload: conv.job(j)}
			}),
		typedSource("pods", &corev1.Pod{},
			func(ns string) lister[*corev1.PodList] { return core.Pods(ns) },
			func(p *corev1.Pod, _ time.Time) release.Observation {
				return release.Observation{Pod: conv.pod(p)}
			}),
		typedSource("persistentvolumeclaims", &corev1.PersistentVolumeClaim{},
			func(ns string) lister[*corev1.PersistentVolumeClaimList] { return core.PersistentVolumeClaims(ns) },
			func(p *corev1.PersistentVolumeClaim, _ time.Time) release.Observation {
				return release.Observation{Claim: conv.claim(p)}
			}),
		events,
	}
}

// recordSource watches Helm's records by their metadata alone: they hold values
// and manifests, and a list of them can be hundreds of megabytes.
func recordSource(c *Client, storage, releaseName string) source {
	gvr := resource("", "v1", storage)
	set := labels.Set{"owner": "helm"}
	if releaseName != "" {
		set["name"] = releaseName
	}
	return source{
		name: storage, sample: &metav1.PartialObjectMetadata{}, selector: set.String(),
		list: func(ctx context.Context, ns string, o metav1.ListOptions) (runtime.Object, error) {
			return c.metadata.Resource(gvr).Namespace(ns).List(ctx, o)
		},
		watch: func(ctx context.Context, ns string, o metav1.ListOptions) (watch.Interface, error) {
			return c.metadata.Resource(gvr).Namespace(ns).Watch(ctx, o)
		},
		convert: func(obj runtime.Object, received time.Time) release.Observation {
			m, ok := obj.(*metav1.PartialObjectMetadata)
			if !ok {
				return release.Observation{}
			}
			r, ok := recordFromMetadata(m)
			if !ok {
				return release.Observation{}
			}
			return release.Observation{At: received, Record: r}
		},
	}
}

func coreEvent(e *eventsv1.Event) *corev1.Event {
	out := &corev1.Event{
		ObjectMeta: e.ObjectMeta, InvolvedObject: e.Regarding, Reason: e.Reason, Message: e.Note, Type: e.Type,
		Action: e.Action, EventTime: e.EventTime, Count: e.DeprecatedCount, Source: e.DeprecatedSource,
		FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp,
		ReportingController: e.ReportingController,
	}
	if e.Series != nil {
		out.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return out
}

// strip drops what nothing here reads before an initial state is held in memory
// as a whole: of a pod with its environment and managedFields, nine tenths.
func strip(obj any) (any, error) {
	m, ok := obj.(metav1.Object)
	if !ok {
		return obj, nil
	}
	if record, ok := obj.(*metav1.PartialObjectMetadata); ok {
		stripRecord(record)
	} else {
		m.SetManagedFields(nil)
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		stripPod(&o.Spec)
	case *appsv1.Deployment:
		o.Spec.Template = corev1.PodTemplateSpec{}
	case *appsv1.ReplicaSet:
		o.Spec.Template = corev1.PodTemplateSpec{}
	case *appsv1.StatefulSet:
		o.Spec.Template, o.Spec.VolumeClaimTemplates = corev1.PodTemplateSpec{}, nil
	case *appsv1.DaemonSet:
		o.Spec.Template = corev1.PodTemplateSpec{}
	case *batchv1.Job:
		o.Spec.Template = corev1.PodTemplateSpec{}
	}
	return obj, nil
}

func stripPod(spec *corev1.PodSpec) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i, c := range list {
			list[i] = corev1.Container{Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy}
		}
	}
	spec.Affinity, spec.Tolerations, spec.TopologySpreadConstraints = nil, nil, nil
}

// recordLabels are the labels of a record that [recordFromMetadata] reads.
var recordLabels = []string{"name", "owner", "status", "version"}

// stripRecord keeps who wrote a record and when, and drops which fields: of
// fifty thousand records that is most of what they weigh. It makes no garbage
// between what stays: the collector does not move objects together.
func stripRecord(m *metav1.PartialObjectMetadata) {
	for i, f := range m.ManagedFields {
		m.ManagedFields[i] = metav1.ManagedFieldsEntry{Manager: shared(f.Manager), Time: f.Time}
	}
	m.Annotations, m.TypeMeta, m.Namespace = nil, metav1.TypeMeta{}, shared(m.Namespace)
	for name, v := range m.Labels {
		if slices.Contains(recordLabels, name) {
			m.Labels[name] = shared(v)
		} else {
			delete(m.Labels, name)
		}
	}
}
