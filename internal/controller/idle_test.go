package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/traffic"
)

var shop = client.ObjectKey{Namespace: "shop", Name: "shop"}

// pair is a stable and a canary that run the same version, with their Services,
// their route and their CanaryRelease.
func pair() []client.Object {
	at := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	var out []client.Object
	for name, track := range map[string]string{"shop": "stable", "shop-canary": "canary"} {
		pods := map[string]string{"app": "shop", "track": track}
		out = append(out,
			&appsv1.Deployment{ObjectMeta: at(name), Spec: appsv1.DeploymentSpec{
				Replicas: new(int32), Selector: &metav1.LabelSelector{MatchLabels: pods},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pods}, Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "app", Image: "app:1", Env: []corev1.EnvVar{{Name: "DEPLOYMENT_TRACK", Value: track}}}},
				}},
			}},
			&corev1.Service{ObjectMeta: at(name), Spec: corev1.ServiceSpec{Selector: pods, Ports: []corev1.ServicePort{{Port: 80}}}})
	}
	return append(out,
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
			"metadata": map[string]any{"namespace": "shop", "name": "shop"},
			"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{
				map[string]any{"name": "shop", "port": int64(80), "weight": int64(100)},
				map[string]any{"name": "shop-canary", "port": int64(80), "weight": int64(0)},
			}}}},
		}},
		release("shop", time.Unix(1000, 0)))
}

func release(name string, created time.Time) *v1alpha1.CanaryRelease {
	return &v1alpha1.CanaryRelease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(created)},
		Spec: v1alpha1.CanaryReleaseSpec{
			Service: "shop", OnInconclusive: "rollback",
			Stable:  v1alpha1.Track{Workload: v1alpha1.Workload{Name: "shop"}, Service: "shop"},
			Canary:  v1alpha1.Track{Workload: v1alpha1.Workload{Name: "shop-canary"}, Service: "shop-canary"},
			Traffic: v1alpha1.Traffic{HTTPRoute: &v1alpha1.Route{Name: "shop"}},
		},
	}
}

// setting is a Reconciler over objects in memory, with a count of its writes.
type setting struct {
	*Reconciler
	objects client.Client
	writes  int
	patches []string
}

func newSetting(t *testing.T, objects ...client.Object) *setting {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	s := &setting{}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.CanaryRelease{}).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
				s.writes++
				return c.Update(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				s.writes++
				data, err := p.Data(o)
				if err != nil {
					return err
				}
				s.patches = append(s.patches, string(data))
				return c.Patch(ctx, o, p, opts...)
			},
			SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
				s.writes++
				return c.SubResource(sub).Update(ctx, o, opts...)
			},
		})
	for name, of := range map[string]func(*v1alpha1.CanaryRelease) []string{indexClaims: claims, indexReads: reads} {
		builder = builder.WithIndex(&v1alpha1.CanaryRelease{}, name, func(o client.Object) []string {
			return of(o.(*v1alpha1.CanaryRelease)) //nolint:forcetypeassert // the index is of this type
		})
	}
	s.objects = builder.Build()
	s.Reconciler = newReconciler(s.objects, s.objects, events.NewFakeRecorder(100), func(types.NamespacedName) {}, Options{}.withDefaults())
	s.watch = func(traffic.Kind) error { return nil }
	return s
}

// look reconciles once and returns when to come back, and the condition Accepted.
func (s *setting) look(t *testing.T, key client.ObjectKey) (time.Duration, *metav1.Condition) {
	t.Helper()
	result, err := s.Reconcile(t.Context(), reconcile.Request{NamespacedName: key})
	if err != nil {
		t.Fatal(err)
	}
	var cr v1alpha1.CanaryRelease
	if err := s.objects.Get(t.Context(), key, &cr); err != nil {
		t.Fatal(err)
	}
	return result.RequeueAfter, meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAccepted)
}

