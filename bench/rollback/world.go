package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"fairlead.dev/fairlead/api/v1alpha1"
)

const namespace = "bench"

var routeKind = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// world is the cluster, with the times at which routes lost their weight.
type world struct {
	client client.WithWatch
	rate   float64

	mu         sync.Mutex
	weightless map[string]time.Time // by route: when the canary's newest 0 was seen; absent while it has traffic
}

// sample is one rollback.
type sample struct {
	asked, decided, weightless, last time.Time
}

func newWorld(ctx context.Context, rate float64) (*world, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := config.GetConfig()
	if err != nil {
		return nil, err
	}
	c.QPS, c.Burst = 500, 500
	made, err := client.NewWithWatch(c, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	w := &world{client: made, rate: rate, weightless: map[string]time.Time{}}
	if err := w.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return nil, err
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(routeKind)
	watching, err := made.Watch(ctx, list, client.InNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("watch the routes: %w", err)
	}
	go func() {
		defer watching.Stop()
		for event := range watching.ResultChan() {
			if o, ok := event.Object.(*unstructured.Unstructured); ok {
				w.note(o, time.Now())
			}
		}
	}()
	return w, nil
}

// note keeps when a route was first seen with weight 0 for the canary.
func (w *world) note(route *unstructured.Unstructured, at time.Time) {
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	if len(rules) == 0 {
		return
	}
	refs, _, _ := unstructured.NestedSlice(rules[0].(map[string]any), "backendRefs")
	weight, _, _ := unstructured.NestedInt64(refs[1].(map[string]any), "weight")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch _, have := w.weightless[route.GetName()]; {
	case weight > 0:
		delete(w.weightless, route.GetName())
	case !have:
		w.weightless[route.GetName()] = at
	}
}

func (w *world) create(ctx context.Context, o client.Object) error {
	if err := w.client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
	}
	return nil
}

// shop is one canary with its stable.
type shop struct {
	*world
	name string
}

func (s shop) canary() string { return s.name + "-canary" }
func (s shop) host() string   { return s.name + ".bench.example" }

// deploy makes the shop, with a canary that runs nothing, and waits until the
// gateway knows it.
func (s shop) deploy(ctx context.Context) error {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	for name, track := range map[string]string{s.name: "stable", s.canary(): "canary"} {
		pods := map[string]string{"app": s.name, "track": track}
		replicas := int32(1)
		if track == "canary" {
			replicas = 0
		}
		for _, o := range []client.Object{
			&appsv1.Deployment{ObjectMeta: meta(name), Spec: appsv1.DeploymentSpec{
				Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: pods},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pods}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "app", Image: "fairlead.test/app:v1",
					Env: []corev1.EnvVar{{Name: "VERSION", Value: track}, {Name: "APP_VERSION", Value: "1"}, {Name: "DRAIN", Value: "2s"}},
					ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
						HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(8080)}}},
				}}}},
			}},
			&corev1.Service{ObjectMeta: meta(name), Spec: corev1.ServiceSpec{Selector: pods, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}}},
		} {
			if err := s.create(ctx, o); err != nil {
				return err
			}
		}
	}
	backend := func(name string, weight int64) any {
		return map[string]any{"name": name, "port": int64(80), "weight": weight}
	}
	route := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": namespace, "name": s.name},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "gateway", "namespace": "default"}},
			"hostnames":  []any{s.host()},
			"rules":      []any{map[string]any{"backendRefs": []any{backend(s.name, 100), backend(s.canary(), 0)}}},
		},
	}}
	route.SetGroupVersionKind(routeKind)
	release := &v1alpha1.CanaryRelease{ObjectMeta: meta(s.name), Spec: v1alpha1.CanaryReleaseSpec{
		Service: s.name,
		Stable:  v1alpha1.Track{Workload: v1alpha1.Workload{Name: s.name}, Service: s.name},
		Canary:  v1alpha1.Track{Workload: v1alpha1.Workload{Name: s.canary()}, Service: s.canary()},
		Traffic: v1alpha1.Traffic{HTTPRoute: &v1alpha1.Route{Name: s.name}},
		Steps:   []v1alpha1.Step{{Weight: 50, Approval: true}, {Weight: 100}},
		// Else the two tracks differ from the start, and a rollout begins.
		Promotion: v1alpha1.Promotion{Keep: []string{"spec.containers[app].env[VERSION]"}},
	}}
	if err := errors.Join(s.create(ctx, route), s.create(ctx, release)); err != nil {
		return err
	}
	if err := until(ctx, "the gateway to know "+s.host(), func() bool { return s.request(ctx) == "stable" }); err != nil {
		return err
	}
	return until(ctx, "the controller to see "+s.name, func() bool { return s.status(ctx).Reason == "NothingToDo" })
}

