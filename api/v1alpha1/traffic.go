package v1alpha1

// Traffic is the route whose weights are moved: exactly one kind.
//
// +kubebuilder:validation:XValidation:rule="[has(self.httpRoute), has(self.grpcRoute), has(self.virtualService), has(self.ingress), has(self.traefikService), has(self.replicas)].filter(x, x).size() == 1",message="set exactly one of httpRoute, grpcRoute, virtualService, ingress, traefikService, replicas"
type Traffic struct {
	// HTTPRoute of the Gateway API. Only the weights of the backends that are
	// the two Services are written, in the rules that have both; a rule with the
	// canary alone, for testers with a header, is left as it is.
	// +optional
	HTTPRoute *Route `json:"httpRoute,omitempty"`
	// GRPCRoute of the Gateway API.
	// +optional
	GRPCRoute *Route `json:"grpcRoute,omitempty"`
	// VirtualService of Istio.
	// +optional
	VirtualService *Route `json:"virtualService,omitempty"`
	// Ingress is the canary Ingress of ingress-nginx, which has the annotation
	// nginx.ingress.kubernetes.io/canary and the canary's Service.
	// +optional
	Ingress *Route `json:"ingress,omitempty"`
	// TraefikService with weighted services.
	// +optional
	TraefikService *Route `json:"traefikService,omitempty"`
	// Replicas splits by the number of pods behind one more Service that selects
	// both tracks; no router takes part.
	// +optional
	Replicas *Replicas `json:"replicas,omitempty"`
}

// Route refers to a route in the CanaryRelease's namespace.
type Route struct {
	// Name of the object, in the CanaryRelease's namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Replicas has no settings yet.
type Replicas struct{}
