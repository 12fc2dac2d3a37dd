package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"fairlead.dev/fairlead/api/v1alpha1"
)

const namespace = "bench"

// world is the cluster with its objects.
type world struct {
	client client.Client
	n      int
}

func newWorld() (*world, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := config.GetConfig()
	if err != nil {
		return nil, err
	}
	c.QPS, c.Burst = 500, 500
	made, err := client.New(c, client.Options{Scheme: scheme})
	return &world{client: made}, err
}

// each does something for numbers from and to, several at once.
func each(from, to int, do func(i int) error) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	errs := make(chan error, to-from)
	for i := from; i < to; i++ {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs <- do(i)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func name(i int) string { return fmt.Sprintf("r%04d", i) }

// grow makes CanaryReleases until there are n, each with two Deployments of no
// replicas, two Services and an HTTPRoute.
func (w *world) grow(ctx context.Context, n int) error {
	err := w.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if err != nil {
		return err
	}
	err = each(w.n, n, func(i int) error {
		for _, o := range objects(name(i)) {
			if err := w.create(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.n = n
	return w.rest(ctx, namespace)
}

// rest waits until the cluster's own controllers have seen every Deployment:
// kube-controller-manager writes 20 statuses a second, and each is an event that
// would be counted as the cost of the controller that is measured.
func (w *world) rest(ctx context.Context, namespace string) error {
	for {
		var list appsv1.DeploymentList
		if err := w.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Items, func(d appsv1.Deployment) bool { return d.Status.ObservedGeneration < d.Generation }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

func (w *world) create(ctx context.Context, o client.Object) error {
	if err := w.client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
	}
	return nil
}

func objects(name string) []client.Object {
	meta := func(suffix string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name + suffix}
	}
	var out []client.Object
	for suffix, track := range map[string]string{"": "stable", "-canary": "canary"} {
		pods := map[string]string{"app": name, "track": track}
		none, never := int32(0), int32(math.MaxInt32)
		out = append(out,
			&appsv1.Deployment{ObjectMeta: meta(suffix), Spec: appsv1.DeploymentSpec{
				// Paused and without a deadline: one write of the cluster's for each instead of four.
				Replicas: &none, Paused: true, ProgressDeadlineSeconds: &never, Selector: &metav1.LabelSelector{MatchLabels: pods},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pods}, Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "app", Image: "app:1", Env: []corev1.EnvVar{{Name: "DEPLOYMENT_TRACK", Value: track}}}},
				}},
			}},
			&corev1.Service{ObjectMeta: meta(suffix), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: pods, Ports: []corev1.ServicePort{{Port: 80}}}})
	}
	backend := func(name string, weight int64) any {
		return map[string]any{"name": name, "port": int64(80), "weight": weight}
	}
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "gateway"}},
			"rules":      []any{map[string]any{"backendRefs": []any{backend(name, 100), backend(name+"-canary", 0)}}},
		},
	}}
	release := &v1alpha1.CanaryRelease{ObjectMeta: meta(""), Spec: v1alpha1.CanaryReleaseSpec{
		Service:        name,
		Stable:         v1alpha1.Track{Workload: v1alpha1.Workload{Name: name}, Service: name},
		Canary:         v1alpha1.Track{Workload: v1alpha1.Workload{Name: name + "-canary"}, Service: name + "-canary"},
		Traffic:        v1alpha1.Traffic{HTTPRoute: &v1alpha1.Route{Name: name}},
		OnInconclusive: "rollback",
	}}
	return append(out, route, release)
}

// touch makes every CanaryRelease be reconciled once more.
func (w *world) touch(ctx context.Context, round int) error {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"bench/round":"%d"}}}`, round))
	return each(0, w.n, func(i int) error {
		return w.client.Patch(ctx, &v1alpha1.CanaryRelease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name(i)}}, patch)
	})
}
