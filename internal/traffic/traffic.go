// Package traffic moves a share of the requests between a stable and a canary
// Service, on what already routes them: a Gateway API route, an Istio
// VirtualService, an Ingress of ingress-nginx, a TraefikService, or the numbers
// of pods behind one Service.
//
// Start with [New]. A [Router] owns two weights and nothing else: every other
// field of the object stays as it is, whoever writes it, and a write that meets
// a changed object is made again on what it became. Objects are read and patched
// as unstructured, so that fields this package has never heard of survive; a
// manager's client must cache unstructured objects if reads are to come from its
// cache.
package traffic

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Router reads and sets what share of the requests the canary gets.
type Router interface {
	// Observe says what the route shows now. An error means that it could not be
	// asked; a route that is gone or not accepted is a State that is not OK.
	Observe(ctx context.Context) (State, error)
	// SetWeight gives the canary percent of the requests, 0 to 100, and the rest
	// to stable. It writes nothing where the route shows that already, and
	// returns as soon as the API server has it: whether the data plane has
	// accepted it, Observe tells.
	SetWeight(ctx context.Context, percent int) error
	// Preflight returns what must be mended before weights can be moved, or
	// nothing. It changes nothing.
	Preflight(ctx context.Context) ([]Problem, error)
}

// State is what a route shows.
type State struct {
	// Weight is the percentage that the canary gets of what stable and canary
	// get together. Any share above nothing is at least 1, and any below all at
	// most 99. Where rules differ it is their mean.
	Weight int
	// OK is set when the route exists, has both backends and its data plane has
	// accepted it as it is now. Problem says what is missing.
	OK      bool
	Problem string
	// Writable is set when SetWeight has something to write to: the route exists
	// and has both backends, accepted or not. Taking the canary's traffic away
	// must not wait for more than that.
	Writable bool
}

// Kind is what carries the weights.
type Kind string

// The kinds, in the words of the objects.
const (
	KindHTTPRoute      Kind = "HTTPRoute"
	KindGRPCRoute      Kind = "GRPCRoute"
	KindVirtualService Kind = "VirtualService"
	KindIngress        Kind = "Ingress"
	KindTraefikService Kind = "TraefikService"
	KindReplicas       Kind = "Replicas"
)

// GroupVersionKind returns the object to read, write and watch. For
// KindReplicas it is a Deployment.
func (k Kind) GroupVersionKind() schema.GroupVersionKind {
	switch k {
	case KindHTTPRoute, KindGRPCRoute:
		return schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: string(k)}
	case KindVirtualService:
		return schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: string(k)}
	case KindTraefikService:
		return schema.GroupVersionKind{Group: "traefik.io", Version: "v1alpha1", Kind: string(k)}
	case KindIngress:
		return schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: string(k)}
	default:
		return schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	}
}

// Target says which weights of which object are meant.
type Target struct {
	Kind      Kind
	Namespace string
	// Name of the object. For KindIngress it is the Ingress of the canary.
	Name string
	// Stable and Canary are the names of the Services, in Namespace.
	Stable, Canary string
	// Rules selects rules of the object by name, or by index where no rule has
	// the name. Empty: every rule that has both Services as backends.
	Rules []string
	// StableWorkload and CanaryWorkload are the workloads whose pods make the
	// ratio. Only for KindReplicas.
	StableWorkload, CanaryWorkload Workload
}

// Workload names a Deployment or StatefulSet.
type Workload struct{ Kind, Name string }

// Code says what kind of thing a problem is, for callers that act on some.
type Code string

// The codes.
const (
	CodeNotFound    Code = "NotFound"    // the object is not there
	CodeBackends    Code = "Backends"    // a rule lacks a backend, or has it twice
	CodeWeights     Code = "Weights"     // whole percents cannot be given
	CodeNotAccepted Code = "NotAccepted" // the data plane does not serve it as it is
	CodeOwned       Code = "Owned"       // somebody else writes the object and would reset the weights
	CodeTarget      Code = "Target"      // what was asked for makes no sense
)

// Problem is one thing that must be mended before weights can be moved.
type Problem struct {
	Code Code
	// Object and Field say where, such as "HTTPRoute shop/checkout" and
	// "spec.rules[0].backendRefs".
	Object, Field string
	// Reason says what is wrong and what to do.
	Reason string
}

func (p Problem) String() string {
	if p.Field == "" {
		return p.Object + ": " + p.Reason
	}
	return p.Object + ": " + p.Field + ": " + p.Reason
}

// New returns the router of a target. It asks nothing; an error names the field
// of the target that cannot be.
func New(c client.Client, t Target) (Router, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	switch t.Kind {
	case KindHTTPRoute, KindGRPCRoute:
		return &weighted{client: c, target: t, layout: gatewayLayout{}}, nil
	case KindVirtualService:
		return &weighted{client: c, target: t, layout: istioLayout{}}, nil
	case KindTraefikService:
		return &weighted{client: c, target: t, layout: traefikLayout{}}, nil
	case KindIngress:
		return &nginxIngress{client: c, target: t}, nil
	case KindReplicas:
		return &replicas{client: c, target: t}, nil
	default:
		return nil, fmt.Errorf("traffic: kind %q: want one of %s, %s, %s, %s, %s, %s", t.Kind,
			KindHTTPRoute, KindGRPCRoute, KindVirtualService, KindIngress, KindTraefikService, KindReplicas)
	}
}

func (t Target) validate() error {
	switch {
	case t.Namespace == "":
		return fmt.Errorf("traffic: namespace is missing")
	case t.Kind == KindReplicas && (t.StableWorkload.Name == "" || t.CanaryWorkload.Name == "" || t.StableWorkload == t.CanaryWorkload):
		return fmt.Errorf("traffic: replicas: stable workload %q and canary workload %q: want two", t.StableWorkload.Name, t.CanaryWorkload.Name)
	case t.Kind == KindReplicas:
		return nil
	case t.Name == "":
		return fmt.Errorf("traffic: the name of the %s is missing", t.Kind)
	case t.Stable == "":
		return fmt.Errorf("traffic: the stable Service is missing")
	case t.Canary == "":
		return fmt.Errorf("traffic: the canary Service is missing")
	case t.Stable == t.Canary:
		return fmt.Errorf("traffic: stable and canary are both the Service %q: traffic cannot be split between a Service and itself", t.Stable)
	}
	return nil
}

func (t Target) object() string { return fmt.Sprintf("%s %s/%s", t.Kind, t.Namespace, t.Name) }
