package helmrollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
)

// LabelRun marks the ConfigMaps that keep rollouts of `rollout run`.
const LabelRun = "fairlead.dev/rollout-run"

// keyRelease is the ConfigMap's key with the CanaryRelease.
const keyRelease = "canaryrelease.json"

// ConfigMapName is where a rollout of `rollout run` is kept while no CanaryRelease
// of that name is in the cluster.
func ConfigMapName(name string) string { return "fairlead-rollout-" + name }

// Store is a client to which a CanaryRelease that `rollout run` keeps in a
// ConfigMap looks like any other: it can be read, listed, patched and updated,
// with conflicts where somebody else was faster. A cluster needs no CRD for it.
// A CanaryRelease that is in the cluster goes first; everything else is the
// inner client's.
type Store struct{ client.Client }

// Get reads an object.
func (s Store) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	err := s.Client.Get(ctx, key, obj, opts...)
	cr, ok := obj.(*v1alpha1.CanaryRelease)
	if !ok || !absent(err) {
		return err
	}
	var cm corev1.ConfigMap
	if cmErr := s.Client.Get(ctx, configMapKey(key), &cm); cmErr != nil {
		if apierrors.IsNotFound(cmErr) {
			return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource).GroupResource(), key.Name)
		}
		return cmErr
	}
	return decode(&cm, cr)
}

// List lists objects. Field selectors on kept CanaryReleases select all.
func (s Store) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	crs, ok := list.(*v1alpha1.CanaryReleaseList)
	if !ok {
		return s.Client.List(ctx, list, opts...)
	}
	var o client.ListOptions
	o.ApplyOptions(opts)
	plain := []client.ListOption{client.InNamespace(o.Namespace)}
	if err := s.Client.List(ctx, crs, plain...); err != nil && !absent(err) {
		return err
	}
	have := map[types.NamespacedName]bool{}
	for i := range crs.Items {
		have[client.ObjectKeyFromObject(&crs.Items[i])] = true
	}
	var cms corev1.ConfigMapList
	if err := s.Client.List(ctx, &cms, append(plain, client.HasLabels{LabelRun})...); err != nil {
		return err
	}
	for i := range cms.Items {
		var cr v1alpha1.CanaryRelease
		if err := decode(&cms.Items[i], &cr); err != nil {
			return err
		}
		if !have[client.ObjectKeyFromObject(&cr)] {
			crs.Items = append(crs.Items, cr)
		}
	}
	return nil
}

// Create creates an object; a CanaryRelease is created in a ConfigMap.
func (s Store) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	cr, ok := obj.(*v1alpha1.CanaryRelease)
	if !ok {
		ownByConfigMap(obj)
		return s.Client.Create(ctx, obj, opts...)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: cr.Namespace, Name: ConfigMapName(cr.Name),
		Labels: map[string]string{LabelRun: "true", "app.kubernetes.io/managed-by": "fairlead"},
	}}
	cr.Generation = 1
	if err := encode(cr, cm); err != nil {
		return err
	}
	if err := s.Client.Create(ctx, cm); err != nil {
		return err
	}
	return decode(cm, cr)
}

// Update writes an object as it is, but for the status.
func (s Store) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return s.write(ctx, obj, func() error { return s.Client.Update(ctx, obj, opts...) }, func(have *v1alpha1.CanaryRelease) error {
		want := obj.(*v1alpha1.CanaryRelease).DeepCopy() //nolint:forcetypeassert // write asks
		want.Status = have.Status
		*have = *want
		return nil
	})
}

// Patch patches an object, but for the status.
func (s Store) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return s.write(ctx, obj, func() error { return s.Client.Patch(ctx, obj, patch, opts...) }, func(have *v1alpha1.CanaryRelease) error {
		status := have.Status
		err := apply(have, obj, patch)
		have.Status = status
		return err
	})
}

// Delete deletes an object.
func (s Store) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	if cm, err := s.configMap(ctx, obj); err != nil || cm != nil {
		if err != nil {
			return err
		}
		return s.Client.Delete(ctx, cm)
	}
	return s.Client.Delete(ctx, obj, opts...)
}

// Status writes the status alone.
func (s Store) Status() client.SubResourceWriter { return statusWriter{s.Client.Status(), s} }

type statusWriter struct {
	client.SubResourceWriter
	store Store
}

func (w statusWriter) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	return w.store.write(ctx, obj, func() error { return w.SubResourceWriter.Update(ctx, obj, opts...) }, func(have *v1alpha1.CanaryRelease) error {
		cr := obj.(*v1alpha1.CanaryRelease) //nolint:forcetypeassert // write asks
		have.Status = *cr.Status.DeepCopy()
		if cr.ResourceVersion != "" {
			have.ResourceVersion = cr.ResourceVersion
		}
		return nil
	})
}

func (w statusWriter) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return w.store.write(ctx, obj, func() error { return w.SubResourceWriter.Patch(ctx, obj, patch, opts...) }, func(have *v1alpha1.CanaryRelease) error {
		next := have.DeepCopy()
		err := apply(next, obj, patch)
		have.Status, have.ResourceVersion = next.Status, next.ResourceVersion
		return err
	})
}

