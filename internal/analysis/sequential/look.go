package sequential

import "math"

// exactLook is the most events for which a look computes exact tails; above,
// the normal approximation of the signed root is as good.
const exactLook = 3000

// minLookEvents is the least number of (effective) events on the tested track
// for a look to find harm.
const minLookEvents = 5

// LookP is the one-sided p-value of harm beyond the margin at a planned look, on
// the counts of one step. phi >= 1 is the dispersion of the events: counts are
// divided by it (quasi-likelihood), so that phi clumped errors count as one.
//
//	p = P(Bin(K, nc*x/(nc*x+ns*y)) >= kc),  K = kc+ks
//
// with (x, y) the constrained maximum likelihood estimate, or the normal tail of
// the signed root sqrt(2 LLR) for more than 3000 events. 1 with fewer than five
// effective events on the tested track or inside the margin. Assumes that the
// shares of the traffic do not change with the rate within the step, which is
// why steps are never pooled.
func (h TwoRate) LookP(c Counts, phi float64) float64 {
	return h.LookPSpread(c, phi, Spread{})
}

// LookPSpread is LookP averaged over what luck of the draw of pods may do to the
// tested track's rate: its p-value if the margin's bound were multiplied by each
// factor of the spread, weighted by the factor's probability.
func (h TwoRate) LookPSpread(c Counts, phi float64, s Spread) float64 {
	phi = math.Max(phi, 1)
	c = Counts{c.KC / phi, c.NC / phi, c.KS / phi, c.NS / phi}
	if c.NC <= 0 || c.NS <= 0 || c.KC < minLookEvents {
		return 1
	}
	if s.Sigma <= 0 {
		return h.lookP(c)
	}
	p := 0.5 * h.lookP(c) // the luckier half is taken as neither lucky nor unlucky
	for i, f := range s.factors() {
		p += spreadMass[i] * TwoRate{h.Rho * f, h.Delta * f}.lookP(c)
	}
	return p
}

func (h TwoRate) lookP(c Counts) float64 {
	lc, ls := c.KC/c.NC, c.KS/c.NS
	if lc <= h.Bound(ls) {
		return 1
	}
	if c.KC+c.KS <= exactLook {
		x, y := h.project(c.NC, c.NS, lc, math.Max(ls, tinyRate))
		return BinomialTail(c.KC+c.KS, c.KC, c.NC*x/(c.NC*x+c.NS*y))
	}
	return 1 - NormalCDF(math.Sqrt(2*h.LLR(c)))
}

// SignedRoot is the z-value for "no harm as large as the margin": positive and
// large when the tested track is clearly below the bound. Used for
// non-inferiority at a planned look.
func (h TwoRate) SignedRoot(c Counts, phi float64) float64 {
	if c.NC <= 0 || c.NS <= 0 || c.KC/c.NC >= h.Bound(c.KS/c.NS) {
		return 0
	}
	return math.Sqrt(2 * math.Max(0, h.LogE(c, math.Max(c.KC/c.NC, tinyRate), c.KS/c.NS)) / math.Max(phi, 1))
}

// BinomialTail is P(Bin(n, p) >= k), continued to fractions of n and k by the
// regularised incomplete beta function I_p(k, n-k+1).
func BinomialTail(n, k, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case p <= 0 || k > n:
		return 0
	case p >= 1:
		return 1
	}
	return betaInc(k, n-k+1, p)
}

// NormalCDF is the standard normal distribution function.
func NormalCDF(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

// NormalQuantile is its inverse.
func NormalQuantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }

// lgamma is ln Gamma(x) for x > 0.
func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// lbeta is ln B(a, b).
func lbeta(a, b float64) float64 { return lgamma(a) + lgamma(b) - lgamma(a+b) }

// betaInc is the regularised incomplete beta function I_x(a, b), by its
// continued fraction (Lentz).
func betaInc(a, b, x float64) float64 {
	if x > (a+1)/(a+b+2) {
		return 1 - betaInc(b, a, 1-x)
	}
	front := math.Exp(a*math.Log(x) + b*math.Log1p(-x) - lbeta(a, b) - math.Log(a))
	const tiny = 1e-300
	c, d := 1.0, 1/nonZero(1-(a+b)*x/(a+1))
	f := d
	for m := 1.0; m < 2000; m++ {
		num := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / nonZero(1+num*d)
		c = nonZero(1 + num/c)
		f *= d * c
		num = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / nonZero(1+num*d)
		c = nonZero(1 + num/c)
		step := d * c
		f *= step
		if math.Abs(step-1) < 1e-14 {
			break
		}
	}
	return math.Max(tiny, math.Min(1, front*f))
}

func nonZero(x float64) float64 {
	if math.Abs(x) < 1e-300 {
		return 1e-300
	}
	return x
}
