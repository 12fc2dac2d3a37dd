package sequential

import "math"

// Distribution is what a histogram knows of a distribution: Cum[i] of N
// observations are at most Bounds[i].
type Distribution struct {
	Bounds []float64
	Cum    []float64
	N      float64
}

// QuantileCS is the confidence sequence of the q-quantile from a histogram, with
// a beta-binomial mixture per bound (RateCS): the lowest bound that is not
// excluded from above and the first that is excluded from below. Both ends are
// bounds of the histogram; lo is 0 and hi +Inf where the histogram does not
// reach. Source: Howard & Ramdas 2022.
func (d Distribution) QuantileCS(q, alpha float64) (lo, hi float64) {
	lo, hi = 0, math.Inf(1)
	for i, b := range d.Bounds {
		l, u := RateCS(d.Cum[i], d.N, alpha)
		if u < q && b > lo {
			lo = b
		}
		if l >= q && b < hi {
			hi = b
		}
	}
	return lo, hi
}

// RatioCS is the confidence sequence of the ratio of two quantiles, c over s, at
// level 1-alpha: alpha/2 for each arm.
func RatioCS(c, s Distribution, q, alpha float64) (lo, hi float64) {
	cl, ch := c.QuantileCS(q, alpha/2)
	sl, sh := s.QuantileCS(q, alpha/2)
	lo, hi = 0, math.Inf(1)
	if sh > 0 && !math.IsInf(sh, 1) {
		lo = cl / sh
	}
	if sl > 0 {
		hi = ch / sl
	}
	return lo, hi
}
