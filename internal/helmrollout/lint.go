package helmrollout

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
	"fairlead.dev/fairlead/internal/traffic"
)

// Finding is something that two releases of one chart would do to each other.
type Finding struct {
	// Object is what is meant: "Service shop/checkout".
	Object string
	// Reason says what would happen and what to do.
	Reason string
	// Warning findings do not keep a rollout from beginning.
	Warning bool
}

func (f Finding) String() string { return f.Object + ": " + f.Reason }

// release is a rendered release.
type release struct {
	name    string
	objects []*unstructured.Unstructured
}

// Lint compares the rendered manifests of the stable and the canary release,
// hooks included, and returns what would go wrong: objects that both have, hooks
// and jobs that would run twice, hosts that both serve, selectors that take in
// the other's pods, and a route whose weights an upgrade would reset.
func Lint(cr *v1alpha1.CanaryRelease, stable, canaryManifest []byte) ([]Finding, error) {
	s, err := parse(cr.Spec.Helm.Stable, cr.Namespace, stable)
	if err != nil {
		return nil, err
	}
	c, err := parse(cr.Spec.Helm.Canary, cr.Namespace, canaryManifest)
	if err != nil {
		return nil, err
	}
	var all []Finding
	all = append(all, duplicates(s, c)...)
	all = append(all, runsTwice(s, c)...)
	all = append(all, sharedHosts(s, c)...)
	all = append(all, selectors(s, c)...)
	all = append(all, renderedRoute(cr, s, c)...)
	all = append(all, workloads(cr, s, c)...)
	return all, nil
}

func parse(name, namespace string, manifest []byte) (release, error) {
	r := release{name: name}
	for _, doc := range strings.Split("\n"+string(manifest), "\n---") {
		text, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			return r, fmt.Errorf("read the manifest of release %s: %w", name, err)
		}
		if string(text) == "null" || string(text) == "{}" {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(text); err != nil {
			return r, fmt.Errorf("read the manifest of release %s: %w", name, err)
		}
		if o.IsList() {
			err := o.EachListItem(func(item runtime.Object) error {
				r.objects = append(r.objects, item.(*unstructured.Unstructured)) //nolint:forcetypeassert // an unstructured list has nothing else
				return nil
			})
			if err != nil {
				return r, err
			}
			continue
		}
		r.objects = append(r.objects, o)
	}
	for _, o := range r.objects {
		if o.GetNamespace() == "" && !clusterScoped[o.GetKind()] {
			o.SetNamespace(namespace)
		}
	}
	return r, nil
}

// clusterScoped are the kinds of charts that have no namespace.
var clusterScoped = map[string]bool{
	"ClusterRole": true, "ClusterRoleBinding": true, "CustomResourceDefinition": true, "Namespace": true, "PriorityClass": true,
	"StorageClass": true, "PersistentVolume": true, "ValidatingWebhookConfiguration": true, "MutatingWebhookConfiguration": true,
	"APIService": true, "IngressClass": true, "GatewayClass": true, "RuntimeClass": true,
}

func name(o *unstructured.Unstructured) string {
	return strings.TrimPrefix(o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName(), "/")
}

