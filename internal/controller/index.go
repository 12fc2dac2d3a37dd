package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
)

// indexClaims finds CanaryReleases by what they write, which only one may.
const indexClaims = "claims"

func objectKey(kind, name string) string { return kind + " " + name }

// claims are the objects that only one CanaryRelease may write.
func claims(cr *v1alpha1.CanaryRelease) []string {
	t, err := canary.Target(cr)
	if err != nil {
		return nil
	}
	keys := []string{objectKey(t.StableWorkload.Kind, t.StableWorkload.Name), objectKey(t.CanaryWorkload.Kind, t.CanaryWorkload.Name)}
	if t.Name != "" {
		keys = append(keys, objectKey(string(t.Kind), t.Name))
	}
	return keys
}

func indexes(ctx context.Context, c client.FieldIndexer) error {
	by := func(o client.Object) []string { return claims(o.(*v1alpha1.CanaryRelease)) } //nolint:forcetypeassert // the index is of this type
	return c.IndexField(ctx, &v1alpha1.CanaryRelease{}, indexClaims, by)
}

// enqueue maps an object to the CanaryReleases that refer to it.
func (r *Reconciler) enqueue(kind string) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		var list v1alpha1.CanaryReleaseList
		if err := r.client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingFields{indexClaims: objectKey(kind, o.GetName())}); err != nil {
			return nil
		}
		requests := make([]reconcile.Request, 0, len(list.Items))
		for i := range list.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
		return requests
	}
}
