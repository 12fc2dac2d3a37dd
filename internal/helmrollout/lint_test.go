package helmrollout

import (
	"strings"
	"testing"

	"fairlead.dev/fairlead/api/v1alpha1"
)

// manifest is what a well-made chart renders for a release.
func manifest(release, track string) string {
	return strings.NewReplacer("RELEASE", release, "TRACK", track).Replace(`
apiVersion: v1
kind: Service
metadata: {name: RELEASE}
spec: {selector: {app: checkout, track: TRACK}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: RELEASE}
spec:
  selector: {matchLabels: {app: checkout, track: TRACK}}
  template:
    metadata: {labels: {app: checkout, track: TRACK}}
    spec: {containers: [{name: app, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: same-name-test, annotations: {helm.sh/hook: test}}
`)
}

func twoReleases() *v1alpha1.CanaryRelease {
	cr := canaryRelease()
	cr.Spec.Helm = &v1alpha1.Helm{Chart: "chart", Stable: "checkout", Canary: "checkout-canary"}
	cr.Spec.Stable = v1alpha1.Track{Service: "checkout", Workload: v1alpha1.Workload{Name: "checkout"}}
	cr.Spec.Canary = v1alpha1.Track{Service: "checkout-canary", Workload: v1alpha1.Workload{Name: "checkout-canary"}}
	cr.Spec.Traffic.HTTPRoute = &v1alpha1.Route{Name: "shop"}
	return cr
}

