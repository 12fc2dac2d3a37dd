package canary

import (
	"fmt"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/traffic"
)

// Target returns the weights that a CanaryRelease moves.
func Target(c *v1alpha1.CanaryRelease) (traffic.Target, error) {
	t := traffic.Target{
		Namespace: c.Namespace,
		Stable:    c.Spec.Stable.Service, Canary: c.Spec.Canary.Service,
		StableWorkload: traffic.Workload(workload(c.Spec.Stable)), CanaryWorkload: traffic.Workload(workload(c.Spec.Canary)),
	}
	given := 0
	for kind, route := range map[traffic.Kind]*v1alpha1.Route{
		traffic.KindHTTPRoute:      c.Spec.Traffic.HTTPRoute,
		traffic.KindGRPCRoute:      c.Spec.Traffic.GRPCRoute,
		traffic.KindVirtualService: c.Spec.Traffic.VirtualService,
		traffic.KindIngress:        c.Spec.Traffic.Ingress,
		traffic.KindTraefikService: c.Spec.Traffic.TraefikService,
	} {
		if route != nil {
			given++
			t.Kind, t.Name = kind, route.Name
		}
	}
	if c.Spec.Traffic.Replicas != nil {
		given++
		t.Kind = traffic.KindReplicas
	}
	if given != 1 {
		return t, fmt.Errorf("spec.traffic: has %d of httpRoute, grpcRoute, virtualService, ingress, traefikService, replicas: want exactly one", given)
	}
	return t, nil
}

func workload(t v1alpha1.Track) v1alpha1.Workload {
	w := t.Workload
	if w.Kind == "" {
		w.Kind = "Deployment"
	}
	return w
}