func hooksOf(o *unstructured.Unstructured) []string {
	var kinds []string
	for _, k := range strings.Split(o.GetAnnotations()["helm.sh/hook"], ",") {
		if k = strings.TrimSpace(k); k != "" && !strings.HasPrefix(k, "test") {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func isTest(o *unstructured.Unstructured) bool {
	return o.GetAnnotations()["helm.sh/hook"] != "" && len(hooksOf(o)) == 0
}

func (r release) find(kind, name string) *unstructured.Unstructured {
	for _, o := range r.objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	return nil
}

// duplicates are objects of both releases: Helm refuses the second.
func duplicates(s, c release) []Finding {
	var all []Finding
	for _, o := range c.objects {
		same := slices.ContainsFunc(s.objects, func(p *unstructured.Unstructured) bool {
			return p.GroupVersionKind().GroupKind() == o.GroupVersionKind().GroupKind() && p.GetNamespace() == o.GetNamespace() && p.GetName() == o.GetName()
		})
		if same && !isTest(o) {
			all = append(all, Finding{Object: name(o), Reason: fmt.Sprintf(
				"is in both releases, and only one can own it: switch it off in release %s, or give it a name with the release's in it", c.name)})
		}
	}
	return all
}

// runsTwice are the canary's hooks and jobs that stable has, too.
func runsTwice(s, c release) []Finding {
	var all []Finding
	for _, o := range c.objects {
		if isTest(o) {
			continue
		}
		twin := slices.ContainsFunc(s.objects, func(p *unstructured.Unstructured) bool {
			return p.GetKind() == o.GetKind() && (len(hooksOf(p)) > 0) == (len(hooksOf(o)) > 0) &&
				strings.ReplaceAll(p.GetName(), s.name, "") == strings.ReplaceAll(o.GetName(), c.name, "")
		})
		switch hooks := hooksOf(o); {
		case !twin:
		case len(hooks) > 0:
			all = append(all, Finding{Object: name(o), Reason: fmt.Sprintf(
				"is a hook (%s) of both releases and would run twice, for the canary and again at the promotion: switch it off in release %s, or pass --no-hooks after -- if it may not run at all", strings.Join(hooks, ", "), c.name)})
		case o.GetKind() == "CronJob" || o.GetKind() == "Job":
			all = append(all, Finding{Object: name(o), Reason: fmt.Sprintf("is in both releases and would run twice: switch it off in release %s", c.name)})
		}
	}
	return all
}

// sharedHosts are hosts that routes of both releases serve. An Ingress that
// says it is a canary is meant to.
func sharedHosts(s, c release) []Finding {
	served := map[string]string{}
	for _, o := range s.objects {
		for _, h := range hostsOf(o) {
			served[h] = name(o)
		}
	}
	var all []Finding
	for _, o := range c.objects {
		if o.GetAnnotations()["nginx.ingress.kubernetes.io/canary"] == "true" {
			continue
		}
		for _, h := range hostsOf(o) {
			if other := served[h]; other != "" {
				all = append(all, Finding{Object: name(o), Reason: fmt.Sprintf(
					"serves host %s, which %s of release %s serves, too: requests would reach the canary past the weights; switch it off in release %s", h, other, s.name, c.name)})
			}
		}
	}
	return all
}

func hostsOf(o *unstructured.Unstructured) []string {
	var all []string
	switch o.GetKind() {
	case "Ingress":
		rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
		for _, r := range rules {
			m, _ := r.(map[string]any)
			if h, _ := m["host"].(string); h != "" {
				all = append(all, h)
			}
		}
	case "HTTPRoute", "GRPCRoute":
		all, _, _ = unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
	case "VirtualService":
		all, _, _ = unstructured.NestedStringSlice(o.Object, "spec", "hosts")
	}
	return all
}

// selectors are workloads and Services that take in the other release's pods.
func selectors(s, c release) []Finding {
	var all []Finding
	for _, one := range []struct{ own, other release }{{s, c}, {c, s}} {
		for _, o := range one.own.objects {
			match := selectorOf(o)
			if match == nil || match.Empty() {
				continue
			}
			for _, p := range one.other.objects {
				pods, ok := podLabels(p)
				if ok && match.Matches(pods) {
					all = append(all, Finding{Object: name(o), Reason: fmt.Sprintf(
						"of release %s selects (%s) the pods of %s of release %s: add a label that differs, such as app.kubernetes.io/instance or track, to both", one.own.name, match, name(p), one.other.name)})
				}
			}
		}
	}
	return all
}

func selectorOf(o *unstructured.Unstructured) labels.Selector {
	switch o.GetKind() {
	case "Service":
		m, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector")
		return labels.SelectorFromSet(m)
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "PodDisruptionBudget":
		m, _, _ := unstructured.NestedMap(o.Object, "spec", "selector")
		var ls metav1.LabelSelector
		if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &ls) != nil {
			return nil
		}
		selector, err := metav1.LabelSelectorAsSelector(&ls)
		if err != nil {
			return nil
		}
		return selector
	}
	return nil
}

func podLabels(o *unstructured.Unstructured) (labels.Set, bool) {
	switch o.GetKind() {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		m, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
		return m, true
	}
	return nil, false
}

// renderedRoute is the route whose weights are moved, where a chart renders it.
func renderedRoute(cr *v1alpha1.CanaryRelease, s, c release) []Finding {
	t, err := canary.Target(cr)
	if err != nil || t.Kind == traffic.KindReplicas {
		return nil
	}
	var all []Finding
	for _, r := range []release{s, c} {
		o := r.find(string(t.Kind), t.Name)
		if o == nil || t.Kind == traffic.KindIngress {
			continue
		}
		all = append(all, Finding{Object: name(o), Reason: fmt.Sprintf(
			"is the route whose weights move, and release %s renders it: every upgrade would set them back in the middle; move it out of the chart", r.name)})
	}
	return all
}

// workloads must be where the CanaryRelease says, and tell their track.
func workloads(cr *v1alpha1.CanaryRelease, s, c release) []Finding {
	var all []Finding
	for _, one := range []struct {
		field string
		track v1alpha1.Track
		r     release
	}{{"spec.stable", cr.Spec.Stable, s}, {"spec.canary", cr.Spec.Canary, c}} {
		kind := kindOr(one.track.Workload.Kind)
		w := one.r.find(kind, one.track.Workload.Name)
		if w == nil {
			all = append(all, Finding{Object: kind + " " + cr.Namespace + "/" + one.track.Workload.Name, Reason: fmt.Sprintf(
				"is %s.workload, but release %s renders no such object: it has %s", one.field, one.r.name, orNone(one.r.names("Deployment", "StatefulSet")))})
		}
		if one.r.find("Service", one.track.Service) == nil && cr.Spec.Traffic.Replicas == nil {
			all = append(all, Finding{Warning: true, Object: "Service " + cr.Namespace + "/" + one.track.Service, Reason: fmt.Sprintf(
				"is %s.service, but release %s does not render it: it must be there otherwise", one.field, one.r.name)})
		}
	}
	if w := c.find(kindOr(cr.Spec.Canary.Workload.Kind), cr.Spec.Canary.Workload.Name); w != nil && !saysCanary(w) {
		all = append(all, Finding{Warning: true, Object: name(w), Reason: "has no container with DEPLOYMENT_TRACK=canary and no label track: canary: its telemetry must be told from stable's by spec.match"})
	}
	return all
}

func kindOr(kind string) string {
	if kind == "" {
		return "Deployment"
	}
	return kind
}

func saysCanary(w *unstructured.Unstructured) bool {
	if pods, _ := podLabels(w); pods["track"] == "canary" {
		return true
	}
	containers, _, _ := unstructured.NestedSlice(w.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		m, _ := c.(map[string]any)
		env, _ := m["env"].([]any)
		for _, e := range env {
			if v, ok := e.(map[string]any); ok && v["name"] == "DEPLOYMENT_TRACK" && v["value"] == "canary" {
				return true
			}
		}
	}
	return false
}

func (r release) names(kinds ...string) []string {
	var all []string
	for _, o := range r.objects {
		if slices.Contains(kinds, o.GetKind()) {
			all = append(all, o.GetKind()+" "+o.GetName())
		}
	}
	return all
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
