package sequential

import "math"

// BestRho is the mixing variance that makes a mixture bound tightest at intrinsic
// time v for level alpha: v / (2 ln(1/a) + ln(1 + 2 ln(1/a))). Source: confseq;
// Howard et al. 2021, section 3.5.
func BestRho(v, alpha float64) float64 {
	l := 2 * math.Log(1/alpha)
	return v / (l + math.Log(1+l))
}

// NormalLogMixture is the logarithm of the two-sided normal mixture
// supermartingale of a sub-Gaussian sum s with intrinsic time v and mixing
// variance rho. Source: Howard et al. 2021, proposition 5.
func NormalLogMixture(s, v, rho float64) float64 {
	return 0.5*math.Log(rho/(v+rho)) + s*s/(2*(v+rho))
}

// NormalBound is the time-uniform two-sided bound of a sub-Gaussian sum at
// intrinsic time v: the s at which NormalLogMixture reaches ln(1/alpha).
func NormalBound(v, alpha, rho float64) float64 {
	return math.Sqrt((v + rho) * (math.Log(1+v/rho) + 2*math.Log(1/alpha)))
}

// BetaBinomialLogMixture is the logarithm of the two-sided beta-binomial mixture
// supermartingale of a sum s of variables within [-g, h] with intrinsic time v
// (g*h per observation) and mixing variance r. Source: Howard et al. 2021,
// proposition 7; confseq.
func BetaBinomialLogMixture(s, v, r, g, h float64) float64 {
	rho := math.Max(r-g*h, 1e-3*g*h)
	return v/(g*h)*math.Log(g+h) -
		(v+h*s)/(h*(g+h))*math.Log(g) - (v-g*s)/(g*(g+h))*math.Log(h) +
		lbeta((rho+v-g*s)/(g*(g+h)), (rho+v+h*s)/(h*(g+h))) - lbeta(rho/(g*(g+h)), rho/(h*(g+h)))
}

// BetaBinomialBound is the s at which BetaBinomialLogMixture reaches
// ln(1/alpha): a time-uniform two-sided bound.
func BetaBinomialBound(v, alpha, r, g, h float64) float64 {
	lo, hi := 0.0, v/g
	for range 100 {
		mid := (lo + hi) / 2
		if BetaBinomialLogMixture(mid, v, r, g, h) < math.Log(1/alpha) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// BinomialCI is the confidence sequence of a binomial rate at k of n, tightest
// around n = nOpt: the rates that the beta-binomial mixture does not reject.
// Source: confseq, Bernoulli confidence interval.
func BinomialCI(k, n, alpha, nOpt float64) (lo, hi float64) {
	reject := func(p float64) bool {
		g, h := p, 1-p
		r := BestRho(g*h*nOpt, alpha)
		return BetaBinomialLogMixture(k-n*p, g*h*n, r, g, h) >= math.Log(1/alpha)
	}
	return invert(k/n, reject)
}

// invert finds the ends of the interval around est within (0,1) that reject
// spares.
func invert(est float64, reject func(float64) bool) (lo, hi float64) {
	end := func(out, in float64) float64 {
		for range 60 {
			if mid := (out + in) / 2; reject(mid) {
				out = mid
			} else {
				in = mid
			}
		}
		return in
	}
	const edge = 1e-9
	in := math.Min(math.Max(est, edge), 1-edge)
	lo, hi = 0, 1
	if reject(edge) {
		lo = end(edge, in)
	}
	if reject(1 - edge) {
		hi = end(1-edge, in)
	}
	return lo, hi
}

// RateCS is the confidence sequence that verdicts show: it covers the mean rate
// over the units so far at all times with probability 1-alpha, also when the
// rate changes in time. It inverts the martingale
//
//	B(k+1/2, n-k+1/2) / B(1/2, 1/2) / (p^k (1-p)^(n-k))
//
// (a beta(1/2,1/2) mixture of Bernoulli likelihood ratios) by Newton's method, so
// that hundreds of checks cost little. Without units it is (0, 1).
func RateCS(k, n, alpha float64) (lo, hi float64) {
	if n <= 0 {
		return 0, 1
	}
	k = math.Min(k, n)
	// k ln p + (n-k) ln(1-p) >= floor keeps p in.
	floor := lbeta(k+0.5, n-k+0.5) - lbeta(0.5, 0.5) - math.Log(1/alpha)
	loglik := func(p float64) float64 {
		v := 0.0
		if k > 0 {
			v += k * math.Log(p)
		}
		if n > k {
			v += (n - k) * math.Log1p(-p)
		}
		return v
	}
	est := k / n
	hi = 1
	if k < n {
		hi = solveSide(loglik, floor, est, k, n, +1)
	}
	if k > 0 {
		lo = solveSide(loglik, floor, est, k, n, -1)
	}
	return lo, hi
}

// solveSide finds the p on one side of est where loglik falls to floor. loglik
// is concave in logit(p), in which Newton's method started outside converges
// from outside; a bracket guards it.
func solveSide(loglik func(float64) float64, floor, est, k, n, side float64) float64 {
	need := math.Max(loglik(clampRate(est))-floor, 1e-9)
	// A start from the quadratic approximation, widened.
	v := math.Max(est*(1-est), 0.5/n)
	p := clampRate(est + side*math.Max(math.Sqrt(2*need*v/n), need/n))
	x := math.Log(p / (1 - p))
	for range 50 {
		p = 1 / (1 + math.Exp(-x))
		f := loglik(p) - floor
		slope := k - n*p
		if slope*side >= 0 {
			x += side * 0.5
			continue
		}
		step := f / slope
		x -= math.Max(-3, math.Min(3, step))
		if math.Abs(step) < 1e-9 {
			break
		}
	}
	return 1 / (1 + math.Exp(-x))
}

func clampRate(p float64) float64 { return math.Min(math.Max(p, 1e-12), 1-1e-12) }

// DKWRadius is the half-width of a band that holds a distribution function at
// every sample size n >= 1 at once, with probability 1-alpha:
//
//	0.85 sqrt((ln ln(e n) + 0.8 ln(1612/alpha)) / n)
//
// Source: Howard & Ramdas 2022, theorem 2 (empirical process of the law of the
// iterated logarithm).
func DKWRadius(n, alpha float64) float64 {
	return 0.85 * math.Sqrt((math.Log(math.Log(math.E*n))+0.8*math.Log(1612/alpha))/n)
}
