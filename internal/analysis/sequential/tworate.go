package sequential

import "math"

// TwoRate is the null hypothesis
//
//	H0: lc <= Rho*ls + Delta  in every interval, ls free and changing as it likes
//
// on the rates of events per unit of the tested track (lc) and of the reference
// (ls). Rho >= 1 and Delta >= 0 are the margin: harm that does not count.
type TwoRate struct {
	Rho   float64
	Delta float64
}

// Counts are events of units on the tested track (c) and the reference (s) in
// one interval.
type Counts struct {
	KC, NC float64
	KS, NS float64
}

// Add returns the sum of two intervals.
func (a Counts) Add(b Counts) Counts {
	return Counts{a.KC + b.KC, a.NC + b.NC, a.KS + b.KS, a.NS + b.NS}
}

// Bound is the highest rate of the tested track that is no harm while the
// reference has rate ls.
func (h TwoRate) Bound(ls float64) float64 { return h.Rho*ls + h.Delta }

// project returns the point (x, y) of the boundary x = Rho*y + Delta nearest to
// the bet (lc, ls): it minimises nc*KL(lc||x) + ns*KL(ls||y) over Poisson rates.
// Setting the derivative to zero gives a quadratic whose positive root is taken:
//
//	N = nc*rho + ns,  B = rho*(nc*lc + ns*ls) - N*delta
//	y = (B + sqrt(B^2 + 4*N*rho*ns*ls*delta)) / (2*N*rho)
func (h TwoRate) project(nc, ns, lc, ls float64) (x, y float64) {
	n := nc*h.Rho + ns
	b := h.Rho*(nc*lc+ns*ls) - n*h.Delta
	if h.Delta == 0 {
		y = b / (n * h.Rho)
	} else {
		root := math.Sqrt(b*b + 4*n*h.Rho*ns*ls*h.Delta)
		if b >= 0 {
			y = (b + root) / (2 * n * h.Rho)
		} else { // the same root without cancellation
			y = 2 * ns * ls * h.Delta / (root - b)
		}
	}
	return h.Rho*y + h.Delta, y
}

// LogE is the logarithm of the e-value of one interval against H0, for a bet
// (lc, ls) that was placed before the interval's counts were known, with
// lc > Bound(ls):
//
//	log e = kc ln(lc/x) + ks ln(ls/y) - nc (lc-x) - ns (ls-y)
//
// where (x, y) is the reverse information projection of the bet onto the
// boundary. Its expectation is 1 on the whole boundary for Poisson counts, at
// most 1 inside H0, and at most 1 for binomial and hypergeometric counts, as
// 1+p(z-1) <= exp(p(z-1)). With Delta = 0 it is the conditional binomial
// likelihood ratio of kc given kc+ks and does not depend on ls.
// An interval without units on either track says nothing: 0. A reference rate
// of 0 is read as one event in 1e12 units. Source: Turner & Grünwald 2023 for
// the projection, Lindon & Malek 2022 for the conditional argument.
func (h TwoRate) LogE(c Counts, lc, ls float64) float64 {
	if c.NC <= 0 || c.NS <= 0 {
		return 0
	}
	if ls <= 0 {
		ls = tinyRate
	}
	x, y := h.project(c.NC, c.NS, lc, ls)
	v := -c.NC*(lc-x) - c.NS*(ls-y)
	if c.KC > 0 {
		v += c.KC * math.Log(lc/x)
	}
	if c.KS > 0 {
		v += c.KS * math.Log(ls/y)
	}
	return v
}

const (
	// tinyRate stands for a rate of zero, whose logarithm has no value.
	tinyRate = 1e-12
	// MaxRate is the highest rate that is bet on: at 1 a single success would
	// be impossible, and one success would cost everything.
	MaxRate = 0.95
)

// Bet returns the rate that a bet of size lift means while the reference has
// rate ls: lift times the margin's bound. Rates above MaxRate are not bet on,
// but the smallest lift that would pass it bets on MaxRate itself (previous is
// the next smaller lift, 0 if there is none), so that a total failure on top
// of a high rate is still found. false: no bet.
func (h TwoRate) Bet(lift, previous, ls float64) (float64, bool) {
	bound := h.Bound(ls)
	lc := lift * bound
	if lc > MaxRate {
		if previous*bound > MaxRate {
			return 0, false
		}
		lc = MaxRate
	}
	return lc, lc > bound
}

// Increments writes the log e-value of each lift's bet into out, 0 where there
// is no bet, and adds it to sum when that is not nil: log e-values of strata
// (routes) add up to one stratified test, which no change of the strata's mix
// can fool.
func (h TwoRate) Increments(out, sum []float64, c Counts, lifts []float64, ls float64) {
	if c.NC <= 0 || c.NS <= 0 {
		clear(out)
		return
	}
	previous := 0.0
	for j, lift := range lifts {
		lc, ok := h.Bet(lift, previous, ls)
		previous = lift
		if !ok {
			out[j] = 0
			continue
		}
		out[j] = h.LogE(c, lc, ls)
		if sum != nil {
			sum[j] += out[j]
		}
	}
}

// LLR is the log likelihood ratio of the maximum likelihood estimate against
// H0: the e-value's formula with the estimate as the bet, whose projection is
// the constrained estimate. 0 inside H0.
func (h TwoRate) LLR(c Counts) float64 {
	if c.NC <= 0 || c.NS <= 0 {
		return 0
	}
	lc, ls := c.KC/c.NC, c.KS/c.NS
	if lc <= h.Bound(ls) {
		return 0
	}
	return math.Max(0, h.LogE(c, lc, ls))
}