// write changes a kept CanaryRelease, or does what elsewhere does with anything
// else. obj is then as it is kept.
func (s Store) write(ctx context.Context, obj client.Object, elsewhere func() error, change func(have *v1alpha1.CanaryRelease) error) error {
	cm, err := s.configMap(ctx, obj)
	if err != nil {
		return err
	}
	if cm == nil {
		return elsewhere()
	}
	cr, _ := obj.(*v1alpha1.CanaryRelease)
	var have v1alpha1.CanaryRelease
	if err := decode(cm, &have); err != nil {
		return err
	}
	before := have.DeepCopy()
	if err := change(&have); err != nil {
		return err
	}
	if have.ResourceVersion != "" && have.ResourceVersion != cm.ResourceVersion {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource).GroupResource(), have.Name,
			errors.New("it has changed since it was read"))
	}
	have.Generation = before.Generation
	if !reflect.DeepEqual(before.Spec, have.Spec) {
		have.Generation++
	}
	if err := encode(&have, cm); err != nil {
		return err
	}
	if err := s.Client.Update(ctx, cm); err != nil {
		return err
	}
	return decode(cm, cr)
}

// configMap returns what obj is kept in; nil for what is not kept by us.
func (s Store) configMap(ctx context.Context, obj client.Object) (*corev1.ConfigMap, error) {
	cr, ok := obj.(*v1alpha1.CanaryRelease)
	if !ok {
		return nil, nil
	}
	var cm corev1.ConfigMap
	if err := s.Client.Get(ctx, configMapKey(client.ObjectKeyFromObject(cr)), &cm); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if cr.UID != "" && cr.UID != cm.UID {
		return nil, nil // the one in the cluster is meant
	}
	if cr.UID == "" {
		err := s.Client.Get(ctx, client.ObjectKeyFromObject(cr), &v1alpha1.CanaryRelease{})
		if err == nil || !absent(err) {
			return nil, err
		}
	}
	return &cm, nil
}

// Kept reports whether a CanaryRelease that was read is kept in a ConfigMap.
func (s Store) Kept(ctx context.Context, cr *v1alpha1.CanaryRelease) (bool, error) {
	cm, err := s.configMap(ctx, cr)
	return cm != nil, err
}

// absent reports whether there is no such object, or no such kind.
func absent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

func configMapKey(key client.ObjectKey) client.ObjectKey {
	return client.ObjectKey{Namespace: key.Namespace, Name: ConfigMapName(key.Name)}
}

// apply applies a patch to have as the API server would.
func apply(have *v1alpha1.CanaryRelease, obj client.Object, patch client.Patch) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	text, err := json.Marshal(have)
	if err != nil {
		return err
	}
	switch patch.Type() {
	case types.MergePatchType:
		text, err = jsonpatch.MergePatch(text, data)
	case types.JSONPatchType:
		var ops jsonpatch.Patch
		if ops, err = jsonpatch.DecodePatch(data); err == nil {
			text, err = ops.Apply(text)
		}
	default:
		err = fmt.Errorf("patch of type %s: want a merge patch or a JSON patch", patch.Type())
	}
	if err != nil {
		return fmt.Errorf("patch CanaryRelease %s: %w", have.Name, err)
	}
	*have = v1alpha1.CanaryRelease{}
	return json.Unmarshal(text, have)
}

// encode writes a CanaryRelease into a ConfigMap. What identifies the object is
// the ConfigMap's own.
func encode(cr *v1alpha1.CanaryRelease, cm *corev1.ConfigMap) error {
	kept := cr.DeepCopy()
	kept.APIVersion, kept.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind
	kept.UID, kept.ResourceVersion, kept.ManagedFields, kept.CreationTimestamp = "", "", nil, metav1.Time{}
	text, err := json.Marshal(kept)
	if err != nil {
		return fmt.Errorf("encode CanaryRelease %s: %w", cr.Name, err)
	}
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	cm.Data[keyRelease] = string(text)
	return nil
}

func decode(cm *corev1.ConfigMap, cr *v1alpha1.CanaryRelease) error {
	var kept v1alpha1.CanaryRelease
	if err := json.Unmarshal([]byte(cm.Data[keyRelease]), &kept); err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %s: %w", cm.Namespace, cm.Name, keyRelease, err)
	}
	kept.Namespace, kept.UID, kept.ResourceVersion, kept.CreationTimestamp = cm.Namespace, cm.UID, cm.ResourceVersion, cm.CreationTimestamp
	*cr = kept
	return nil
}

// ownByConfigMap makes what a kept CanaryRelease would own the ConfigMap's: the
// garbage collector does not know the CanaryRelease, and would take it for gone.
func ownByConfigMap(obj client.Object) {
	owners := obj.GetOwnerReferences()
	for i, o := range owners {
		if o.Kind == v1alpha1.Kind && o.APIVersion == v1alpha1.GroupVersion.String() {
			owners[i].APIVersion, owners[i].Kind, owners[i].Name = "v1", "ConfigMap", ConfigMapName(o.Name)
		}
	}
	obj.SetOwnerReferences(owners)
}
