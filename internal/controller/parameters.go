package controller

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/analysis"
)

// configMaps keeps frozen parameters in a ConfigMap beside the CanaryRelease,
// which owns it.
type configMaps struct {
	client client.Client
	reader client.Reader // past the cache: ConfigMaps are not watched
}

// Keys of the ConfigMap.
const (
	keyRolloutID  = "rolloutID"
	keyParameters = "parameters.json"
)

// kept is what is kept. Config is the analysis in force, which may have a longer
// scrape interval than was asked for.
type kept struct {
	Config analysis.Config `json:"config"`
	Frozen analysis.Frozen `json:"frozen"`
	Hash   string          `json:"hash"` // of Frozen
}

func parametersName(key types.NamespacedName) string { return key.Name + "-analysis" }

// Load reads what was stored for the rollout.
func (m configMaps) Load(ctx context.Context, key types.NamespacedName, rolloutID string) (c analysis.Config, f analysis.Frozen, found bool, err error) {
	var cm corev1.ConfigMap
	name := types.NamespacedName{Namespace: key.Namespace, Name: parametersName(key)}
	if err := m.reader.Get(ctx, name, &cm); err != nil {
		return c, f, false, client.IgnoreNotFound(err)
	}
	if cm.Data[keyRolloutID] != rolloutID {
		return c, f, false, nil
	}
	var k kept
	if err := json.Unmarshal([]byte(cm.Data[keyParameters]), &k); err != nil {
		return c, f, false, fmt.Errorf("ConfigMap %s: %s: %w", name, keyParameters, err)
	}
	if hash := k.Frozen.Hash(); hash != k.Hash {
		return c, f, false, fmt.Errorf("ConfigMap %s: %s was changed during the rollout (digest %s, was %s)", name, keyParameters, hash, k.Hash)
	}
	return k.Config, k.Frozen, true, nil
}

// Store writes the ConfigMap, unless it holds this rollout's already.
func (m configMaps) Store(ctx context.Context, key types.NamespacedName, rolloutID string, c analysis.Config, f analysis.Frozen) (string, error) {
	text, err := json.Marshal(kept{Config: c, Frozen: f, Hash: f.Hash()})
	if err != nil {
		return "", err
	}
	var owner v1alpha1.CanaryRelease
	if err := m.client.Get(ctx, key, &owner); err != nil {
		return "", err
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: parametersName(key),
			Labels: map[string]string{"app.kubernetes.io/managed-by": fieldOwner},
		},
		Data: map[string]string{keyRolloutID: rolloutID, keyParameters: string(text)},
	}
	if err := controllerutil.SetControllerReference(&owner, cm, m.client.Scheme()); err != nil {
		return "", err
	}
	err = m.client.Create(ctx, cm, client.FieldOwner(fieldOwner))
	if !apierrors.IsAlreadyExists(err) {
		return cm.Name, err
	}
	var have corev1.ConfigMap
	if err := m.reader.Get(ctx, client.ObjectKeyFromObject(cm), &have); err != nil {
		return "", err
	}
	if !metav1.IsControlledBy(&have, &owner) {
		return "", fmt.Errorf("ConfigMap %s is not this CanaryRelease's: rename it", client.ObjectKeyFromObject(cm))
	}
	if have.Data[keyRolloutID] == rolloutID {
		return have.Name, nil
	}
	have.Data = cm.Data
	return have.Name, m.client.Update(ctx, &have, client.FieldOwner(fieldOwner))
}
