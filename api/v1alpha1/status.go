package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Types of conditions.
const (
	// ConditionAccepted is false while the spec or what it refers to cannot be
	// rolled out; the message names field and reason.
	ConditionAccepted = "Accepted"
	// ConditionProgressing is true from a rollout's start to its end. Its
	// reason is why it waits, or how it ended.
	ConditionProgressing = "Progressing"
	// ConditionAnalysisAvailable is false while verdicts cannot be had.
	ConditionAnalysisAvailable = "AnalysisAvailable"
	// ConditionRouteContested is true while somebody else keeps changing the weights.
	ConditionRouteContested = "RouteContested"
	// ConditionPromoted is true while stable runs the newest canary's version.
	ConditionPromoted = "Promoted"
)

// Bounds of the lists in status.
const (
	MaxFailedChecks = 10
	MaxSampleTraces = 10
)

// CanaryReleaseStatus is the controller's answer, and what a restart needs.
type CanaryReleaseStatus struct {
	// ObservedGeneration is the spec's generation that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// RolloutID is the identity of the rollout, fixed at its start.
	// +optional
	RolloutID string `json:"rolloutID,omitempty"`
	// TraceID is the rollout's trace.
	// +optional
	TraceID string `json:"traceID,omitempty"`
	// SpanID is the span under which a given traceparent puts the rollout; ""
	// without one.
	// +optional
	SpanID string `json:"spanID,omitempty"`
	// Phase is where the rollout is: Progressing, Promoting, Returning,
	// RollingBack, Succeeded, RolledBack, PromotionFailed; "" before the first.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Step is the current one of all, 2/4.
	// +optional
	Step string `json:"step,omitempty"`
	// Weight is the percent that the route gives the canary, as observed.
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// DesiredWeight is the percent that the rollout wants.
	// +optional
	DesiredWeight *int32 `json:"desiredWeight,omitempty"`
	// CanaryVersion and StableVersion are the versions that the pod templates tell.
	// +optional
	CanaryVersion string `json:"canaryVersion,omitempty"`
	// StableVersion is the version that stable's pod template tells.
	// +optional
	StableVersion string `json:"stableVersion,omitempty"`
	// Reason and Message say why the rollout waits, or how it ended.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message says it in words.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Message string `json:"message,omitempty"`
	// Verdict is the last look's.
	// +optional
	Verdict *Verdict `json:"verdict,omitempty"`
	// Retried is the value of the annotation fairlead.dev/retry that was answered.
	// +optional
	Retried string `json:"retried,omitempty"`
	// Progress is what a restart goes on from.
	// +optional
	Progress *Progress `json:"progress,omitempty"`
	// Parameters is the name of the ConfigMap with the frozen parameters of the
	// analysis.
	// +optional
	Parameters string `json:"parameters,omitempty"`
	// Conditions are Accepted, Progressing and their kin, as `kubectl wait` reads
	// them.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Verdict sums up a look of the analysis.
type Verdict struct {
	// Decision is promote, rollback or continue.
	// +optional
	Decision string `json:"decision,omitempty"`
	// Reason is passed, harm, insufficient_data, attribution, stable_unhealthy,
	// inconclusive or untestable.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message says it in words.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Message string `json:"message,omitempty"`
	// At is the end of the newest samples.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// CanaryRequests and CanaryErrors were served by the canary in this rollout:
	// the errors are the requests of users that it harmed.
	// +optional
	CanaryRequests int64 `json:"canaryRequests,omitempty"`
	// CanaryErrors are how many of them failed.
	// +optional
	CanaryErrors int64 `json:"canaryErrors,omitempty"`
	// StepIndex and StepRequests are the step, from 0, and the canary's requests
	// in it that the verdict counts.
	// +optional
	StepIndex int32 `json:"stepIndex,omitempty"`
	// StepRequests are the canary's requests in that step.
	// +optional
	StepRequests int64 `json:"stepRequests,omitempty"`
	// FailedChecks are the first of those that failed.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	FailedChecks []FailedCheck `json:"failedChecks,omitempty"`
	// Explanation is what the canary's failed traces have in common.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Explanation string `json:"explanation,omitempty"`
	// SampleTraces are ids of failed traces of the canary.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	SampleTraces []string `json:"sampleTraces,omitempty"`
	// Hash digests the evidence up to At: whoever folds the same samples again
	// gets the same.
	// +optional
	Hash string `json:"hash,omitempty"`
}

// FailedCheck is a check that showed harm.
type FailedCheck struct {
	// Metric is error_rate, p99_latency, ..., or a business check's name.
	Metric string `json:"metric"`
	// Route is "" for all routes together.
	// +optional
	Route string `json:"route,omitempty"`
	// Canary and Stable are the observed rates.
	// +optional
	Canary *float64 `json:"canary,omitempty"`
	// Stable is stable's observed rate.
	// +optional
	Stable *float64 `json:"stable,omitempty"`
}

// Progress is the state of package rollout, as it was persisted before the last
// action. It is the controller's; people read the fields above it.
type Progress struct {
	// Template is the hash of the pod template that is rolled out.
	// +optional
	Template string `json:"template,omitempty"`
	// Attempt counts the rollouts of it.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// Phase as in the status.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Step is an index into steps.
	// +optional
	Step int32 `json:"step,omitempty"`
	// Started is when the rollout began.
	// +optional
	Started *metav1.MicroTime `json:"started,omitempty"`
	// GateStarted is when the weight of the step was first observed.
	// +optional
	GateStarted *metav1.MicroTime `json:"gateStarted,omitempty"`
	// PhaseStarted is when its phase began.
	// +optional
	PhaseStarted *metav1.MicroTime `json:"phaseStarted,omitempty"`
	// Approved is the step up to which a person approved, from 1.
	// +optional
	Approved int32 `json:"approved,omitempty"`
	// Reason as in the status.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message as in the status.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Message string `json:"message,omitempty"`
	// Reasserts are how often the weight was set again because somebody else had
	// changed it.
	// +optional
	Reasserts int32 `json:"reasserts,omitempty"`
	// Contested is whether that happened too often.
	// +optional
	Contested bool `json:"contested,omitempty"`
	// StableReplicas is stable's size before the promotion.
	// +optional
	StableReplicas int32 `json:"stableReplicas,omitempty"`
	// Sized is how many replicas the canary was given, and Resizes how often
	// somebody else has set it to fewer in this step.
	// +optional
	Sized int32 `json:"sized,omitempty"`
	// Resizes are how often somebody else has set the canary to fewer replicas.
	// +optional
	Resizes int32 `json:"resizes,omitempty"`
	// LostSince is since when the canary has traffic and no ready pod.
	// +optional
	LostSince *metav1.MicroTime `json:"lostSince,omitempty"`
	// Answers of the webhooks of this step, by stage: pass or fail.
	// +kubebuilder:validation:MaxProperties=4
	// +optional
	Answers map[string]string `json:"answers,omitempty"`
	// Gates are when the weights of the rollout's steps were first observed:
	// the evidence is folded again from these.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Gates []metav1.MicroTime `json:"gates,omitempty"`
	// Untold are the newest changes, oldest first, for some seconds: a controller
	// that begins then tells them again, should the one before not have come to it.
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	// +optional
	Untold []Turn `json:"untold,omitempty"`
}

// MaxUntold bounds the changes in status that may have to be told again.
const MaxUntold = 8

// Turn is a change of phase, step or gate: when, and what was before it.
type Turn struct {
	// At is when it was decided.
	At metav1.MicroTime `json:"at"`
	// Message says what was decided.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Message string `json:"message,omitempty"`
	// Phase before it.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Step before it, as an index into steps.
	// +optional
	Step int32 `json:"step,omitempty"`
	// PhaseStarted is when the phase before it began.
	// +optional
	PhaseStarted *metav1.MicroTime `json:"phaseStarted,omitempty"`
	// GateStarted is when the gate before it began.
	// +optional
	GateStarted *metav1.MicroTime `json:"gateStarted,omitempty"`
}
