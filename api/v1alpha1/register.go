package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of this package's types.
var GroupVersion = schema.GroupVersion{Group: "fairlead.dev", Version: "v1alpha1"}

// Kind and Resource are the names of CanaryRelease in the API.
const (
	Kind     = "CanaryRelease"
	Resource = "canaryreleases"
)

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &CanaryRelease{}, &CanaryReleaseList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
