package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
)

const (
	// indexClaims finds CanaryReleases by what they write, which only one may.
	indexClaims = "claims"
	// indexReads finds them by the Services that they only read.
	indexReads = "reads"
)

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
	for name, of := range map[string]func(*v1alpha1.CanaryRelease) []string{indexClaims: claims, indexReads: reads} {
		by := func(o client.Object) []string { return of(o.(*v1alpha1.CanaryRelease)) } //nolint:forcetypeassert // the index is of this type
		if err := c.IndexField(ctx, &v1alpha1.CanaryRelease{}, name, by); err != nil {
			return err
		}
	}
	return nil
}

func reads(cr *v1alpha1.CanaryRelease) []string {
	return []string{objectKey("Service", cr.Spec.Stable.Service), objectKey("Service", cr.Spec.Canary.Service)}
}

// enqueue maps an object to the CanaryReleases that an index has it for.
func (r *Reconciler) enqueue(index, kind string) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		return r.indexed(ctx, index, o.GetNamespace(), objectKey(kind, o.GetName()))
	}
}

// contenders maps a CanaryRelease to itself and to those that want to write the
// same objects: they are refused while it is there.
func (r *Reconciler) contenders(ctx context.Context, cr *v1alpha1.CanaryRelease) []reconcile.Request {
	requests := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(cr)}}
	for _, claim := range claims(cr) {
		requests = append(requests, r.indexed(ctx, indexClaims, cr.Namespace, claim)...)
	}
	return requests // the handler enqueues each once
}

func (r *Reconciler) indexed(ctx context.Context, index, namespace, key string) []reconcile.Request {
	var list v1alpha1.CanaryReleaseList
	if err := r.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{index: key}); err != nil {
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}
