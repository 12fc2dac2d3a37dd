package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CanaryRelease rolls out what the canary workload runs, step by step, judged
// by the telemetry of both tracks. It refers to workloads, Services and a route
// that exist, and writes nothing of the route but two weights.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=canary;canaries,categories=all
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.step`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.status.weight`
// +kubebuilder:printcolumn:name="Decision",type=string,JSONPath=`.status.verdict.decision`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
type CanaryRelease struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   CanaryReleaseSpec   `json:"spec"`
	Status CanaryReleaseStatus `json:"status,omitempty,omitzero"`
}

// CanaryReleaseList is a list of CanaryReleases.
//
// +kubebuilder:object:root=true
type CanaryReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CanaryRelease `json:"items"`
}

// CanaryReleaseSpec is what people ask for.
//
// +kubebuilder:validation:XValidation:rule="self.stable.service != self.canary.service",fieldPath=".canary.service",message="must not be the Service of stable: each track needs a Service of its own"
// +kubebuilder:validation:XValidation:rule="self.stable.workload.kind != self.canary.workload.kind || self.stable.workload.name != self.canary.workload.name",fieldPath=".canary.workload",message="must not be the workload of stable: each track needs a workload of its own"
type CanaryReleaseSpec struct {
	// Service is the service.name of both tracks in telemetry.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service"`
	// Match are label equalities that tell the tracks apart in telemetry,
	// beside the service and the label of the track.
	// +optional
	Match *Match `json:"match,omitempty"`
	// Stable is the track that serves today.
	Stable Track `json:"stable"`
	// Canary is the track with the new version. Its pod template is what is
	// rolled out; a change of it begins a rollout.
	Canary Track `json:"canary"`
	// Traffic is the route whose weights are moved.
	Traffic Traffic `json:"traffic"`
	// Steps rise in weight and end at 100.
	// +kubebuilder:default={{weight:5,gate:"10m"},{weight:25,gate:"10m"},{weight:50,gate:"15m"},{weight:100}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:XValidation:rule="self.map(s, s.weight).isSorted()",message="weights must rise from step to step"
	// +kubebuilder:validation:XValidation:rule="self[self.size() - 1].weight == 100",message="the weight of the last step must be 100"
	// +listType=map
	// +listMapKey=weight
	Steps []Step `json:"steps,omitempty"`
	// Analysis judges the gates. What is left out has the default that
	// docs/how-canaries-are-judged.md gives.
	// +optional
	Analysis *Analysis `json:"analysis,omitempty"`
	// Source is where the samples are; the controller's own by default.
	// +optional
	Source *Source `json:"source,omitempty"`
	// Traces is where failed traces are searched; the controller's own by default.
	// +optional
	Traces *Traces `json:"traces,omitempty"`
	// Promotion is how stable gets the canary's version.
	// +kubebuilder:default={}
	Promotion Promotion `json:"promotion,omitempty,omitzero"`
	// OnInconclusive is what happens when the deadline comes without a decision.
	// +kubebuilder:default=rollback
	// +kubebuilder:validation:Enum=rollback;hold
	OnInconclusive string `json:"onInconclusive,omitempty"`
	// Deadline bounds the rollout, from its start to 100 %.
	// +kubebuilder:default="2h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Deadline *metav1.Duration `json:"deadline,omitempty"`
	// Pause keeps the weight where it is. A canary that harms is rolled back
	// nevertheless.
	// +optional
	Pause bool `json:"pause,omitempty"`
	// Webhooks are asked before weight rises, or told of a rollback.
	// +kubebuilder:validation:MaxItems=10
	// +listType=map
	// +listMapKey=name
	// +optional
	Webhooks []Webhook `json:"webhooks,omitempty"`
	// Windows are the times at which weight may rise; none is always.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Windows []Window `json:"windows,omitempty"`
	// Helm says how `fairlead rollout run` deploys both tracks. The controller
	// does not read it.
	// +optional
	Helm *Helm `json:"helm,omitempty"`
}

// Match are label equalities of both tracks' series.
type Match struct {
	// Canary are the label values of the canary's series.
	// +kubebuilder:validation:MaxProperties=10
	// +optional
	Canary map[string]string `json:"canary,omitempty"`
	// Stable are those of stable's.
	// +kubebuilder:validation:MaxProperties=10
	// +optional
	Stable map[string]string `json:"stable,omitempty"`
}

// Track is a workload and the Service in front of it.
type Track struct {
	Workload Workload `json:"workload"`
	// Service is the name of the Service that selects the workload's pods, and
	// is a backend of the route.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service"`
}

// Workload refers to a workload in the CanaryRelease's namespace. A DaemonSet
// has a pod on every node, so there are no replicas to give a canary its share
// of, and it is refused.
type Workload struct {
	// +kubebuilder:default=Deployment
	// +kubebuilder:validation:XValidation:rule="self in ['Deployment', 'StatefulSet']",message="must be Deployment or StatefulSet; a DaemonSet has a pod on every node and cannot be sized for a share of the traffic"
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`
	// Name of the workload.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Step is one stage of the rollout.
type Step struct {
	// Weight is the percent of the traffic that the canary gets. 0, which only the
	// first step can have, is a dark canary: its pods run, and only testers reach
	// them, by a rule of the route that is theirs.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Gate is how long the analysis watches before the next step; without it
	// there is no analysis at this step. At weight 0 it is a time to wait.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +optional
	Gate *metav1.Duration `json:"gate,omitempty"`
	// Approval waits for a person before the next step.
	// +optional
	Approval bool `json:"approval,omitempty"`
}

// Promotion is how stable gets the canary's version.
type Promotion struct {
	// Strategy is template (the controller copies the canary's pod template to
	// stable), helm (`fairlead rollout run` upgrades the stable release) or
	// external (whoever owns stable does; the controller waits).
	// +kubebuilder:default=template
	// +kubebuilder:validation:Enum=template;helm;external
	Strategy string `json:"strategy,omitempty"`
	// Timeout is how long stable may take to become ready in the new version.
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Keep are paths of the pod template that stay as stable has them, beside
	// the labels of the selector, the label track and DEPLOYMENT_TRACK:
	// metadata.annotations.example.org/team, spec.nodeSelector,
	// spec.containers[app].env[FEATURE].
	// +kubebuilder:validation:MaxItems=20
	// +listType=set
	// +optional
	Keep []string `json:"keep,omitempty"`
}

// Helm says how `fairlead rollout run` deploys both tracks of one chart.
type Helm struct {
	// Chart as `helm upgrade` takes it.
	Chart string `json:"chart"`
	// Version of the chart, where it comes from a repository.
	// +optional
	Version string `json:"version,omitempty"`
	// Stable and Canary are the names of the releases.
	Stable string `json:"stable"`
	// Canary is the name of the canary's release.
	Canary string `json:"canary"`
	// Values are files for both releases; CanaryValues come after them for the canary's.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Values []string `json:"values,omitempty"`
	// CanaryValues are files for the canary's release alone.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	CanaryValues []string `json:"canaryValues,omitempty"`
	// Set are key=value pairs for both releases, CanarySet for the canary's.
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	// +optional
	Set []string `json:"set,omitempty"`
	// CanarySet are key=value pairs for the canary's release alone.
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	// +optional
	CanarySet []string `json:"canarySet,omitempty"`
}
