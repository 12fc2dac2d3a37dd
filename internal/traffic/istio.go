package traffic

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// istioLayout is that of a VirtualService: spec.http[].route[].weight beside a
// destination whose host is a Service. Subsets of one host are not told apart.
type istioLayout struct{}

func (istioLayout) rules(obj *unstructured.Unstructured, t Target) []rule {
	list, _, _ := unstructured.NestedSlice(obj.Object, "spec", "http")
	rules := make([]rule, 0, len(list))
	for i, item := range list {
		m, _ := item.(map[string]any)
		r := rule{
			name:  text(m, "name"),
			field: fmt.Sprintf("spec.http[%d].route", i),
			path:  fmt.Sprintf("/spec/http/%d/route", i),
		}
		r.list, _ = m["route"].([]any)
		absent := int64(0)
		if len(r.list) == 1 {
			absent = 100 // the only destination gets everything
		}
		for _, entry := range r.list {
			m, _ := entry.(map[string]any)
			host, _, _ := unstructured.NestedString(m, "destination", "host")
			b := backend{label: host, weight: number(m, "weight", absent)}
			if name, ns := hostService(host, t.Namespace); ns == t.Namespace {
				b.service = name
			}
			r.backends = append(r.backends, b)
		}
		rules = append(rules, r)
	}
	return rules
}

// hostService reads a host of the mesh: checkout, checkout.shop,
// checkout.shop.svc and checkout.shop.svc.cluster.local are all the Service
// checkout of namespace shop.
func hostService(host, namespace string) (name, ns string) {
	parts := strings.Split(host, ".")
	switch {
	case len(parts) == 1:
		return host, namespace
	case len(parts) == 2 || parts[2] == "svc":
		return parts[0], parts[1]
	}
	return "", "" // a host outside of the cluster
}

// accepted goes by the analysis that Istio writes to status where that is
// switched on. Without it the object is all that can be known.
func (istioLayout) accepted(obj *unstructured.Unstructured) string {
	status, _, _ := unstructured.NestedMap(obj.Object, "status")
	if seen := number(status, "observedGeneration", obj.GetGeneration()); seen < obj.GetGeneration() {
		return fmt.Sprintf("Istio has seen generation %d of %d", seen, obj.GetGeneration())
	}
	conditions, _ := status["conditions"].([]any)
	if c := condition(conditions, "Reconciled"); c != nil && text(c, "status") == "False" {
		return "Istio has not taken it to every proxy: " + reason(c)
	}
	return ""
}
