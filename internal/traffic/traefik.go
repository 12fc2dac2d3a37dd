package traffic

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// traefikLayout is that of a TraefikService: spec.weighted.services[].weight, 1
// where it is absent. It has no status.
type traefikLayout struct{}

func (traefikLayout) rules(obj *unstructured.Unstructured, t Target) []rule {
	list, found, _ := unstructured.NestedSlice(obj.Object, "spec", "weighted", "services")
	if !found {
		return nil
	}
	r := rule{field: "spec.weighted.services", path: "/spec/weighted/services", list: list}
	for _, ref := range list {
		r.backends = append(r.backends, serviceRef(ref, t.Namespace))
	}
	return []rule{r}
}

func (traefikLayout) accepted(*unstructured.Unstructured) string { return "" }
