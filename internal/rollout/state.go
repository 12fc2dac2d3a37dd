package rollout

import "time"

// Phase is where a rollout is.
type Phase string

// The phases. Succeeded, RolledBack and PromotionFailed are ends: a new canary
// version, or a retry, begins again.
const (
	PhaseIdle            Phase = ""                // no rollout yet, or nothing new to roll out
	PhaseProgressing     Phase = "Progressing"     // at a step: sizing, shifting, gating
	PhasePromoting       Phase = "Promoting"       // canary has all traffic, stable is upgraded
	PhaseReturning       Phase = "Returning"       // stable is ready in the new version and gets the traffic back
	PhaseRollingBack     Phase = "RollingBack"     // weight to 0, then the rest
	PhaseSucceeded       Phase = "Succeeded"       // stable runs the canary's version
	PhaseRolledBack      Phase = "RolledBack"      // stable has all traffic, the canary is gone
	PhasePromotionFailed Phase = "PromotionFailed" // stable did not become ready; the canary keeps serving
)

// Ended reports whether the phase is an end.
func (p Phase) Ended() bool {
	return p == PhaseSucceeded || p == PhaseRolledBack || p == PhasePromotionFailed
}

// State is what a restart needs. The caller persists it as it is.
type State struct {
	// Template identifies the canary version that this rollout is about. Attempt
	// counts rollouts, so that both together make an id that does not come again.
	Template string `json:"template,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`

	Phase   Phase     `json:"phase,omitempty"`
	Step    int       `json:"step"`    // index into Plan.Steps
	Started time.Time `json:"started"` // of the rollout
	// GateStarted is when the step's weight was first observed; zero while it is
	// not. Evidence of the step counts from here.
	GateStarted time.Time `json:"gateStarted,omitzero"`
	// PhaseStarted is when the phase began.
	PhaseStarted time.Time `json:"phaseStarted,omitzero"`
	// Approved is the step up to which a person has approved, plus one.
	Approved int `json:"approved,omitempty"`

	// Reason and Message say why the rollout is rolled back or ended.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`

	// Reasserts counts how often the route was set back after somebody else
	// changed it, since the step began.
	Reasserts int `json:"reasserts,omitempty"`
	// Contested is set when that was in vain: nothing is moved until the route
	// is as it should be, or the rollout is aborted.
	Contested bool `json:"contested,omitempty"`

	// StableReplicas is how many replicas stable wanted when the rollout began.
	StableReplicas int32 `json:"stableReplicas,omitempty"`
	// Sized is how many replicas the canary was given, and Resizes how often
	// somebody else has set it to fewer since the step began.
	Sized   int32 `json:"sized,omitempty"`
	Resizes int   `json:"resizes,omitempty"`
	// LostSince is since when the canary has traffic and no ready pod, although
	// stable has; zero while it is not so.
	LostSince time.Time `json:"lostSince,omitzero"`
}

// Reason is why a rollout was rolled back, ended or waits, in the words of a
// condition.
type Reason string

// The reasons.
const (
	ReasonAnalysis         Reason = "AnalysisFailed"   // the verdict was rollback
	ReasonCanaryBroken     Reason = "CanaryBroken"     // Kubernetes knows: crash loop, image, no pod left
	ReasonAborted          Reason = "Aborted"          // a person
	ReasonInconclusive     Reason = "Inconclusive"     // the deadline came without a decision
	ReasonWebhook          Reason = "WebhookFailed"    // a webhook said no
	ReasonSuperseded       Reason = "Superseded"       // a new canary version in the middle
	ReasonDeleted          Reason = "Deleted"          // the resource goes
	ReasonPromoted         Reason = "Promoted"         // the end that was wished for
	ReasonStableNotReady   Reason = "StableNotReady"   // the promotion failed
	ReasonPaused           Reason = "Paused"           // waits for a person to resume
	ReasonApproval         Reason = "AwaitingApproval" // waits for a person to approve
	ReasonGate             Reason = "Gate"             // waits for the gate's time and verdict
	ReasonAnalysisError    Reason = "AnalysisError"    // could not ask; holds
	ReasonSizing           Reason = "SizingCanary"     // waits for canary pods
	ReasonShifting         Reason = "ShiftingTraffic"  // waits for the route to show the weight
	ReasonWindow           Reason = "OutsideWindow"    // waits for a time when weight may rise
	ReasonRouteContested   Reason = "RouteContested"   // somebody else keeps changing the weights
	ReasonRouteUnavailable Reason = "RouteUnavailable" // the route is gone or not accepted
	ReasonPromoting        Reason = "PromotingStable"  // waits for stable in the new version
	ReasonNothingNew       Reason = "NothingToDo"      // waits for a new canary version
	ReasonCallingWebhook   Reason = "CallingWebhook"   // waits for a webhook's answer
	ReasonHold             Reason = "HeldAtDeadline"   // onInconclusive: hold
)

// Stage is when webhooks are called.
type Stage string

// The stages.
const (
	StageBeforeStep    Stage = "beforeStep"
	StageGate          Stage = "gate"
	StagePromotion     Stage = "promotion"
	StageAfterRollback Stage = "afterRollback"
)

// Answer is what the webhooks of a stage said.
type Answer string

// The answers.
const (
	AnswerNone Answer = "none" // not asked yet; none configured is AnswerPass
	AnswerPass Answer = "pass"
	AnswerFail Answer = "fail"
)

// Decision is a verdict's decision, in package analysis' words.
type Decision string

// The decisions. DecisionNone is a verdict that is not there yet.
const (
	DecisionNone     Decision = ""
	DecisionPromote  Decision = "promote"
	DecisionRollback Decision = "rollback"
	DecisionContinue Decision = "continue"
)

// Workload is what is observed of the stable or canary workload.
type Workload struct {
	Exists  bool
	Desired int32 // replicas wanted
	Ready   int32 // replicas ready, of the newest template
	Updated bool  // all replicas are of the newest template, the old ones gone
	// Broken says why it will not become ready, as far as Kubernetes knows; "" = it may.
	Broken string
}

// Observation is what the world looks like now.
type Observation struct {
	Now time.Time

	Template string // identifies the canary workload's pod template
	Canary   Workload
	Stable   Workload
	// StablePromoted is set when stable's template is the canary's.
	StablePromoted bool

	// RouteOK is false when the route is gone, lacks the backends or is not
	// accepted at its current generation; RouteProblem says which.
	RouteOK bool
	// RouteWritable is set when the route exists and has both backends, accepted
	// or not: taking the canary's traffic away needs no more.
	RouteWritable bool
	RouteProblem  string
	Weight        int // percent that the route gives the canary now

	// Verdict is the analysis of the current step. Error says that it could not
	// be asked; it is then no verdict.
	Verdict        Decision
	VerdictReason  string
	VerdictMessage string
	Error          string

	// Webhooks holds the answers of the stages of this step.
	Webhooks map[Stage]Answer

	Paused   bool
	Abort    bool // a person aborts
	Retry    bool // a person asks for another attempt after an end
	Approve  bool // a person approves the current step
	Deleting bool // the resource is being deleted
	InWindow bool // weight may rise now
}
