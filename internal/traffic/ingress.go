package traffic

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Annotations of ingress-nginx.
const (
	nginxCanary      = "nginx.ingress.kubernetes.io/canary"
	nginxWeight      = "nginx.ingress.kubernetes.io/canary-weight"
	nginxWeightTotal = "nginx.ingress.kubernetes.io/canary-weight-total"
)

// nginxIngress moves the annotation canary-weight of the canary's Ingress. The
// Ingress of stable is read only.
type nginxIngress struct {
	client client.Client
	target Target
}

func (n *nginxIngress) get(ctx context.Context) (*unstructured.Unstructured, *netv1.Ingress, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(KindIngress.GroupVersionKind())
	if err := n.client.Get(ctx, client.ObjectKey{Namespace: n.target.Namespace, Name: n.target.Name}, obj); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", n.target.object(), err)
	}
	typed := &netv1.Ingress{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, typed); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", n.target.object(), err)
	}
	return obj, typed, nil
}

// problems are those of the canary's Ingress alone.
func (n *nginxIngress) problems(in *netv1.Ingress) []Problem {
	var all []Problem
	problem := func(code Code, field, format string, args ...any) {
		all = append(all, Problem{code, n.target.object(), field, fmt.Sprintf(format, args...)})
	}
	if v := in.Annotations[nginxCanary]; v != "true" {
		problem(CodeBackends, "metadata.annotations["+nginxCanary+"]", "is %q: want \"true\", or it is an ordinary Ingress and has no weight", v)
	}
	if !serves(in, n.target.Canary) {
		problem(CodeBackends, "spec.rules", "does not have the canary Service %s as backend", n.target.Canary)
	}
	if _, err := n.total(in); err != nil {
		problem(CodeWeights, "metadata.annotations["+nginxWeightTotal+"]", "%v", err)
	}
	if v, set := in.Annotations[nginxWeight]; set {
		if w, err := strconv.Atoi(v); err != nil || w < 0 {
			problem(CodeWeights, "metadata.annotations["+nginxWeight+"]", "is %q: want a whole number of 0 or more", v)
		}
	}
	return all
}

func (n *nginxIngress) total(in *netv1.Ingress) (int, error) {
	v, set := in.Annotations[nginxWeightTotal]
	if !set {
		return 100, nil
	}
	total, err := strconv.Atoi(v)
	if err != nil || total < 100 || total%100 != 0 {
		return 0, fmt.Errorf("is %q: want a multiple of 100, so that whole percents can be given", v)
	}
	return total, nil
}

func (n *nginxIngress) Observe(ctx context.Context) (State, error) {
	_, in, err := n.get(ctx)
	if gone(err) {
		return State{Problem: n.target.object() + " does not exist"}, nil
	}
	if err != nil {
		return State{}, err
	}
	if problems := n.problems(in); len(problems) > 0 {
		return State{Problem: problems[0].String()}, nil
	}
	total, _ := n.total(in)
	weight, _ := strconv.Atoi(in.Annotations[nginxWeight])
	return State{Weight: wholePercent(float64(min(weight, total)) / float64(total)), OK: true, Writable: true}, nil
}

func (n *nginxIngress) SetWeight(ctx context.Context, percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("weight %d: want 0 to 100", percent)
	}
	err := retryStale(ctx, func() error {
		obj, in, err := n.get(ctx)
		if err != nil {
			return err
		}
		if problems := n.problems(in); len(problems) > 0 {
			return fmt.Errorf("%s", problems[0])
		}
		total, err := n.total(in)
		if err != nil {
			return err
		}
		was, set := in.Annotations[nginxWeight]
		want := strconv.Itoa(total * percent / 100)
		if was == want || (!set && percent == 0) {
			return nil
		}
		path := "/metadata/annotations/" + strings.ReplaceAll(nginxWeight, "/", "~1")
		ops := []operation{{"add", path, want}}
		if set {
			ops = slices.Insert(ops, 0, operation{"test", path, was})
		}
		return patch(ctx, n.client, obj, ops)
	})
	if err != nil {
		return fmt.Errorf("give %s %d %%: %w", n.target.Canary, percent, err)
	}
	return nil
}

func (n *nginxIngress) Preflight(ctx context.Context) ([]Problem, error) {
	obj, in, err := n.get(ctx)
	if gone(err) {
		return []Problem{{CodeNotFound, n.target.object(), "", "does not exist: create a second Ingress for the canary with the annotation " + nginxCanary + `: "true"`}}, nil
	}
	if err != nil {
		return nil, err
	}
	problems := n.problems(in)
	var all netv1.IngressList
	if err := n.client.List(ctx, &all, client.InNamespace(n.target.Namespace)); err != nil {
		return nil, fmt.Errorf("list Ingresses: %w", err)
	}
	served := hosts(in)
	for _, other := range all.Items {
		if other.Name != in.Name && other.Annotations[nginxCanary] != "true" && serves(&other, n.target.Stable) {
			for _, host := range hosts(&other) {
				served = slices.DeleteFunc(served, func(h string) bool { return h == host })
			}
		}
	}
	if len(served) > 0 {
		problems = append(problems, Problem{CodeBackends, n.target.object(), "spec.rules", fmt.Sprintf(
			"no other Ingress of the namespace serves %s with the stable Service %s: ingress-nginx splits only what an ordinary Ingress of the same host serves", strings.Join(served, ", "), n.target.Stable)})
	}
	return append(problems, owned(n.target.object(), obj)...), nil
}

func serves(in *netv1.Ingress, service string) bool {
	if b := in.Spec.DefaultBackend; b != nil && b.Service != nil && b.Service.Name == service {
		return true
	}
	for _, rule := range in.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			if p.Backend.Service != nil && p.Backend.Service.Name == service {
				return true
			}
		}
	}
	return false
}

func hosts(in *netv1.Ingress) []string {
	all := map[string]bool{}
	for _, rule := range in.Spec.Rules {
		all[cmp.Or(rule.Host, "every host")] = true
	}
	return slices.Sorted(maps.Keys(all))
}
