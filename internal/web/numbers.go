package web

import (
	"math"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// numbers sum operations up. Each share stands with what it is a share of.
type numbers struct {
	Deploys, Failed          int // ended
	Rollbacks, RollbacksGood int
	Automatic                int
	Durations                []float64 // seconds, of deploys that ended, sorted
}

func sum(ops []release.Operation) numbers {
	var n numbers
	for _, op := range ops {
		if !op.State.Done() {
			continue
		}
		switch {
		case op.Kind.Deploy():
			n.Deploys++
			if !op.Succeeded() {
				n.Failed++
			}
			if d := op.Duration(); d > 0 {
				n.Durations = append(n.Durations, d.Seconds())
			}
		case op.Kind == release.KindRollback:
			n.Rollbacks++
			if op.Succeeded() {
				n.RollbacksGood++
			}
			if op.Automatic {
				n.Automatic++
			}
		}
	}
	slices.Sort(n.Durations)
	return n
}

// Good is the share of deploys that went well; call it only with Deploys > 0.
func (n numbers) Good() float64 { return float64(n.Deploys-n.Failed) / float64(n.Deploys) }

// RollbackRate is rollbacks over deploys (spec A4); call it only with Deploys > 0.
func (n numbers) RollbackRate() float64 { return float64(n.Rollbacks) / float64(n.Deploys) }

// N is how many durations the quantiles rest on.
func (n numbers) N() int { return len(n.Durations) }

// Quantile returns the q-quantile of the durations: the smallest value that at
// least that share does not exceed. NaN without any.
func (n numbers) Quantile(q float64) float64 { return quantile(n.Durations, q) }

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// baselineAge and baselineMin are of the contract: successes of the last 30
// days, at least 20 of them.
const (
	baselineAge = 30 * 24 * time.Hour
	baselineMin = 20
)

// baseline returns the P99 of the successes of a release before op, and of how
// many; history is the release's, in any order.
func baseline(history []release.Operation, op release.Operation) (p99 float64, n int) {
	var values []float64
	for _, one := range history {
		if one.ID != op.ID && one.Kind.Deploy() && one.Succeeded() && one.End.Before(op.Start) && one.End.After(op.Start.Add(-baselineAge)) {
			values = append(values, one.Duration().Seconds())
		}
	}
	slices.Sort(values)
	return quantile(values, 0.99), len(values)
}
