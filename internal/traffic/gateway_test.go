package traffic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: checkout
  namespace: shop
  generation: 3
  annotations: {team: payments}
spec:
  parentRefs: [{name: gateway, namespace: default}]
  hostnames: [checkout.example]
  rules:
  - name: testers
    matches: [{headers: [{name: X-Canary, value: always}]}]
    backendRefs: [{name: checkout-canary, port: 80}]
  - name: main
    matches: [{path: {type: PathPrefix, value: /}}]
    fieldOfTheFuture: {kept: [1, 2.5, null]}
    backendRefs:
    - {name: checkout, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: b}]}}]}
    - {name: checkout-canary, port: 80, weight: 0}
status:
  parents:
  - parentRef: {name: gateway, namespace: default}
    controllerName: example/controller
    conditions:
    - {type: Accepted, status: "True", reason: Accepted, observedGeneration: 3}
    - {type: ResolvedRefs, status: "True", reason: ResolvedRefs, observedGeneration: 3}
`

var httpTarget = Target{Kind: KindHTTPRoute, Namespace: "shop", Name: "checkout", Stable: "checkout", Canary: "checkout-canary"}

func TestHTTPRoute(t *testing.T) {
	contract{target: httpTarget, objects: httpRoute, strip: stripWeights, edit: editGateway(KindHTTPRoute)}.run(t)
}

func TestGRPCRoute(t *testing.T) {
	target := httpTarget
	target.Kind = KindGRPCRoute
	contract{target: target, objects: strings.ReplaceAll(httpRoute, "HTTPRoute", "GRPCRoute"), strip: stripWeights, edit: editGateway(KindGRPCRoute)}.run(t)
}

func editGateway(kind Kind) func(*testing.T, client.Client, int) {
	return func(t *testing.T, c client.Client, percent int) {
		editJSON(t, c, kind, "checkout",
			operation{"add", "/spec/rules/1/backendRefs/0/weight", 100 - percent},
			operation{"add", "/spec/rules/1/backendRefs/1/weight", percent})
	}
}

func TestTheRuleForTestersIsLeftAlone(t *testing.T) {
	c := fakeClient(t, httpRoute, interceptor.Funcs{})
	r, err := New(c, httpTarget)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 25); err != nil {
		t.Fatal(err)
	}
	o, err := r.(*weighted).get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rules := gatewayLayout{}.rules(o, httpTarget)
	got := [][]int64{}
	for _, r := range rules {
		var weights []int64
		for _, b := range r.backends {
			weights = append(weights, b.weight)
		}
		got = append(got, weights)
	}
	if diff := cmp.Diff([][]int64{{1}, {75, 25}}, got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
}

func TestHTTPRouteStates(t *testing.T) {
	replace := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(httpRoute) }
	for _, tc := range []struct {
		reason, object string
		rules          []string
		want           State
		problem        string // in Observe
		preflight      []Code
	}{
		{
			reason: "a Gateway that has not looked at the newest weights may still route by old ones",
			object: replace("observedGeneration: 3", "observedGeneration: 2"),
			want:   State{Writable: true}, problem: "Gateway gateway has seen generation 2 of 3", preflight: []Code{CodeNotAccepted},
		},
		{
			reason: "nobody serves the route",
			object: replace("name: gateway, namespace: default}\n    controller", "name: elsewhere}\n    controller"),
			want:   State{Writable: true}, problem: "no Gateway has accepted the route", preflight: []Code{CodeNotAccepted},
		},
		{
			reason: "the only Gateway refuses it",
			object: replace(`Accepted, status: "True", reason: Accepted`, `Accepted, status: "False", reason: NoMatchingListenerHostname, message: no listener`),
			want:   State{Writable: true}, problem: "refuses the route: NoMatchingListenerHostname: no listener", preflight: []Code{CodeNotAccepted},
		},
		{
			reason: "a backend that cannot be resolved answers with errors",
			object: replace(`ResolvedRefs, status: "True", reason: ResolvedRefs`, `ResolvedRefs, status: "False", reason: BackendNotFound`),
			want:   State{Writable: true}, problem: "cannot resolve a backend: BackendNotFound", preflight: []Code{CodeNotAccepted},
		},
		{
			reason: "the canary is no backend",
			object: replace("    - {name: checkout-canary, port: 80, weight: 0}\n", ""),
			want:   State{}, problem: "no rule has both Services checkout and checkout-canary", preflight: []Code{CodeBackends},
		},
		{
			reason: "a Service of the same name elsewhere is another",
			object: replace("- {name: checkout-canary, port: 80, weight: 0}", "- {name: checkout-canary, namespace: test, port: 80, weight: 0}"),
			want:   State{}, problem: "no rule has both", preflight: []Code{CodeBackends},
		},
		{
			reason: "which of two entries is meant cannot be known",
			object: replace("- {name: checkout-canary, port: 80, weight: 0}", "- {name: checkout-canary, port: 80, weight: 0}\n    - {name: checkout-canary, port: 81, weight: 0}"),
			want:   State{}, problem: "spec.rules[1].backendRefs: names Service checkout-canary twice", preflight: []Code{CodeBackends},
		},
		{
			reason: "absent weights are 1",
			object: replace(", weight: 0", ""),
			want:   State{Weight: 50, OK: true, Writable: true},
		},
		{
			reason: "a share below one percent is not nothing",
			object: replace("weight: 0", "weight: 1", "- {name: checkout, port: 80,", "- {name: checkout, port: 80, weight: 999,"),
			want:   State{Weight: 1, OK: true, Writable: true},
		},
		{
			reason: "both weights 0 serve nobody",
			object: replace("- {name: checkout, port: 80,", "- {name: checkout, port: 80, weight: 0,"),
			want:   State{Writable: true}, problem: "both weights are 0", preflight: []Code{CodeWeights},
		},
		{
			reason: "another backend with a share that whole percents do not divide",
			object: replace("weight: 0}", "weight: 0}\n    - {name: audit, port: 80, weight: 1}"),
			want:   State{OK: true, Writable: true}, preflight: []Code{CodeWeights},
		},
		{
			reason: "another backend without weight is in nobody's way",
			object: replace("weight: 0}", "weight: 0}\n    - {name: audit, port: 80, weight: 0}"),
			want:   State{OK: true, Writable: true},
		},
		{
			reason: "a rule is meant by name",
			object: httpRoute, rules: []string{"main"},
			want: State{OK: true, Writable: true},
		},
		{
			reason: "a rule is meant by index",
			object: httpRoute, rules: []string{"1"},
			want: State{OK: true, Writable: true},
		},
		{
			reason: "a rule that is meant lacks stable",
			object: httpRoute, rules: []string{"testers"},
			want: State{}, problem: "spec.rules[0].backendRefs: lacks the stable Service checkout", preflight: []Code{CodeBackends},
		},
		{
			reason: "a rule that does not exist",
			object: httpRoute, rules: []string{"main", "nope"},
			want: State{Writable: true}, problem: `has no rule "nope"`, preflight: []Code{CodeBackends},
		},
		{
			reason: "Argo CD would set the weights back",
			object: replace("{team: payments}", "{argocd.argoproj.io/tracking-id: 'shop:gateway/HTTPRoute:shop/checkout'}"),
			want:   State{OK: true, Writable: true}, preflight: []Code{CodeOwned},
		},
		{
			reason: "Argo CD leaves the weights alone, as somebody says",
			object: replace("{team: payments}", "{argocd.argoproj.io/tracking-id: 'shop:gateway/HTTPRoute:shop/checkout', fairlead.dev/weights-ignored: 'true'}"),
			want:   State{OK: true, Writable: true},
		},
		{
			reason: "Helm would set the weights back",
			object: replace("{team: payments}", "{meta.helm.sh/release-name: checkout}"),
			want:   State{OK: true, Writable: true}, preflight: []Code{CodeOwned},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			target := httpTarget
			target.Rules = tc.rules
			r, err := New(fakeClient(t, tc.object, interceptor.Funcs{}), target)
			if err != nil {
				t.Fatal(err)
			}
			got := observe(t, r)
			if !strings.Contains(got.Problem, tc.problem) || (tc.problem == "") != (got.Problem == "") {
				t.Errorf("Problem = %q, want %q in it", got.Problem, tc.problem)
			}
			got.Problem = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("State (-want +got):\n%s", diff)
			}
			problems, err := r.Preflight(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var codes []Code
			for _, p := range problems {
				codes = append(codes, p.Code)
			}
			if diff := cmp.Diff(tc.preflight, codes); diff != "" {
				t.Errorf("Preflight (-want +got):\n%s\n%v", diff, problems)
			}
		})
	}
}

func TestSharesOfOtherBackendsStay(t *testing.T) {
	object := strings.NewReplacer("- {name: checkout, port: 80,", "- {name: checkout, port: 80, weight: 200,",
		"weight: 0}", "weight: 0}\n    - {name: audit, port: 80, weight: 7}").Replace(httpRoute)
	c := fakeClient(t, object, interceptor.Funcs{})
	r, err := New(c, httpTarget)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	o, err := r.(*weighted).get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := gatewayLayout{}.rules(o, httpTarget)[1].backends
	if got := []int64{b[0].weight, b[1].weight, b[2].weight}; !cmp.Equal(got, []int64{190, 10, 7}) {
		t.Errorf("weights %v, want [190 10 7]", got)
	}
}

func TestWeightsThatCannotBeGiven(t *testing.T) {
	object := strings.Replace(httpRoute, "weight: 0}", "weight: 0}\n    - {name: audit, port: 80, weight: 1}", 1)
	c := fakeClient(t, object, interceptor.Funcs{})
	r, err := New(c, httpTarget)
	if err != nil {
		t.Fatal(err)
	}
	err = r.SetWeight(t.Context(), 5)
	if err == nil || !strings.Contains(err.Error(), "spec.rules[1].backendRefs: checkout and checkout-canary have 1 of the rule's weight together, of which 5 % cannot be given") {
		t.Errorf("SetWeight(5) = %v", err)
	}
	if err := r.SetWeight(t.Context(), 100); err != nil { // whole: 1 of 1
		t.Error(err)
	}
}

func TestTargetsThatMakeNoSense(t *testing.T) {
	for _, tc := range []struct {
		change func(*Target)
		want   string
	}{
		{func(t *Target) { t.Namespace = "" }, "namespace is missing"},
		{func(t *Target) { t.Name = "" }, "the name of the HTTPRoute is missing"},
		{func(t *Target) { t.Stable = "" }, "the stable Service is missing"},
		{func(t *Target) { t.Canary = "" }, "the canary Service is missing"},
		{func(t *Target) { t.Canary = "checkout" }, `both the Service "checkout"`},
		{func(t *Target) { t.Kind = "Route" }, `kind "Route": want one of HTTPRoute`},
	} {
		target := httpTarget
		tc.change(&target)
		if _, err := New(nil, target); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v) = %v, want %q", target, err, tc.want)
		}
	}
}
