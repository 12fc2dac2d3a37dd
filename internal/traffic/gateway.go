package traffic

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// gatewayLayout is that of HTTPRoute and GRPCRoute, which keep their weights in
// the same place: spec.rules[].backendRefs[].weight, 1 where it is absent.
type gatewayLayout struct{}

func (gatewayLayout) rules(obj *unstructured.Unstructured, t Target) []rule {
	list, _, _ := unstructured.NestedSlice(obj.Object, "spec", "rules")
	rules := make([]rule, 0, len(list))
	for i, item := range list {
		m, _ := item.(map[string]any)
		r := rule{
			name:  text(m, "name"),
			field: fmt.Sprintf("spec.rules[%d].backendRefs", i),
			path:  fmt.Sprintf("/spec/rules/%d/backendRefs", i),
		}
		r.list, _ = m["backendRefs"].([]any)
		for _, ref := range r.list {
			r.backends = append(r.backends, serviceRef(ref, t.Namespace))
		}
		rules = append(rules, r)
	}
	return rules
}

// serviceRef reads a reference by group, kind, namespace, name and weight, as
// Gateway API and Traefik write it: a Service of the same namespace and weight
// 1 where nothing else is said.
func serviceRef(ref any, namespace string) backend {
	m, _ := ref.(map[string]any)
	b := backend{label: text(m, "name"), weight: number(m, "weight", 1)}
	kind, ns := text(m, "kind"), text(m, "namespace")
	if text(m, "group") == "" && (kind == "" || kind == "Service") && (ns == "" || ns == namespace) {
		b.service = b.label
		return b
	}
	if kind != "" && kind != "Service" {
		b.label = kind + " " + b.label
	}
	if ns != "" {
		b.label += " in " + ns
	}
	return b
}

// accepted wants one Gateway that serves the route at its present generation,
// and none that has yet to look at it: then no data plane routes by old weights.
// A Gateway that refuses the route serves nobody by it and is no obstacle.
func (gatewayLayout) accepted(obj *unstructured.Unstructured) string {
	wanted := map[string]bool{}
	refs, _, _ := unstructured.NestedSlice(obj.Object, "spec", "parentRefs")
	for _, ref := range refs {
		m, _ := ref.(map[string]any)
		wanted[text(m, "name")] = true
	}
	parents, _, _ := unstructured.NestedSlice(obj.Object, "status", "parents")
	generation := obj.GetGeneration()
	serving := false
	var refused []string
	for _, p := range parents {
		parent, _ := p.(map[string]any)
		gateway, _, _ := unstructured.NestedString(parent, "parentRef", "name")
		if !wanted[gateway] {
			continue // left behind by a Gateway that the route no longer names
		}
		conditions, _, _ := unstructured.NestedSlice(parent, "conditions")
		accepted := condition(conditions, "Accepted")
		resolved := condition(conditions, "ResolvedRefs")
		switch {
		case accepted == nil:
			return fmt.Sprintf("Gateway %s has not said whether it accepts the route", gateway)
		case number(accepted, "observedGeneration", 0) < generation:
			return fmt.Sprintf("Gateway %s has seen generation %d of %d", gateway, number(accepted, "observedGeneration", 0), generation)
		case text(accepted, "status") != "True":
			refused = append(refused, fmt.Sprintf("Gateway %s refuses the route: %s", gateway, reason(accepted)))
		case resolved != nil && text(resolved, "status") == "False":
			return fmt.Sprintf("Gateway %s cannot resolve a backend: %s", gateway, reason(resolved))
		default:
			serving = true
		}
	}
	switch {
	case serving:
		return ""
	case len(refused) > 0:
		return strings.Join(refused, "; ")
	default:
		return "no Gateway has accepted the route: is its parentRefs right, and the Gateway's controller running?"
	}
}

func condition(conditions []any, kind string) map[string]any {
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && text(m, "type") == kind {
			return m
		}
	}
	return nil
}

func reason(condition map[string]any) string {
	return strings.TrimSuffix(text(condition, "reason")+": "+text(condition, "message"), ": ")
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// number reads a whole number as JSON decoders leave it.
func number(m map[string]any, key string, absent int64) int64 {
	switch n := m[key].(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	default:
		return absent
	}
}
