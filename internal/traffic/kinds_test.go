package traffic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const virtualService = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout, namespace: shop, generation: 2}
spec:
  hosts: [checkout]
  tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: checkout}}]}]
  http:
  - name: testers
    match: [{headers: {x-canary: {exact: always}}}]
    route: [{destination: {host: checkout-canary}}]
  - name: main
    retries: {attempts: 3, perTryTimeout: 2s}
    route:
    - {destination: {host: checkout, port: {number: 80}}, weight: 100, headers: {request: {set: {a: b}}}}
    - {destination: {host: checkout-canary}, weight: 0}
`

func TestVirtualService(t *testing.T) {
	target := httpTarget
	target.Kind = KindVirtualService
	contract{target: target, objects: virtualService, strip: stripWeights, edit: func(t *testing.T, c client.Client, percent int) {
		editJSON(t, c, KindVirtualService, "checkout",
			operation{"add", "/spec/http/1/route/0/weight", 100 - percent}, operation{"add", "/spec/http/1/route/1/weight", percent})
	}}.run(t)
}

func TestHostsOfTheMesh(t *testing.T) {
	for host, want := range map[string]string{
		"checkout": "shop/checkout", "checkout.shop": "shop/checkout", "checkout.other": "other/checkout",
		"checkout.shop.svc": "shop/checkout", "checkout.shop.svc.cluster.local": "shop/checkout", "api.example.com": "/",
	} {
		if name, ns := hostService(host, "shop"); ns+"/"+name != want {
			t.Errorf("hostService(%q) = %s/%s, want %s", host, ns, name, want)
		}
	}
}

func TestIstioThatLagsBehind(t *testing.T) {
	target := httpTarget
	target.Kind = KindVirtualService
	r, err := New(fakeClient(t, virtualService+"status: {observedGeneration: 1}\n", interceptor.Funcs{}), target)
	if err != nil {
		t.Fatal(err)
	}
	if got := observe(t, r); got.OK || !got.Writable || !strings.Contains(got.Problem, "generation 1 of 2") {
		t.Errorf("Observe() = %+v", got)
	}
}

func TestTraefikService(t *testing.T) {
	target := httpTarget
	target.Kind = KindTraefikService
	contract{target: target, strip: stripWeights, objects: `
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: checkout, namespace: shop}
spec:
  weighted:
    sticky: {cookie: {name: a}}
    services:
    - {name: checkout, port: 80, weight: 1}
    - {name: checkout-canary, port: 80, weight: 0}
    - {name: mirror, kind: TraefikService, weight: 0}
`, edit: func(t *testing.T, c client.Client, percent int) {
		editJSON(t, c, KindTraefikService, "checkout",
			operation{"add", "/spec/weighted/services/0/weight", 100 - percent}, operation{"add", "/spec/weighted/services/1/weight", percent})
	}}.run(t)
}

func TestTraefikServiceThatMirrors(t *testing.T) {
	target := httpTarget
	target.Kind = KindTraefikService
	r, err := New(fakeClient(t, `
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: checkout, namespace: shop}
spec: {mirroring: {name: checkout, port: 80}}
`, interceptor.Funcs{}), target)
	if err != nil {
		t.Fatal(err)
	}
	if got := observe(t, r); got.OK || got.Writable || !strings.Contains(got.Problem, "no rule has both") {
		t.Errorf("Observe() = %+v", got)
	}
}

const ingresses = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: checkout, namespace: shop}
spec:
  rules: [{host: checkout.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: checkout, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: checkout-canary
  namespace: shop
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"
    nginx.ingress.kubernetes.io/canary-by-header: X-Canary
spec:
  rules: [{host: checkout.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: checkout-canary, port: {number: 80}}}}]}}]
`

func ingressTarget() Target {
	target := httpTarget
	target.Kind, target.Name = KindIngress, "checkout-canary"
	return target
}

func TestIngress(t *testing.T) {
	contract{target: ingressTarget(), objects: ingresses, strip: func(o *unstructured.Unstructured) {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations", nginxWeight)
	}, edit: func(t *testing.T, c client.Client, percent int) {
		editJSON(t, c, KindIngress, "checkout-canary", operation{"add", "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight", "50"})
	}}.run(t)
}

