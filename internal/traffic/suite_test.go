package traffic

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"
)

// contract is what every kind is put through.
type contract struct {
	target  Target
	objects string // YAML of a route that gives stable everything
	// strip removes what the router owns from an object.
	strip func(*unstructured.Unstructured)
	// edit makes the objects give the canary that much, by another hand.
	edit func(t *testing.T, c client.Client, percent int)
}

func (k contract) run(t *testing.T) {
	ctx := t.Context()
	setup := func(t *testing.T, funcs interceptor.Funcs) (Router, client.WithWatch) {
		t.Helper()
		c := fakeClient(t, k.objects, funcs)
		r, err := New(c, k.target)
		if err != nil {
			t.Fatal(err)
		}
		return r, c
	}
	t.Run("begins with stable", func(t *testing.T) {
		r, _ := setup(t, interceptor.Funcs{})
		if diff := cmp.Diff(State{OK: true, Writable: true}, observe(t, r)); diff != "" {
			t.Error(diff)
		}
		problems, err := r.Preflight(ctx)
		if err != nil || len(problems) > 0 {
			t.Errorf("Preflight() = %v, %v, want nothing", problems, err)
		}
	})
	t.Run("shows what was set, and nothing else changes", func(t *testing.T) {
		r, c := setup(t, interceptor.Funcs{})
		before := k.stripped(t, c)
		for _, percent := range []int{5, 25, 50, 100, 50, 1, 99, 0} {
			if err := r.SetWeight(ctx, percent); err != nil {
				t.Fatalf("SetWeight(%d): %v", percent, err)
			}
			got := observe(t, r)
			if got.Weight != percent || !got.OK {
				t.Errorf("after SetWeight(%d): %+v", percent, got)
			}
			if diff := cmp.Diff(before, k.stripped(t, c)); diff != "" {
				t.Errorf("SetWeight(%d) changed more than the weights:\n%s", percent, diff)
			}
		}
	})
	t.Run("writes nothing when it is so already", func(t *testing.T) {
		writes := 0
		r, _ := setup(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			writes++
			return c.Patch(ctx, o, p, opts...)
		}})
		for _, percent := range []int{0, 50, 50} {
			if err := r.SetWeight(ctx, percent); err != nil {
				t.Fatal(err)
			}
		}
		if writes != 1 {
			t.Errorf("%d writes for 0, 50, 50 of a route at 0, want 1", writes)
		}
	})
	t.Run("writes again on a conflict", func(t *testing.T) {
		conflicts := 0
		r, _ := setup(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if conflicts++; conflicts <= 2 {
				return apierrors.NewConflict(schema.GroupResource{Resource: "routes"}, o.GetName(), nil)
			}
			return c.Patch(ctx, o, p, opts...)
		}})
		if err := r.SetWeight(ctx, 50); err != nil {
			t.Fatal(err)
		}
		if got := observe(t, r); got.Weight != 50 {
			t.Errorf("after two conflicts: %+v, want 50", got)
		}
	})
	t.Run("sees and mends an edit by another hand", func(t *testing.T) {
		r, c := setup(t, interceptor.Funcs{})
		k.edit(t, c, 50)
		if got := observe(t, r); got.Weight != 50 {
			t.Errorf("after an edit to 50: %+v", got)
		}
		if err := r.SetWeight(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if got := observe(t, r); got.Weight != 0 {
			t.Errorf("after SetWeight(0): %+v", got)
		}
	})
	t.Run("refuses weights that are none", func(t *testing.T) {
		r, _ := setup(t, interceptor.Funcs{})
		for _, percent := range []int{-1, 101} {
			if err := r.SetWeight(ctx, percent); err == nil || !strings.Contains(err.Error(), "want 0 to 100") {
				t.Errorf("SetWeight(%d) = %v", percent, err)
			}
		}
	})
	t.Run("says that the object is gone", func(t *testing.T) {
		c := fakeClient(t, "", interceptor.Funcs{})
		r, err := New(c, k.target)
		if err != nil {
			t.Fatal(err)
		}
		got := observe(t, r)
		if got.OK || got.Writable || got.Weight != 0 || !strings.Contains(got.Problem, "does not exist") {
			t.Errorf("Observe() = %+v", got)
		}
		problems, err := r.Preflight(ctx)
		if err != nil || len(problems) == 0 || problems[0].Code != CodeNotFound {
			t.Errorf("Preflight() = %v, %v", problems, err)
		}
		if err := r.SetWeight(ctx, 5); !apierrors.IsNotFound(err) {
			t.Errorf("SetWeight(5) = %v, want not found", err)
		}
	})
	t.Run("an API that does not answer is an error, not a state", func(t *testing.T) {
		r, _ := setup(t, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return apierrors.NewServiceUnavailable("away")
		}})
		if s, err := r.Observe(ctx); err == nil {
			t.Errorf("Observe() = %+v, want an error", s)
		}
		if p, err := r.Preflight(ctx); err == nil {
			t.Errorf("Preflight() = %v, want an error", p)
		}
	})
}

// stripped returns all objects as JSON without what the router owns.
func (k contract) stripped(t *testing.T, c client.Client) string {
	t.Helper()
	var all []any
	for _, o := range objects(t, k.objects) {
		got := &unstructured.Unstructured{}
		got.SetGroupVersionKind(o.GroupVersionKind())
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), got); err != nil {
			t.Fatal(err)
		}
		got.SetResourceVersion("")
		got.SetManagedFields(nil)
		k.strip(got)
		all = append(all, got.Object)
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func observe(t *testing.T, r Router) State {
	t.Helper()
	s, err := r.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeClient serves objects of all kinds that routers know.
func fakeClient(t *testing.T, yamls string, funcs interceptor.Funcs) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Kind{KindHTTPRoute, KindGRPCRoute, KindVirtualService, KindTraefikService} {
		gvk := kind.GroupVersionKind()
		scheme.AddKnownTypeWithName(gvk, &unstructured.Unstructured{})
		scheme.AddKnownTypeWithName(gvk.GroupVersion().WithKind(gvk.Kind+"List"), &unstructured.UnstructuredList{})
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(funcs)
	for _, o := range objects(t, yamls) {
		b = b.WithObjects(o)
	}
	return b.Build()
}

func objects(t *testing.T, yamls string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for doc := range strings.SplitSeq(yamls, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		b, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(b); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// editJSON applies a JSON patch by another hand.
func editJSON(t *testing.T, c client.Client, kind Kind, name string, ops ...operation) {
	t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind.GroupVersionKind())
	o.SetNamespace("shop")
	o.SetName(name)
	if err := patch(t.Context(), c, o, ops); err != nil {
		t.Fatal(err)
	}
}

// stripWeights removes "weight" from lists of backends of the pair.
func stripWeights(o *unstructured.Unstructured) { dropWeights(o.Object) }

func dropWeights(v any) {
	switch v := v.(type) {
	case map[string]any:
		name := text(v, "name")
		if dest, ok := v["destination"].(map[string]any); ok {
			name = text(dest, "host")
		}
		if name == "checkout" || name == "checkout-canary" {
			delete(v, "weight")
		}
		for _, child := range v {
			dropWeights(child)
		}
	case []any:
		for _, child := range v {
			dropWeights(child)
		}
	}
}
