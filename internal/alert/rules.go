package alert

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
)

// place is where operations are counted together.
type place struct{ cluster, namespace string }

type tally struct {
	deploys, rollbacks int
	last               release.Operation // the newest rollback
}

func (t *tally) add(op release.Operation) {
	switch {
	case op.Kind.Deploy():
		t.deploys++
	case op.Kind == release.KindRollback:
		t.rollbacks++
		if op.End.After(t.last.End) {
			t.last = op
		}
	}
}

// rollbackRates compares rollbacks, by hand or automatic, with deployments, both
// completed within the window: in each namespace of each cluster, and over all
// where there are several.
func rollbackRates(t Thresholds, in Input) []Alert {
	places, all := map[place]*tally{}, &tally{}
	from := in.Now.Add(-t.RollbackWindow)
	for _, op := range in.Operations {
		if !op.State.Done() || !op.End.After(from) || op.End.After(in.Now) {
			continue
		}
		p := place{op.Cluster, op.Namespace}
		if places[p] == nil {
			places[p] = &tally{}
		}
		places[p].add(op)
		all.add(op)
	}
	var out []Alert
	for _, p := range sortedPlaces(places) {
		if a, holds := rollbackRate(t, *places[p], labelsOf(p.cluster, p.namespace, ""), "in namespace "+p.namespace+ofCluster(p.cluster)); holds {
			out = append(out, a)
		}
	}
	if len(places) > 1 {
		where := fmt.Sprintf("over all %d namespaces", len(places))
		if a, holds := rollbackRate(t, *all, map[string]string{LabelScope: "all"}, where); holds {
			out = append(out, a)
		}
	}
	return out
}

func rollbackRate(t Thresholds, n tally, labels map[string]string, where string) (Alert, bool) {
	if n.deploys < max(t.RollbackMinOperations, 1) {
		return Alert{}, false
	}
	rate := float64(n.rollbacks) / float64(n.deploys)
	if rate <= t.RollbackRate {
		return Alert{}, false
	}
	return Alert{
		Rule: RollbackRateHigh, Labels: labels, Value: rate, Threshold: t.RollbackRate, Unit: UnitRatio, Samples: n.deploys,
		Summary: fmt.Sprintf("Rollback rate %s %s in the last %s", percent(rate), where, span(t.RollbackWindow)),
		Description: fmt.Sprintf("%s for %s completed in the last %s; the limit is %s. The last rollback was of release %s.",
			count(n.rollbacks, "rollback"), count(n.deploys, "deployment"), span(t.RollbackWindow), percent(t.RollbackRate), n.last.Release),
		OperationID: n.last.ID, TraceID: n.last.TraceID,
	}, true
}

// history is the operations of one release, newest start first, tests left out.
type history struct {
	cluster, namespace, name string
	ops                      []release.Operation
}

func byRelease(ops []release.Operation) []history {
	found := map[[3]string]*history{}
	var keys [][3]string
	for _, op := range ops {
		if op.Kind == release.KindTest {
			continue // says nothing about the release itself
		}
		k := [3]string{op.Cluster, op.Namespace, op.Release}
		if found[k] == nil {
			found[k] = &history{cluster: op.Cluster, namespace: op.Namespace, name: op.Release}
			keys = append(keys, k)
		}
		found[k].ops = append(found[k].ops, op)
	}
	slices.SortFunc(keys, func(a, b [3]string) int { return slices.Compare(a[:], b[:]) })
	out := make([]history, 0, len(keys))
	for _, k := range keys {
		h := found[k]
		slices.SortStableFunc(h.ops, func(a, b release.Operation) int { return b.Start.Compare(a.Start) })
		out = append(out, *h)
	}
	return out
}

func (h history) labels() map[string]string { return labelsOf(h.cluster, h.namespace, h.name) }

func (h history) title() string { return h.namespace + "/" + h.name + ofCluster(h.cluster) }

// running returns the operation that runs, or was left behind: the newest one,
// when it has not ended.
func (h history) running() (release.Operation, bool) {
	return h.ops[0], !h.ops[0].State.Done() && !h.ops[0].Start.IsZero()
}

