// Package v1alpha1 is the CanaryRelease of fairlead.dev/v1alpha1: what people
// write in spec, what the controller answers in status, and the annotations
// with which people act on a rollout that runs.
//
// Defaults of the analysis are those of package analysis and not repeated here;
// the schema has defaults only for what decides how a rollout goes, and a test
// holds them against package rollout.
//
// +kubebuilder:object:generate=true
// +groupName=fairlead.dev
package v1alpha1

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:allowDangerousTypes=true paths=. output:crd:dir=../../deploy/crds