func TestIngressesThatCannotCarryWeights(t *testing.T) {
	for _, tc := range []struct {
		reason, old, new, want string
	}{
		{"an ordinary Ingress has no weight", `canary: "true"`, `canary: "false"`, `nginx.ingress.kubernetes.io/canary]: is "false"`},
		{"another Service", "name: checkout-canary, port", "name: checkout, port", "does not have the canary Service checkout-canary"},
		{"another host", "metadata: {name: checkout, namespace: shop}\nspec:\n  rules: [{host: checkout.example", "metadata: {name: checkout, namespace: shop}\nspec:\n  rules: [{host: other.example", "no other Ingress of the namespace serves checkout.example"},
		{"a total that percents do not divide", "canary-by-header: X-Canary", `canary-weight-total: "150"`, `canary-weight-total]: is "150"`},
		{"a weight that is none", "canary-by-header: X-Canary", `canary-weight: "lots"`, `canary-weight]: is "lots"`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			r, err := New(fakeClient(t, strings.Replace(ingresses, tc.old, tc.new, 1), interceptor.Funcs{}), ingressTarget())
			if err != nil {
				t.Fatal(err)
			}
			problems, err := r.Preflight(t.Context())
			if err != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), tc.want) {
				t.Errorf("Preflight() = %v, %v, want %q", problems, err, tc.want)
			}
		})
	}
}

func TestIngressWithATotalOfItsOwn(t *testing.T) {
	c := fakeClient(t, strings.Replace(ingresses, "canary-by-header: X-Canary", `canary-weight-total: "1000"`, 1), interceptor.Funcs{})
	r, err := New(c, ingressTarget())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	_, in, err := r.(*nginxIngress).get(t.Context())
	if err != nil || in.Annotations[nginxWeight] != "50" {
		t.Errorf("canary-weight %q, %v, want 50 of 1000", in.Annotations[nginxWeight], err)
	}
	if got := observe(t, r); got.Weight != 5 {
		t.Errorf("Observe() = %+v", got)
	}
}

const deployments = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop}
spec: {replicas: 10, selector: {matchLabels: {track: stable}}, template: {spec: {containers: [{name: app, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout-canary, namespace: shop}
spec: {replicas: 0, selector: {matchLabels: {track: canary}}, template: {spec: {containers: [{name: app, image: b}]}}}
`

func replicasTarget() Target {
	return Target{Kind: KindReplicas, Namespace: "shop", StableWorkload: Workload{"Deployment", "checkout"}, CanaryWorkload: Workload{"Deployment", "checkout-canary"}}
}

func TestReplicas(t *testing.T) {
	contract{target: replicasTarget(), objects: deployments, strip: func(o *unstructured.Unstructured) {
		if o.GetName() == "checkout-canary" {
			unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
			unstructured.RemoveNestedField(o.Object, "spec", "replicas")
		}
	}, edit: func(t *testing.T, c client.Client, percent int) {
		editJSON(t, c, KindReplicas, "checkout-canary", operation{"add", "/spec/replicas", 10})
	}}.run(t)
}

func TestPodsOfAShare(t *testing.T) {
	for _, tc := range []struct {
		stable  int64
		percent int
		want    int64
	}{
		{10, 0, 0}, {10, 1, 1}, {10, 5, 1}, {10, 25, 4}, {10, 49, 10}, {10, 50, 10}, {10, 100, 10}, {1, 5, 1}, {30, 5, 2}, {0, 50, 1},
	} {
		if got := canaryPods(tc.stable, tc.percent); got != tc.want {
			t.Errorf("canaryPods(%d, %d) = %d, want %d", tc.stable, tc.percent, got, tc.want)
		}
	}
}

func TestAnAutoscalerOfStableIsNoEdit(t *testing.T) {
	c := fakeClient(t, deployments, interceptor.Funcs{})
	r, err := New(c, replicasTarget())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 25); err != nil {
		t.Fatal(err)
	}
	for stable, want := range map[int]State{
		14: {Weight: 25, OK: true, Writable: true},
		60: {Weight: 6, OK: true, Writable: true}, // 4 of 64: no longer about a quarter
	} {
		editJSON(t, c, KindReplicas, "checkout", operation{"add", "/spec/replicas", stable})
		if diff := cmp.Diff(want, observe(t, r)); diff != "" {
			t.Errorf("with %d stable pods (-want +got):\n%s", stable, diff)
		}
	}
}