func TestLint(t *testing.T) {
	stable, canary := manifest("checkout", "stable"), manifest("checkout-canary", "canary")
	both := func(yaml string) [2]string {
		return [2]string{stable + "---" + strings.ReplaceAll(yaml, "RELEASE", "checkout"), canary + "---" + strings.ReplaceAll(yaml, "RELEASE", "checkout-canary")}
	}
	for _, tc := range []struct {
		reason    string
		manifests [2]string
		want      []string // in this order
		warning   bool
	}{
		{reason: "releases that are apart", manifests: [2]string{stable, canary}},
		{
			reason:    "an object without the release's name in its own",
			manifests: both("\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: checkout-reader}\n"),
			want:      []string{"ClusterRole /checkout-reader: is in both releases, and only one can own it"},
		},
		{
			reason:    "a migration as a hook",
			manifests: both("\napiVersion: batch/v1\nkind: Job\nmetadata: {name: RELEASE-migrate, annotations: {helm.sh/hook: 'pre-install,pre-upgrade'}}\n"),
			want:      []string{"Job shop/checkout-canary-migrate: is a hook (pre-install, pre-upgrade) of both releases and would run twice"},
		},
		{
			reason:    "a hook of stable alone",
			manifests: [2]string{stable + "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: checkout-migrate, annotations: {helm.sh/hook: pre-upgrade}}\n", canary},
		},
		{
			reason:    "a job that is due at night",
			manifests: both("\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: RELEASE-invoices}\n"),
			want:      []string{"CronJob shop/checkout-canary-invoices: is in both releases and would run twice"},
		},
		{
			reason:    "an Ingress that gives the canary traffic past the weights",
			manifests: both("\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: RELEASE}\nspec: {rules: [{host: shop.example}]}\n"),
			want:      []string{"Ingress shop/checkout-canary: serves host shop.example, which Ingress shop/checkout of release checkout serves, too"},
		},
		{
			reason:    "an Ingress that is the canary's on purpose",
			manifests: [2]string{stable + "---\nkind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: a}\nspec: {rules: [{host: h}]}\n", canary + "---\nkind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: b, annotations: {nginx.ingress.kubernetes.io/canary: 'true'}}\nspec: {rules: [{host: h}]}\n"},
		},
		{
			reason:    "a Service that selects by the application alone",
			manifests: [2]string{strings.Replace(stable, "spec: {selector: {app: checkout, track: stable}}", "spec: {selector: {app: checkout}}", 1), canary},
			want:      []string{"Service shop/checkout: of release checkout selects (app=checkout) the pods of Deployment shop/checkout-canary of release checkout-canary"},
		},
		{
			reason:    "the route is in the chart",
			manifests: [2]string{stable + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\n", canary},
			want:      []string{"HTTPRoute shop/shop: is the route whose weights move, and release checkout renders it"},
		},
		{
			reason:    "another name than the chart gives",
			manifests: [2]string{stable, strings.ReplaceAll(canary, "metadata: {name: checkout-canary}", "metadata: {name: checkout-canary-app}")},
			want:      []string{"Deployment shop/checkout-canary: is spec.canary.workload, but release checkout-canary renders no such object: it has Deployment checkout-canary-app", "Service shop/checkout-canary: is spec.canary.service"},
		},
		{
			reason:    "telemetry that cannot be told apart",
			manifests: [2]string{stable, strings.ReplaceAll(canary, "track: canary", "tier: canary")},
			want:      []string{"Deployment shop/checkout-canary: has no container with DEPLOYMENT_TRACK=canary"}, warning: true,
		},
		{
			reason:    "a list, and documents that are empty",
			manifests: [2]string{stable, canary + "---\n# nothing\n---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service, metadata: {name: checkout}}]\n"},
			want:      []string{"Service shop/checkout: is in both releases"},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			got, err := Lint(twoReleases(), []byte(tc.manifests[0]), []byte(tc.manifests[1]))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tc.want) {
				t.Fatalf("found %v, want %q", got, tc.want)
			}
			for i, f := range got {
				if !strings.HasPrefix(f.String(), tc.want[i]) || tc.warning != f.Warning && i == 0 {
					t.Errorf("found %q (warning %v), want %q", f, f.Warning, tc.want[i])
				}
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	const good = `
apiVersion: fairlead.dev/v1alpha1
kind: CanaryRelease
metadata: {name: checkout}
spec:
  service: checkout
  stable: {workload: {name: checkout}, service: checkout}
  canary: {workload: {name: checkout-canary}, service: checkout-canary}
  traffic: {httpRoute: {name: shop}}
  helm: {chart: ./chart, stable: checkout, canary: checkout-canary}
`
	cr, err := Prepare([]byte(good), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if cr.Namespace != "shop" || cr.Spec.Promotion.Strategy != "helm" || cr.Spec.Canary.Workload.Kind != "Deployment" {
		t.Errorf("Prepare() = %+v", cr)
	}
	for _, tc := range []struct{ old, new, want string }{
		{"helm: {chart: ./chart, stable: checkout, canary: checkout-canary}", "", "spec.helm is missing"},
		{"canary: checkout-canary}", "canary: checkout}", `spec.helm.canary: "checkout" is the stable release`},
		{"chart: ./chart, ", "", "spec.helm.chart is missing"},
		{"  service: checkout\n", "", "spec.service is missing"},
		{"httpRoute: {name: shop}", "", "spec.traffic: has 0 of"},
		{"service: checkout-canary}", "service: checkout}", `both the Service "checkout"`},
		{"{name: checkout-canary}, service", "{name: checkout}, service", `spec.canary.workload: "checkout" is the workload of stable`},
		{"{name: checkout-canary}, service", "{kind: DaemonSet, name: c}, service", `spec.canary.workload.kind: "DaemonSet"`},
		{"  helm:", "  promotion: {strategy: template}\n  helm:", `spec.promotion.strategy: "template"`},
		{"  helm:", "  steps: [{weight: 50}, {weight: 5}]\n  helm:", "spec.steps[1].weight: 5"},
		{"  helm:", "  stepz: []\n  helm:", "stepz"},
		{"kind: CanaryRelease", "kind: Canary", "want fairlead.dev/v1alpha1 CanaryRelease"},
		{"  helm:", "  analysis: {alpha: 3}\n  helm:", "spec.analysis.alpha = 3"},
	} {
		if _, err := Prepare([]byte(strings.Replace(good, tc.old, tc.new, 1)), "shop"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("with %q: %v, want %q", tc.new, err, tc.want)
		}
	}
}
