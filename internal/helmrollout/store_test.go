package helmrollout

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"fairlead.dev/fairlead/api/v1alpha1"
)

func newStore(t *testing.T, objects ...client.Object) Store {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return Store{fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.CanaryRelease{}).Build()}
}

func canaryRelease() *v1alpha1.CanaryRelease {
	cr := &v1alpha1.CanaryRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout", Annotations: map[string]string{"a": "b"}}}
	cr.Spec.Service = "checkout"
	return cr
}

var key = client.ObjectKey{Namespace: "shop", Name: "checkout"}

// created returns a store with a kept CanaryRelease, as it reads.
func created(t *testing.T) (Store, *v1alpha1.CanaryRelease) {
	t.Helper()
	s := newStore(t)
	cr := canaryRelease()
	if err := s.Create(t.Context(), cr); err != nil {
		t.Fatal(err)
	}
	// The fake server gives no uid.
	var cm corev1.ConfigMap
	if err := s.Client.Get(t.Context(), configMapKey(key), &cm); err != nil {
		t.Fatal(err)
	}
	cm.UID = types.UID("u-1")
	if err := s.Client.Update(t.Context(), &cm); err != nil {
		t.Fatal(err)
	}
	return s, read(t, s)
}

func read(t *testing.T, s Store) *v1alpha1.CanaryRelease {
	t.Helper()
	var cr v1alpha1.CanaryRelease
	if err := s.Get(t.Context(), key, &cr); err != nil {
		t.Fatal(err)
	}
	return &cr
}

func TestAKeptCanaryReleaseReadsAsItWasWritten(t *testing.T) {
	s, cr := created(t)
	if cr.Spec.Service != "checkout" || cr.Annotations["a"] != "b" || cr.UID != "u-1" || cr.ResourceVersion == "" || cr.Generation != 1 {
		t.Errorf("read %+v", cr)
	}
	kept, err := s.Kept(t.Context(), cr)
	if err != nil || !kept {
		t.Errorf("Kept() = %v, %v", kept, err)
	}
	var list v1alpha1.CanaryReleaseList
	if err := s.List(t.Context(), &list, client.InNamespace("shop"), client.MatchingFields{"claims": "x"}); err != nil || len(list.Items) != 1 {
		t.Errorf("List() = %d items, %v", len(list.Items), err)
	}
	if err := s.List(t.Context(), &list, client.InNamespace("elsewhere")); err != nil || len(list.Items) != 0 {
		t.Errorf("List(elsewhere) = %d items, %v", len(list.Items), err)
	}
}

func TestWritesOfAKeptCanaryRelease(t *testing.T) {
	ctx := t.Context()
	for name, write := range map[string]func(s Store, cr *v1alpha1.CanaryRelease) error{
		"update": func(s Store, cr *v1alpha1.CanaryRelease) error { return s.Update(ctx, cr) },
		"patch": func(s Store, cr *v1alpha1.CanaryRelease) error {
			base := read(t, s)
			return s.Patch(ctx, cr, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, cr := created(t)
			cr.Spec.Pause, cr.Status.Phase, cr.Annotations["c"] = true, "Progressing", "d"
			if err := write(s, cr); err != nil {
				t.Fatal(err)
			}
			got := read(t, s)
			if !got.Spec.Pause || got.Annotations["c"] != "d" || got.Generation != 2 {
				t.Errorf("spec and annotations were not written: %+v", got)
			}
			if got.Status.Phase != "" {
				t.Errorf("the status was written along: %q", got.Status.Phase)
			}
			if got.ResourceVersion != cr.ResourceVersion {
				t.Errorf("what was written has resourceVersion %s, reads as %s", cr.ResourceVersion, got.ResourceVersion)
			}
		})
	}
	for name, write := range map[string]func(s Store, cr *v1alpha1.CanaryRelease) error{
		"status update": func(s Store, cr *v1alpha1.CanaryRelease) error { return s.Status().Update(ctx, cr) },
		"status patch": func(s Store, cr *v1alpha1.CanaryRelease) error {
			return s.Status().Patch(ctx, cr, client.MergeFrom(read(t, s)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, cr := created(t)
			cr.Spec.Pause, cr.Status.Phase = true, "Progressing"
			if err := write(s, cr); err != nil {
				t.Fatal(err)
			}
			if got := read(t, s); got.Spec.Pause || got.Status.Phase != "Progressing" || got.Generation != 1 {
				t.Errorf("read %+v", got)
			}
		})
	}
}

func TestAWriteOverSomethingNewerIsAConflict(t *testing.T) {
	s, stale := created(t)
	fresh := read(t, s)
	fresh.Spec.Pause = true
	if err := s.Update(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	stale.Status.Phase = "Progressing"
	if err := s.Status().Update(t.Context(), stale); !apierrors.IsConflict(err) {
		t.Errorf("Status().Update() of something stale = %v, want a conflict", err)
	}
	base := stale.DeepCopy()
	stale.Annotations["x"] = "y"
	if err := s.Patch(t.Context(), stale, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); !apierrors.IsConflict(err) {
		t.Errorf("Patch() of something stale = %v, want a conflict", err)
	}
}

func TestTheOneInTheClusterGoesFirst(t *testing.T) {
	inCluster := canaryRelease()
	inCluster.UID, inCluster.Spec.Service = "cluster", "in the cluster"
	s := newStore(t, inCluster)
	if err := s.Create(t.Context(), canaryRelease()); err != nil {
		t.Fatal(err)
	}
	cr := read(t, s)
	if cr.Spec.Service != "in the cluster" {
		t.Errorf("read %q", cr.Spec.Service)
	}
	if kept, err := s.Kept(t.Context(), cr); err != nil || kept {
		t.Errorf("Kept() = %v, %v", kept, err)
	}
	cr.Spec.Pause = true
	if err := s.Update(t.Context(), cr); err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.CanaryRelease
	if err := s.Client.Get(t.Context(), key, &got); err != nil || !got.Spec.Pause {
		t.Errorf("the one in the cluster was not written: %v", err)
	}
	var list v1alpha1.CanaryReleaseList
	if err := s.List(t.Context(), &list); err != nil || len(list.Items) != 1 || list.Items[0].Spec.Service != "in the cluster" {
		t.Errorf("List() = %d items, %v", len(list.Items), err)
	}
}

func TestWhatAKeptOneOwnsIsTheConfigMaps(t *testing.T) {
	s, cr := created(t)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout-analysis"}}
	if err := controllerutil.SetControllerReference(cr, cm, s.Scheme()); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(cm), cm); err != nil {
		t.Fatal(err)
	}
	owner := metav1.GetControllerOf(cm)
	if owner == nil {
		t.Fatal("no owner")
	}
	if diff := cmp.Diff([]string{"v1", "ConfigMap", "fairlead-rollout-checkout", "u-1"}, []string{owner.APIVersion, owner.Kind, owner.Name, string(owner.UID)}); diff != "" {
		t.Errorf("owner (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	s := newStore(t)
	var cr v1alpha1.CanaryRelease
	if err := s.Get(t.Context(), key, &cr); !apierrors.IsNotFound(err) {
		t.Errorf("Get() = %v, want not found", err)
	}
	if err := s.Update(t.Context(), canaryRelease()); !apierrors.IsNotFound(err) {
		t.Errorf("Update() = %v, want not found", err)
	}
	kept, cr2 := created(t)
	if err := kept.Delete(t.Context(), cr2); err != nil {
		t.Fatal(err)
	}
	if err := kept.Get(t.Context(), key, &cr); !apierrors.IsNotFound(err) {
		t.Errorf("Get() after Delete() = %v, want not found", err)
	}
}
