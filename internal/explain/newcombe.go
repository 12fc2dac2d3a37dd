package explain

import "math"

// wilson returns the score interval of the proportion a/n at z standard errors
// (Wilson, J. Am. Stat. Assoc. 22, 1927). n = 0 gives [0, 1].
func wilson(a, n int, z float64) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	p, m := float64(a)/float64(n), float64(n)
	centre := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return max(0, (centre-half)/scale), min(1, (centre+half)/scale)
}

// newcombe returns the lower bound of p1 - p0 for p1 = a/n1, p0 = b/n0 by the
// method that squares and adds Wilson's limits (Newcombe, Statistics in
// Medicine 17, 1998, method 10).
func newcombe(a, n1, b, n0 int, z float64) float64 {
	if n1 == 0 || n0 == 0 {
		return -1
	}
	p1, p0 := float64(a)/float64(n1), float64(b)/float64(n0)
	l1, _ := wilson(a, n1, z)
	_, u0 := wilson(b, n0, z)
	return p1 - p0 - math.Hypot(p1-l1, u0-p0)
}

// zOf returns the standard normal quantile of 1 - alpha.
func zOf(alpha float64) float64 { return math.Sqrt2 * math.Erfinv(1-2*alpha) }
