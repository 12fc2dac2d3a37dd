package analysis

import "time"

// SchemaVersion is the version of Verdict's JSON.
const SchemaVersion = 1

// Decision is what to do with the canary.
type Decision string

// The decisions.
const (
	Promote  Decision = "promote"  // this step has shown enough: more traffic, or done
	Rollback Decision = "rollback" // the canary harms
	Continue Decision = "continue" // neither is known yet
)

// Reason is why a decision is what it is.
type Reason string

// The reasons.
const (
	ReasonPassed           Reason = "passed"            // promote
	ReasonHarm             Reason = "harm"              // rollback
	ReasonInsufficientData Reason = "insufficient_data" // continue: requests or time are missing
	ReasonAttribution      Reason = "attribution"       // continue: the tracks cannot be told apart, or the traffic is off its weight
	ReasonStableUnhealthy  Reason = "stable_unhealthy"  // continue: stable itself is ill, no blame
	ReasonInconclusive     Reason = "inconclusive"      // continue: the gate's time and its extension are over, a human or the deadline decides
	ReasonUntestable       Reason = "untestable"        // continue: a required check cannot be tested
)

// Verdict is a decision with its evidence. Its JSON is an interface: the names
// below `results` and `analysis_duration_minutes` are the specification's.
type Verdict struct {
	SchemaVersion int      `json:"schemaVersion"`
	Decision      Decision `json:"decision"`
	Reason        Reason   `json:"reason"`
	// Message is one sentence for people.
	Message string  `json:"message"`
	Results Results `json:"results"`
	// DurationMinutes is the canary's age within the step, or since its start.
	DurationMinutes float64 `json:"analysis_duration_minutes"`
	Rule            Rule    `json:"rule"`
	// At is the end of the newest interval.
	At   time.Time   `json:"at"`
	Step StepContext `json:"step"`
	// Evidence sums the checks up; only the sequential rule has it.
	Evidence *Evidence `json:"evidence,omitempty"`
	// Checks are sorted: failed first, then by weight of evidence.
	Checks []Check `json:"checks"`
	// Attributed are the checks that the harm was traced to, as "metric" or
	// "metric route"; at a rollback by the sequential rule.
	Attributed []string `json:"attributed,omitempty"`
	// Excess is where the events of those metrics are that the canary has beyond
	// what stable's rates make expect, most first.
	Excess   []RouteExcess `json:"excess,omitempty"`
	Problems []Problem     `json:"problems,omitempty"`
	// Hash is a digest of the fold's state: equal hashes, equal evidence.
	Hash string `json:"hash,omitempty"`
}

// Results are the two comparisons everybody asks for. nil: no data.
type Results struct {
	ErrorRate  *ErrorRateResult `json:"error_rate"`
	P99Latency *LatencyResult   `json:"p99_latency"`
}

// ErrorRateResult compares error rates (0..1).
type ErrorRateResult struct {
	Canary float64 `json:"canary"`
	Stable float64 `json:"stable"`
	Diff   float64 `json:"diff"` // canary - stable
	Passed bool    `json:"passed"`
}

// LatencyResult compares a quantile of the latency.
type LatencyResult struct {
	CanaryMS    float64 `json:"canary_ms"`
	StableMS    float64 `json:"stable_ms"`
	IncreasePct float64 `json:"increase_pct"` // percent of stable: 20 is one fifth more; 0 when stable is 0
	Passed      bool    `json:"passed"`
}

// RouteExcess is one route's part of the excess of a harmed metric.
type RouteExcess struct {
	Metric string  `json:"metric"`
	Route  string  `json:"route"`
	Events float64 `json:"events"` // the canary's, in this step: errors, or slow requests
	Excess float64 `json:"excess"` // those beyond stable's rate on the route
	Of     float64 `json:"of"`     // the excess of all routes that have one

	row int
}

// CheckState is what is known about one check.
type CheckState string

// The states of a check.
const (
	CheckPassed       CheckState = "passed"       // no harm beyond the margin, shown with the evidence asked for
	CheckFailed       CheckState = "failed"       // harm
	CheckInconclusive CheckState = "inconclusive" // neither
	CheckNoData       CheckState = "no_data"      // its series are missing
	CheckUntestable   CheckState = "untestable"   // its series cannot answer, Note says why
)