// Baseline is what the durations of a release's deployments are compared with.
type Baseline struct {
	P99     time.Duration
	Samples int // successes it rests on
}

// BaselineOf returns the P99 of the deployments among ops that succeeded and
// ended after since, without the one of the id except. It is the smallest
// duration that at least 99 % of them do not exceed: with fewer than 100 the
// longest.
func BaselineOf(ops []release.Operation, since time.Time, except string) Baseline {
	var took []time.Duration
	for _, op := range ops {
		if op.Kind.Deploy() && op.Succeeded() && op.End.After(since) && (except == "" || op.ID != except) && op.Duration() > 0 {
			took = append(took, op.Duration())
		}
	}
	if len(took) == 0 {
		return Baseline{}
	}
	slices.Sort(took)
	rank := int(math.Ceil(0.99 * float64(len(took))))
	return Baseline{P99: took[rank-1], Samples: len(took)}
}

// slowDeployment looks at the deployment that runs, else at the last one that ended.
func slowDeployment(t Thresholds, h history, now time.Time) (Alert, bool) {
	op, took, runs := release.Operation{}, time.Duration(0), false
	if r, ok := h.running(); ok && r.Kind.Deploy() {
		op, took, runs = r, now.Sub(r.Start), true
	} else {
		for _, o := range h.ops {
			if o.Kind.Deploy() && o.State.Done() {
				op, took = o, o.Duration()
				break
			}
		}
		if took == 0 || now.Sub(op.End) >= t.SlowKeep {
			return Alert{}, false
		}
	}
	base := BaselineOf(h.ops, now.Add(-t.SlowBaseline), op.ID)
	limit := time.Duration(t.SlowFactor * float64(base.P99))
	if base.Samples < t.SlowMinSamples || took <= limit {
		return Alert{}, false
	}
	verb := "took"
	if runs {
		verb = "has been running for"
	}
	p99 := "P99"
	if base.Samples < 100 {
		p99 = "longest (P99 of fewer than 100)"
	}
	return Alert{
		Rule: DeploymentSlow, Labels: h.labels(), Value: took.Seconds(), Threshold: limit.Seconds(), Unit: UnitSeconds, Samples: base.Samples,
		Summary: fmt.Sprintf("Deployment of %s %s %s, more than %g times its P99", h.title(), verb, span(took), t.SlowFactor),
		Description: fmt.Sprintf("The %s of its %d successful deployments in the last %s is %s; the limit is %s.",
			p99, base.Samples, span(t.SlowBaseline), span(base.P99), span(limit)),
		OperationID: op.ID, TraceID: op.TraceID, Cause: op.Cause,
	}, true
}

func failures(t Thresholds, h history, _ time.Time) (Alert, bool) {
	n := release.ConsecutiveFailures(h.ops)
	if n <= t.Failures {
		return Alert{}, false
	}
	var last, first release.Operation
	seen := 0
	for _, op := range h.ops {
		if op.Kind.Deploy() && op.State.Done() && !op.Succeeded() {
			if seen++; seen == 1 {
				last = op
			}
			if first = op; seen == n {
				break
			}
		}
	}
	return Alert{
		Rule: DeploymentsFailing, Labels: h.labels(), Value: float64(n), Threshold: float64(t.Failures), Unit: UnitCount,
		Summary:     fmt.Sprintf("%d deployments of %s failed in a row", n, h.title()),
		Description: fmt.Sprintf("None succeeded since %s; the limit is %s in a row.", first.Start.UTC().Format("2006-01-02 15:04 MST"), count(t.Failures, "failure")),
		OperationID: last.ID, TraceID: last.TraceID, Cause: last.Cause,
	}, true
}

func stuck(t Thresholds, h history, now time.Time) (Alert, bool) {
	op, runs := h.running()
	if !runs || now.Sub(op.Start) <= t.StuckAfter {
		return Alert{}, false
	}
	return Alert{
		Rule: ReleaseStuck, Labels: h.labels(), Value: now.Sub(op.Start).Seconds(), Threshold: t.StuckAfter.Seconds(), Unit: UnitSeconds,
		Summary: fmt.Sprintf("Release %s has been pending for %s", h.title(), span(now.Sub(op.Start))),
		Description: fmt.Sprintf("Its %s began at %s and nobody has seen it end. While it is pending Helm refuses every other operation on the release.",
			op.Kind, op.Start.UTC().Format("2006-01-02 15:04 MST")),
		OperationID: op.ID, TraceID: op.TraceID,
	}, true
}

