package main

import (
	"math"
	"math/rand/v2"
)

// source draws what traffic is made of. One seed gives one course of events.
type source struct{ *rand.Rand }

func newSource(a, b uint64) source { return source{rand.New(rand.NewPCG(a, b))} }

// poisson draws from Poisson(m): by inversion for small means, by Hörmann's
// transformed rejection (PTRS, 1993) for large ones.
func (s source) poisson(m float64) float64 {
	switch {
	case m <= 0:
		return 0
	case m < 12:
		u := s.Float64()
		p := math.Exp(-m)
		k, below := 0.0, p
		for u > below && k < 200 {
			k++
			p *= m / k
			below += p
		}
		return k
	}
	b := 0.931 + 2.53*math.Sqrt(m)
	a := -0.059 + 0.02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	quick := 0.9277 - 3.6224/(b-2)
	for {
		u, v := s.Float64()-0.5, s.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + m + 0.43)
		if us >= 0.07 && v <= quick {
			return k
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v*inverse/(a/(us*us)+b)) <= k*math.Log(m)-m-lg {
			return k
		}
	}
}

// binomial draws from Binomial(n, p): exact below 40 expected, a rounded normal above.
func (s source) binomial(n, p float64) float64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - s.binomial(n, 1-p)
	case n*p >= 40:
		return math.Min(n, math.Max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*s.NormFloat64())))
	}
	u, f := s.Float64(), math.Exp(n*math.Log1p(-p))
	k := 0.0
	for u > f && k < n && f > 1e-300 {
		u -= f
		k++
		f *= p / (1 - p) * (n - k + 1) / k
	}
	return k
}

// gamma draws with mean 1 and the given coefficient of variation (Marsaglia & Tsang).
func (s source) gamma(cv float64) float64 {
	if cv <= 0 {
		return 1
	}
	shape := 1 / (cv * cv)
	d := shape - 1.0/3
	if shape < 1 {
		d = shape + 2.0/3
	}
	c := 1 / math.Sqrt(9*d)
	for {
		x := s.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(s.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			g := d * v
			if shape < 1 {
				g *= math.Pow(s.Float64(), 1/shape)
			}
			return g / shape
		}
	}
}

// clump draws a clump's size: geometric with the mean, or, when heavy, Pareto with
// index 1.5 and about that mean, at most 2,000.
func (s source) clump(mean float64, heavy bool) float64 {
	if heavy {
		return math.Min(2000, math.Max(1, math.Floor(mean/3*math.Pow(1-s.Float64(), -1/1.5))))
	}
	return 1 + math.Floor(math.Log(1-s.Float64())/math.Log(1-1/mean))
}

// episodes marks, per interval, which share of it lies in episodes that start
// perHour times an hour and last mean seconds.
func (s source) episodes(n int, perHour, mean float64) []float64 {
	out := make([]float64, n)
	if perHour <= 0 {
		return out
	}
	for at, end := 0.0, float64(n)*scrape; ; {
		at += s.ExpFloat64() * 3600 / perHour
		if at >= end {
			return out
		}
		until := math.Min(at+s.ExpFloat64()*mean, end)
		for i := int(at / scrape); i < n && float64(i)*scrape < until; i++ {
			share := (math.Min(until, float64(i+1)*scrape) - math.Max(at, float64(i)*scrape)) / scrape
			out[i] = math.Min(1, out[i]+share)
		}
		at = until
	}
}

// shared marks, per pod and interval, which share of it lies in episodes of all pods
// at once, times how hard the episode hits the pod: exponential, mean 1.
func (s source) shared(n, pods int, perHour, mean float64) [][]float64 {
	when := s.episodes(n, perHour, mean)
	out := make([][]float64, pods)
	for i := range out {
		out[i] = make([]float64, n)
		hit := 1.0
		for t, share := range when {
			if share > 0 && (t == 0 || when[t-1] == 0) {
				hit = s.ExpFloat64()
			}
			out[i][t] = share * hit
		}
	}
	return out
}