func TestNothingHappensWhereNothingChanges(t *testing.T) {
	s := newSetting(t, pair()...)
	if _, c := s.look(t, shop); c == nil || c.Status != metav1.ConditionTrue {
		t.Fatalf("Accepted is %+v", c)
	}
	before := s.writes
	if again, _ := s.look(t, shop); again != 0 || s.writes != before {
		t.Errorf("looked at twice: comes back in %s after %d writes, want neither", again, s.writes-before)
	}
}

func TestTheSpecStaysAsItWasWritten(t *testing.T) {
	s := newSetting(t, pair()...)
	s.look(t, shop)
	if len(s.patches) != 1 || !strings.Contains(s.patches[0], v1alpha1.Finalizer) || !strings.Contains(s.patches[0], "resourceVersion") || strings.Contains(s.patches[0], "spec") {
		t.Errorf("patches %q, want one with the finalizer and the version that was read", s.patches)
	}
	if s.writes != 2 {
		t.Errorf("%d writes, want that and the status", s.writes)
	}
}

func TestADeletedOneIsLetGo(t *testing.T) {
	s := newSetting(t, pair()...)
	s.look(t, shop)
	if err := s.objects.Delete(t.Context(), release("shop", time.Unix(1000, 0))); err != nil {
		t.Fatal(err)
	}
	var cr v1alpha1.CanaryRelease
	if err := s.objects.Get(t.Context(), shop, &cr); err != nil {
		t.Fatalf("it must wait for the controller: %v", err)
	}
	if _, err := s.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop}); err != nil {
		t.Fatal(err)
	}
	if err := s.objects.Get(t.Context(), shop, &cr); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestARefusalWaitsForWhatIsMissing(t *testing.T) {
	var objects []client.Object
	var missing client.Object
	for _, o := range pair() {
		if _, ok := o.(*corev1.Service); ok && o.GetName() == "shop-canary" {
			missing = o
			continue
		}
		objects = append(objects, o)
	}
	s := newSetting(t, objects...)
	again, c := s.look(t, shop)
	if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "there is no Service shop-canary") {
		t.Fatalf("Accepted is %+v", c)
	}
	if again != refusedAgain {
		t.Errorf("comes back in %s, want %s at first", again, refusedAgain)
	}
	s.now = func() time.Time { return time.Now().Add(3 * time.Minute) }
	before := s.writes
	if again, _ = s.look(t, shop); again < 179*time.Second || again > 181*time.Second || s.writes != before {
		t.Errorf("after three minutes comes back in %s after %d writes, want 3m and none", again, s.writes-before)
	}
	if err := s.objects.Create(t.Context(), missing); err != nil {
		t.Fatal(err)
	}
	if woken := s.enqueue(indexReads, "Service")(t.Context(), missing); len(woken) != 1 || woken[0].NamespacedName != shop {
		t.Errorf("the Service wakes up %v", woken)
	}
	if again, c = s.look(t, shop); again != 0 || c.Status != metav1.ConditionTrue {
		t.Errorf("with the Service: comes back in %s, Accepted is %+v", again, c)
	}
}

func TestRefusedForIsBounded(t *testing.T) {
	for so, want := range map[time.Duration]time.Duration{-time.Second: refusedAgain, time.Minute: time.Minute, time.Hour: refusedAtMost} {
		if got := refusedFor(so); got != want {
			t.Errorf("refused for %s: looked at again in %s, want %s", so, got, want)
		}
	}
}

func TestTheSecondOfARouteBeginsWhenTheFirstGoes(t *testing.T) {
	second := release("shop-too", time.Unix(2000, 0))
	s := newSetting(t, append(pair(), second)...)
	key := client.ObjectKeyFromObject(second)
	if _, c := s.look(t, key); c == nil || c.Reason != reasonConflict {
		t.Fatalf("Accepted is %+v", c)
	}
	first := release("shop", time.Unix(1000, 0))
	if err := s.objects.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range s.contenders(t.Context(), first) {
		found = found || r.NamespacedName == key
	}
	if !found {
		t.Error("the end of the first does not wake up the second")
	}
	if _, c := s.look(t, key); c.Status != metav1.ConditionTrue {
		t.Errorf("Accepted is %+v", c)
	}
}
