// Package alert decides what is wrong with releases and rollouts, over the
// record of them: five rules, evaluated exactly, with minimum samples.
//
// It is pure: [Evaluate] takes operations, rollouts and the time and returns
// what holds now; [Advance] puts that over what was before and returns the
// states, and which alerts began to fire or ended. Who stores and delivers them
// is elsewhere.
package alert

import (
	"encoding/hex"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
)

// Rule is the name of a rule, and of its alerts.
type Rule string

// The rules. docs/alerts.md has a section for each.
const (
	RollbackRateHigh   Rule = "HelmRollbackRateHigh"   // too many rollbacks for the deployments
	DeploymentSlow     Rule = "HelmDeploymentSlow"     // took, or takes, far longer than usual
	DeploymentsFailing Rule = "HelmDeploymentsFailing" // a release failed several times in a row
	ReleaseStuck       Rule = "ReleaseStuckPending"    // an operation began and never ended
	AnalysisNoData     Rule = "CanaryAnalysisNoData"   // a rollout waits at a gate without data
)

// Rules lists the rules in the order of the documentation.
func Rules() []Rule {
	return []Rule{RollbackRateHigh, DeploymentSlow, DeploymentsFailing, ReleaseStuck, AnalysisNoData}
}

// Severity is how urgent alerts of the rule are.
func (r Rule) Severity() string {
	if r == DeploymentsFailing {
		return "critical"
	}
	return "warning"
}

// State is how far an alert has come.
type State string

// The states of an alert.
const (
	StatePending  State = "pending"  // holds, but not for long enough yet
	StateFiring   State = "firing"   // holds
	StateResolved State = "resolved" // held and fired, and does so no longer
)

// Labels of alerts. Those of releases are the labels of the metrics, so that
// silences and routes fit alerts from Prometheus' rules too.
const (
	LabelRelease   = "helm_release"
	LabelNamespace = "helm_namespace"
	LabelCluster   = "k8s_cluster_name"
	LabelScope     = "scope" // "all": over all clusters and namespaces
	LabelCanary    = "canary"
	LabelCanaryNS  = "k8s_namespace_name"
	LabelService   = "canary_service"
)

// Units of [Alert.Value] and [Alert.Threshold].
const (
	UnitRatio   = "ratio" // a share, 0.25 = 25 %
	UnitSeconds = "s"     //
	UnitCount   = "1"     // a number of things
)

// Alert is one thing that is wrong, or was. Rule and Labels identify it.
type Alert struct {
	Rule     Rule              `json:"rule"`
	Severity string            `json:"severity"`
	Labels   map[string]string `json:"labels"`
	State    State             `json:"state"`

	// Value is what was measured last, over Threshold, both in Unit.
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	Unit      string  `json:"unit"`
	// Samples is how many operations Value (rate) or Threshold (P99) rests on.
	Samples int `json:"samples,omitempty"`

	Summary     string `json:"summary"`               // one line
	Description string `json:"description,omitempty"` // what is behind the value
	// Cause is why the operation failed, where one is concerned that did.
	Cause string `json:"cause,omitempty"`

	OperationID string `json:"operationId,omitempty"` // the newest one concerned
	TraceID     string `json:"traceId,omitempty"`
	RolloutID   string `json:"rolloutId,omitempty"`

	Since       time.Time `json:"since"`                // began to hold
	FiringSince time.Time `json:"firingSince,omitzero"` // zero while pending
	ResolvedAt  time.Time `json:"resolvedAt,omitzero"`  // zero unless resolved
}

// Key identifies the alert by rule and labels, in 16 hex digits.
func (a Alert) Key() string {
	h := fnv.New64a()
	h.Write([]byte(a.Rule))
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		h.Write([]byte("\xff" + k + "\xff" + a.Labels[k]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// AllLabels are the labels with alertname and severity, which silences match.
func (a Alert) AllLabels() map[string]string {
	all := map[string]string{"alertname": string(a.Rule), "severity": a.Severity}
	maps.Copy(all, a.Labels)
	return all
}

// Thresholds say when the rules hold. All are needed.
type Thresholds struct {
	// RollbackRate: rollbacks over deployments, completed within the window.
	RollbackRate          float64
	RollbackWindow        time.Duration
	RollbackMinOperations int // deployments
	// SlowFactor times the P99 of the successes that ended within SlowBaseline,
	// given SlowMinSamples of them. A deployment that ended counts for SlowKeep.
	SlowFactor     float64
	SlowBaseline   time.Duration
	SlowMinSamples int
	SlowKeep       time.Duration
	// Failures: more than this many in a row.
	Failures int
	// StuckAfter is how long an operation may run.
	StuckAfter time.Duration
	// NoDataAfter is how long a gate may be without data.
	NoDataAfter time.Duration
}

// For returns how long a rule holds before its alerts fire. Rules over single
// operations fire at once: what happened does not become truer by waiting.
func (t Thresholds) For(r Rule) time.Duration {
	if r == AnalysisNoData {
		return t.NoDataAfter
	}
	return 0
}

// Input is what the rules look at.
type Input struct {
	Now time.Time
	// Operations are all that ended within the longest window, and of each
	// release the newest ones, in any order.
	Operations []release.Operation
	Rollouts   []rollout.Record // at least those that have not ended
}

// Evaluate returns what holds now, in the order of rules and labels. States and
// times are [Advance]'s to fill, but for Since where the record knows better.
func Evaluate(t Thresholds, in Input) []Alert {
	out := rollbackRates(t, in)
	for _, r := range byRelease(in.Operations) {
		for _, rule := range []func(Thresholds, history, time.Time) (Alert, bool){slowDeployment, failures, stuck} {
			if a, holds := rule(t, r, in.Now); holds {
				out = append(out, a)
			}
		}
	}
	for _, r := range in.Rollouts {
		if a, holds := noData(t, r, in.Now); holds {
			out = append(out, a)
		}
	}
	for i := range out {
		out[i].Severity = out[i].Rule.Severity()
	}
	order := Rules()
	slices.SortStableFunc(out, func(a, b Alert) int { return slices.Index(order, a.Rule) - slices.Index(order, b.Rule) })
	return out
}

// Advance returns the alerts after what holds now was put over those before,
// and those among them that began to fire or were resolved just now. An alert
// that was pending and no longer holds is dropped; a resolved one is kept for
// the time keep.
func Advance(t Thresholds, before, holds []Alert, now time.Time, keep time.Duration) (after, changed []Alert) {
	old := map[string]Alert{}
	for _, a := range before {
		old[a.Key()] = a
	}
	for _, a := range holds {
		key := a.Key()
		was, known := old[key]
		delete(old, key)
		if a.Since.IsZero() {
			a.Since = now
		}
		if known && was.State != StateResolved {
			a.Since, a.FiringSince, a.State = was.Since, was.FiringSince, was.State
			if a.OperationID == was.OperationID && a.Cause == "" {
				a.Cause = was.Cause
			}
		}
		if a.State != StateFiring {
			a.State = StatePending
			if now.Sub(a.Since) >= t.For(a.Rule) {
				a.State, a.FiringSince = StateFiring, now
				changed = append(changed, a)
			}
		}
		after = append(after, a)
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		a := old[key]
		switch {
		case a.State == StateFiring:
			a.State, a.ResolvedAt = StateResolved, now
			after, changed = append(after, a), append(changed, a)
		case a.State == StateResolved && now.Sub(a.ResolvedAt) < keep:
			after = append(after, a)
		}
	}
	return after, changed
}
