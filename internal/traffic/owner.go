package traffic

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// WeightsIgnored is the annotation of a route by which people say that Argo CD
// or Flux leaves its weights alone: the rule for that is in an object of theirs
// that need not be in this cluster.
const WeightsIgnored = "fairlead.dev/weights-ignored"

// fluxApply says how Flux applies an object: IfNotPresent, once only.
const fluxApply = "kustomize.toolkit.fluxcd.io/ssa"

// owned says who else writes the object as a whole and would set the weights
// back. It goes by the marks that each leaves.
func owned(object string, obj *unstructured.Unstructured) []Problem {
	labels, notes := obj.GetLabels(), obj.GetAnnotations()
	problem := func(format string, args ...any) []Problem {
		return []Problem{{CodeOwned, object, "metadata", fmt.Sprintf(format, args...)}}
	}
	ignored := notes[WeightsIgnored] == "true"
	onceOnly := strings.EqualFold(cmp.Or(notes[fluxApply], labels[fluxApply]), "IfNotPresent")
	switch {
	case notes["argocd.argoproj.io/tracking-id"] != "" && !ignored:
		return problem("Argo CD keeps it as it is in Git (%s) and would reset the weights: have it ignore differences in the weights, then annotate the route with %s: \"true\"",
			notes["argocd.argoproj.io/tracking-id"], WeightsIgnored)
	case labels["kustomize.toolkit.fluxcd.io/name"] != "" && !ignored && !onceOnly:
		return problem("Flux keeps it as it is in Git (Kustomization %s) and would reset the weights: set %s: IfNotPresent on it, or take the weights out of what it applies and annotate the route with %s: \"true\"",
			labels["kustomize.toolkit.fluxcd.io/name"], fluxApply, WeightsIgnored)
	case notes["meta.helm.sh/release-name"] != "":
		return problem("Helm release %s renders it and would reset the weights at the next upgrade: move it out of the chart",
			notes["meta.helm.sh/release-name"])
	}
	return nil
}
