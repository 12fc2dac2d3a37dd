package traffic

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// owned says who else writes the object as a whole and would set the weights
// back. It goes by the marks that each leaves.
func owned(object string, obj *unstructured.Unstructured) []Problem {
	labels, notes := obj.GetLabels(), obj.GetAnnotations()
	problem := func(format string, args ...any) []Problem {
		return []Problem{{CodeOwned, object, "metadata", fmt.Sprintf(format, args...)}}
	}
	switch {
	case notes["argocd.argoproj.io/tracking-id"] != "":
		return problem("Argo CD keeps it as it is in Git (%s) and would reset the weights: have it ignore differences in the weights", notes["argocd.argoproj.io/tracking-id"])
	case labels["kustomize.toolkit.fluxcd.io/name"] != "":
		return problem("Flux keeps it as it is in Git (Kustomization %s) and would reset the weights: take the weights out of what it applies, or set kustomize.toolkit.fluxcd.io/ssa: IfNotPresent on it",
			labels["kustomize.toolkit.fluxcd.io/name"])
	case notes["meta.helm.sh/release-name"] != "":
		return problem("Helm release %s renders it and would reset the weights at the next upgrade: move it out of the chart",
			notes["meta.helm.sh/release-name"])
	}
	return nil
}