// Check is one comparison with its evidence.
type Check struct {
	Metric string `json:"metric"` // error_rate, p50_latency, p99_latency, p999_latency, or a business check's name
	Route  string `json:"route"`  // "" is all routes together
	// State is the long form of Passed.
	State    CheckState `json:"state"`
	Passed   bool       `json:"passed"`
	Required bool       `json:"required,omitempty"`
	Counts   Counts     `json:"counts"`
	// Estimate is the observed rate of both tracks and their difference.
	Estimate *Estimate `json:"estimate"`
	// Interval holds the true difference at every time at once, with the
	// probability Level; nil without data.
	Interval *Bounds `json:"interval"`
	// Margin is what counts as no harm: canary <= Relative*stable + Absolute.
	Margin Margin `json:"margin"`
	// Bound is the latency in seconds above which requests were counted.
	Bound float64 `json:"bound,omitempty"`
	// LogEvidence is the natural logarithm of the e-value of harm.
	LogEvidence float64 `json:"logEvidence,omitempty"`
	// N is the canary's units so far, Needed how many more the check wants
	// before it can say anything (0: enough).
	N      float64 `json:"n"`
	Needed float64 `json:"needed"`
	Note   string  `json:"note,omitempty"`
	Query  string  `json:"query,omitempty"`
	Window Window  `json:"window"`
}

// Counts are events of units of both tracks.
type Counts struct {
	Canary Count `json:"canary"`
	Stable Count `json:"stable"`
}

// Count is events of units: errors of requests, conversions of sessions.
type Count struct {
	Events float64 `json:"events"`
	Units  float64 `json:"units"`
}

// Rate is events per unit, 0 without units.
func (c Count) Rate() float64 {
	if c.Units <= 0 {
		return 0
	}
	return c.Events / c.Units
}

// Estimate is what was observed.
type Estimate struct {
	Canary float64 `json:"canary"`
	Stable float64 `json:"stable"`
	Diff   float64 `json:"diff"`
}

// Bounds is an interval of the difference canary - stable. Level is its
// coverage, at all times together.
type Bounds struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"`
}

// Margin is an affine bound: canary <= Relative*stable + Absolute is no harm.
type Margin struct {
	Relative float64 `json:"relative"`
	Absolute float64 `json:"absolute"`
}

// Window is the time that a check's counts cover.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Evidence sums a sequential judgement up.
type Evidence struct {
	// E is the weighted mean of the checks' e-values; at Limit the canary is
	// rolled back.
	E     float64 `json:"e"`
	Limit float64 `json:"limit"`
	// ExcessUpper bounds the excess error rate from above, with the confidence
	// asked for; ExcessLimit is what a promotion allows.
	ExcessUpper float64 `json:"excessUpper"`
	ExcessLimit float64 `json:"excessLimit"`
	// TrafficShare is the canary's share of the step's requests.
	TrafficShare float64 `json:"trafficShare"`
	// Look is the number of planned looks done in this step.
	Look int `json:"look"`
	// Guard is what the noise of the stable pods asked for, per event kind.
	Guard map[string]GuardPair `json:"guard,omitempty"`
	// DetectableErrorRate is the smallest canary error rate that the rest of
	// this step would find; 0 when unknown.
	DetectableErrorRate float64 `json:"detectableErrorRate,omitempty"`
}

// StepContext is the step of a rollout that a verdict belongs to.
type StepContext struct {
	Index int `json:"index"`
	// Weight is the canary's intended share of the traffic, 0..1; 0 is unknown
	// and switches the check of the traffic share off.
	Weight float64 `json:"weight"`
	// Start is when the weight was observed, Gate how long the step lasts at
	// least.
	Start time.Time `json:"start"`
	Gate  Duration  `json:"gate"`
	// CanaryPods is the number of pods of the canary; 0: as many as are seen.
	CanaryPods int `json:"canaryPods,omitempty"`
	// NextWeight and NextGate are the following step's; 0: this is the last.
	NextWeight float64  `json:"nextWeight,omitempty"`
	NextGate   Duration `json:"nextGate,omitempty"`
}