// forgotten is how long a rollout that nobody speaks of any more is alerted on:
// its driver, or its whole cluster, is gone for good.
const forgotten = 24 * time.Hour

// noData looks at rollouts whose gate is open: whoever waits for a person, a
// window or pods does not ask for data.
func noData(t Thresholds, r rollout.Record, now time.Time) (Alert, bool) {
	if r.Phase != rollout.PhaseProgressing || r.GateStarted.IsZero() || r.Paused || now.Sub(r.At) >= forgotten {
		return Alert{}, false
	}
	switch r.Reason {
	case rollout.ReasonApproval, rollout.ReasonWindow, rollout.ReasonPaused, rollout.ReasonSizing, rollout.ReasonShifting:
		return Alert{}, false
	}
	var why string
	switch {
	case r.AnalysisError != "":
		why = "The analysis could not be made: " + strings.TrimRight(r.AnalysisError, ".") + "."
	case now.Sub(r.At) >= t.NoDataAfter:
		why = fmt.Sprintf("Whoever drives the rollout has not been heard of since %s.", r.At.UTC().Format("2006-01-02 15:04:05 MST"))
	case r.DecisionReason == "insufficient_data":
		why = "There are not enough requests to judge by."
	case r.DecisionReason == "attribution":
		why = "Telemetry does not show the canary's share of the traffic."
	default:
		return Alert{}, false
	}
	labels := map[string]string{LabelCanaryNS: r.Namespace, LabelCanary: r.Name, LabelService: r.Service}
	if r.Cluster != "" {
		labels[LabelCluster] = r.Cluster
	}
	weight := r.Weight
	return Alert{
		Rule: AnalysisNoData, Labels: labels, Value: now.Sub(r.GateStarted).Seconds(), Threshold: t.NoDataAfter.Seconds(), Unit: UnitSeconds,
		Summary:     fmt.Sprintf("Canary %s/%s%s at %d %% cannot be judged", r.Namespace, r.Name, ofCluster(r.Cluster), weight),
		Description: why + " Without data it is never promoted.",
		RolloutID:   r.ID, TraceID: r.TraceID,
	}, true
}

func labelsOf(cluster, namespace, name string) map[string]string {
	labels := map[string]string{LabelNamespace: namespace}
	if name != "" {
		labels[LabelRelease] = name
	}
	if cluster != "" {
		labels[LabelCluster] = cluster
	}
	return labels
}

func ofCluster(cluster string) string {
	if cluster == "" {
		return ""
	}
	return " of cluster " + cluster
}

func sortedPlaces(places map[place]*tally) []place {
	out := make([]place, 0, len(places))
	for p := range places {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int {
		return strings.Compare(a.cluster+"\x00"+a.namespace, b.cluster+"\x00"+b.namespace)
	})
	return out
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", share*100) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// span renders a duration to the precision that a person reads at a glance.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour && d%time.Minute < time.Second:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d <= 48*time.Hour && d%time.Hour < time.Minute:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

// Describe says in words when a rule holds.
func (t Thresholds) Describe(r Rule) string {
	switch r {
	case RollbackRateHigh:
		return fmt.Sprintf("more than %s of the deployments of a namespace, or of all, were rolled back within %s (at least %s)",
			percent(t.RollbackRate), span(t.RollbackWindow), count(t.RollbackMinOperations, "deployment"))
	case DeploymentSlow:
		return fmt.Sprintf("a deployment takes more than %g times the P99 of its release's successes within %s (at least %d)",
			t.SlowFactor, span(t.SlowBaseline), t.SlowMinSamples)
	case DeploymentsFailing:
		return fmt.Sprintf("more than %d deployments of a release failed in a row", t.Failures)
	case ReleaseStuck:
		return fmt.Sprintf("an operation on a release has been running for more than %s", span(t.StuckAfter))
	default:
		return fmt.Sprintf("a rollout has been waiting at a gate without data for %s", span(t.NoDataAfter))
	}
}
