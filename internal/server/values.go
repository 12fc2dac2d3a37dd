package server

import (
	"context"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/web"
)

// values compares the values of a release's revisions, read from Helm's records
// in the cluster that the server was given. Nothing of them is kept.
type values struct{ cluster client.Reader }

// Changes returns the settings that differ, without their text.
func (v values) Changes(ctx context.Context, namespace, name string, before, after web.Revision) (changes []helm.ValueChange, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	was, err := v.of(ctx, namespace, name, before)
	if err != nil {
		return nil, false, err
	}
	is, err := v.of(ctx, namespace, name, after)
	if err != nil {
		return nil, false, err
	}
	changes, more = helm.CompareValues(was, is)
	return changes, more, nil
}

func (v values) of(ctx context.Context, namespace, name string, r web.Revision) (map[string]any, error) {
	var secret corev1.Secret
	err := v.cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, r.Number)}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, web.WithStatus(http.StatusNotFound, fmt.Errorf("the cluster has no record of revision %d: Helm keeps the newest ones (--history-max), or the release is in another cluster", r.Number))
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return nil, web.WithStatus(http.StatusForbidden, fmt.Errorf("the server may not read Secrets in namespace %s", namespace))
	case err != nil:
		return nil, err
	case r.UID != "" && r.UID != string(secret.UID):
		// The same name and number in another cluster, or of an earlier life.
		return nil, web.WithStatus(http.StatusNotFound, fmt.Errorf("revision %d in the cluster that this server was given is another than the one recorded here", r.Number))
	}
	return helm.DecodeValues(secret.Data["release"])
}