// rollBack takes a new version to half of the traffic, takes it back, and says
// when what happened.
func (s shop) rollBack(ctx context.Context, version int) (sample, error) {
	patch := fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"app","env":[{"name":"APP_VERSION","value":"%d"}]}]}}}}`, version)
	if err := s.client.Patch(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: s.canary()}}, client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
		return sample{}, err
	}
	var id string
	err := until(ctx, "half of the traffic", func() bool {
		status := s.status(ctx)
		id = status.RolloutID
		return status.Reason == "AwaitingApproval" && status.CanaryVersion == fmt.Sprint(version)
	})
	if err != nil {
		return sample{}, err
	}
	users := s.users(ctx)
	if err := until(ctx, "users to reach the canary", func() bool { return !users.lastAnswer().IsZero() }); err != nil {
		return sample{}, err
	}
	var out sample
	abort := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationAbort, id))
	out.asked = time.Now()
	if err := s.client.Patch(ctx, &v1alpha1.CanaryRelease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: s.name}}, abort); err != nil {
		return sample{}, err
	}
	err = until(ctx, "the decision", func() bool {
		status := s.status(ctx)
		if status.Phase != "RollingBack" {
			return false
		}
		out.decided = status.Progress.PhaseStarted.Time
		return true
	})
	if err != nil {
		return sample{}, err
	}
	time.Sleep(time.Until(out.decided.Add(4 * time.Second))) // the data plane has long taken it
	users.stop()
	out.last = users.lastAnswer()
	s.mu.Lock()
	out.weightless = s.weightless[s.name]
	s.mu.Unlock()
	if out.weightless.IsZero() {
		return out, errors.New("the route was not seen with weight 0")
	}
	return out, until(ctx, "the end", func() bool { return s.status(ctx).Phase == "RolledBack" })
}

func (s shop) status(ctx context.Context) v1alpha1.CanaryReleaseStatus {
	var cr v1alpha1.CanaryRelease
	if err := s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: s.name}, &cr); err != nil {
		return v1alpha1.CanaryReleaseStatus{} // asked again
	}
	return cr.Status
}

// request asks once, and returns the track that answered.
func (s shop) request(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("FAIRLEAD_TEST_GATEWAY"), nil)
	if err != nil {
		return ""
	}
	req.Host = s.host()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what can be read of it
	track, _, _ := strings.Cut(strings.TrimPrefix(string(body), "version="), " ")
	return track
}

// users send requests until they are stopped.
type users struct {
	mu   sync.Mutex
	last time.Time // of the canary's newest answer
	stop func()
}

func (s shop) users(ctx context.Context) *users {
	ctx, cancel := context.WithCancel(ctx)
	u := &users{}
	var wg sync.WaitGroup
	u.stop = func() { cancel(); wg.Wait() }
	wg.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / s.rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			wg.Go(func() {
				if s.request(ctx) == "canary" {
					u.mu.Lock()
					u.last = time.Now()
					u.mu.Unlock()
				}
			})
		}
	})
	return u
}

func (u *users) lastAnswer() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

func until(ctx context.Context, what string, is func() bool) error {
	for deadline := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited two minutes for %s", what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}
