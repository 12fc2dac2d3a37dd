package sequential

import "math"

// DirichletMultinomialLog is the logarithm of the e-value of counts x against the
// multinomial probabilities theta0, with a Dirichlet(a,...,a) mixture over all
// probabilities as the alternative:
//
//	B(a + x) / B(a) / prod theta0_i^x_i
//
// As a process over time it is a martingale under theta0: the test of a sample
// ratio mismatch, or of "anything changed" in a histogram. Source: Lindon & Malek
// 2022. Counts of 0 everywhere give 0.
func DirichletMultinomialLog(x, theta0 []float64, a float64) float64 {
	v, n, k := 0.0, 0.0, float64(len(x))
	for i, xi := range x {
		v += lgamma(a+xi) - lgamma(a)
		if xi > 0 {
			v -= xi * math.Log(theta0[i])
		}
		n += xi
	}
	return v + lgamma(k*a) - lgamma(k*a+n)
}

// BetaBinomialBayesFactor is the same for two categories with a Beta(a, b)
// mixture: k of n against theta0.
func BetaBinomialBayesFactor(k, n, theta0, a, b float64) float64 {
	return math.Exp(lbeta(a+k, b+n-k) - lbeta(a, b) - k*math.Log(theta0) - (n-k)*math.Log1p(-theta0))
}

// ShareE is the log e-value that a share of counts is outside [lo, hi]: the
// Dirichlet test against the nearest point of the range, 0 inside it.
func ShareE(c, s, lo, hi float64) float64 {
	n := c + s
	if n <= 0 {
		return 0
	}
	theta := c / n
	switch {
	case theta < lo:
		theta = lo
	case theta > hi:
		theta = hi
	default:
		return 0
	}
	if theta <= 0 || theta >= 1 {
		return 0
	}
	return math.Max(0, DirichletMultinomialLog([]float64{c, s}, []float64{theta, 1 - theta}, 1))
}
