package canary_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
	"fairlead.dev/fairlead/internal/traffic"
)

func TestTarget(t *testing.T) {
	route := &v1alpha1.Route{Name: "checkout"}
	for _, tc := range []struct {
		traffic v1alpha1.Traffic
		want    traffic.Kind
		err     string
	}{
		{traffic: v1alpha1.Traffic{HTTPRoute: route}, want: traffic.KindHTTPRoute},
		{traffic: v1alpha1.Traffic{GRPCRoute: route}, want: traffic.KindGRPCRoute},
		{traffic: v1alpha1.Traffic{VirtualService: route}, want: traffic.KindVirtualService},
		{traffic: v1alpha1.Traffic{Ingress: route}, want: traffic.KindIngress},
		{traffic: v1alpha1.Traffic{TraefikService: route}, want: traffic.KindTraefikService},
		{traffic: v1alpha1.Traffic{Replicas: &v1alpha1.Replicas{}}, want: traffic.KindReplicas},
		{err: "spec.traffic: has 0 of httpRoute"},
		{traffic: v1alpha1.Traffic{HTTPRoute: route, Replicas: &v1alpha1.Replicas{}}, err: "spec.traffic: has 2 of"},
	} {
		c := &v1alpha1.CanaryRelease{}
		c.Namespace = "shop"
		c.Spec.Stable = v1alpha1.Track{Service: "checkout", Workload: v1alpha1.Workload{Name: "web"}}
		c.Spec.Canary = v1alpha1.Track{Service: "checkout-canary", Workload: v1alpha1.Workload{Kind: "StatefulSet", Name: "web-canary"}}
		c.Spec.Traffic = tc.traffic
		got, err := canary.Target(c)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			continue
		}
		want := traffic.Target{
			Kind: tc.want, Namespace: "shop", Stable: "checkout", Canary: "checkout-canary",
			StableWorkload: traffic.Workload{Kind: "Deployment", Name: "web"}, CanaryWorkload: traffic.Workload{Kind: "StatefulSet", Name: "web-canary"},
		}
		if tc.want != traffic.KindReplicas {
			want.Name = "checkout"
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tc.want, err, diff)
		}
	}
}
