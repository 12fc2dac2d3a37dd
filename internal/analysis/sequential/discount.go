package sequential

import "math"

// Discount is the other half of a test against a null with a Spread: how well
// an unlucky group of pods, at no harm, explains the same data. Dividing a
// Mixture by it,
//
//	E / max(1, sum_i mass_i * prod_u e_u(factor_i)),
//
// gives an e-process for the null hypothesis "lc <= exp(Sigma*t) * Bound(ls), with t
// drawn once per step": conditional on a factor below 1 the mixture alone has
// expectation at most 1; on those above 1 the denominator contains their
// likelihood times their mass, so the mean of the ratio over the factors is at
// most 1. Without a spread it is 1 and costs nothing. It is the Bayes factor of a
// hierarchical model, not a wider margin: an effect of which no pods are that
// unlucky is found almost as early as without.
type Discount struct {
	// Logs are the log likelihoods of the current step's factors.
	Logs []float64 `json:"logs,omitempty"`
	// Done is the log of the finished steps' denominators.
	Done float64 `json:"done,omitempty"`
}

// Begin ends a step, whose group of pods is drawn anew in the next.
func (d *Discount) Begin() {
	d.Done += d.step()
	d.Logs = nil
}

// Add folds the log e-values of one interval, one per factor of the spread. The
// spread may change from interval to interval (Sigma_u), the luck t may not: an
// interval without spread says nothing of it and is not added.
func (d *Discount) Add(logE []float64) {
	if d.Logs == nil {
		d.Logs = make([]float64, len(spreadNode))
	}
	for i := range d.Logs {
		d.Logs[i] += logE[i] // never capped: the mixture above it is capped in relation to it
	}
}

// Log is the logarithm of the denominator, at least 0.
func (d *Discount) Log() float64 { return d.Done + d.step() }

func (d *Discount) step() float64 {
	if len(d.Logs) == 0 {
		return 0
	}
	sum := math.Inf(-1)
	for i, l := range d.Logs {
		sum = logAdd(sum, l+math.Log(spreadMass[i]))
	}
	return math.Max(0, sum)
}

// Factors are the lifts whose e-values Discount.Add wants; nil without spread.
func (s Spread) Factors() []float64 {
	if s.Sigma <= 0 {
		return nil
	}
	return s.factors()
}

// SpreadMean is the mean of values at the factors of a spread, over the unlucky
// half: what Discount sums. 0 without values.
func SpreadMean(values []float64) float64 {
	sum := 0.0
	for i, v := range values {
		sum += spreadMass[i] * v
	}
	return sum
}
