package main

import (
	"fmt"
	"math"
)

// The service that is simulated: 20 routes with Zipf shares, 20 pods, 15 s
// scrapes, an hour of history, steps of 5, 25 and 50 %.
const (
	routes         = 20
	allPods        = 20
	scrape         = 15.0 // seconds
	historyScrapes = 240
	maxScrapes     = 520
	conversionRate = 0.02
)

type stepPlan struct {
	weight float64
	pods   int // of the canary
	gate   float64
}

var plan = []stepPlan{{0.05, 1, 10}, {0.25, 5, 10}, {0.50, 10, 15}}

var (
	routeName  [routes]string
	routeShare [routes]float64
	routeScale [routes]float64 // median latency, seconds
)

func init() {
	sum := 0.0
	for r := range routes {
		routeName[r] = fmt.Sprintf("/r%02d", r+1)
		routeIndex[routeName[r]] = r
		routeShare[r] = 1 / float64(r+1)
		sum += routeShare[r]
		// Medians spread over a factor of 12, in an order unrelated to the shares.
		routeScale[r] = math.Pow(12, float64(r*7%routes)/(routes-1))
	}
	for r := range routes {
		routeShare[r] /= sum
	}
	// Scaled so that the p99 of all requests together is 0.38 s.
	lo, hi := 1e-4, 10.0
	for range 60 {
		mid := math.Sqrt(lo * hi)
		below := 0.0
		for r := range routes {
			below += routeShare[r] * latencyCDF(0.38, mid*routeScale[r])
		}
		if below > 0.99 {
			lo = mid
		} else {
			hi = mid
		}
	}
	for r := range routes {
		routeScale[r] *= lo
	}
}

// latencyCDF is the share of requests within x of a route with median m: 99 %
// lognormal (m, 0.4), 1 % lognormal (6m, 0.6).
func latencyCDF(x, m float64) float64 {
	phi := func(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }
	return 0.99*phi(math.Log(x/m)/0.4) + 0.01*phi(math.Log(x/(6*m))/0.6)
}

func latencyQuantile(q, m float64) float64 {
	lo, hi := m*1e-3, m*1e4
	for range 80 {
		if mid := math.Sqrt(lo * hi); latencyCDF(mid, m) < q {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// slower is an effect on latency: quantiles above from are stretched by 1+by.
type slower struct{ from, by float64 }

func (e slower) cdf(x, m float64) float64 {
	switch {
	case e.by == 0:
		return latencyCDF(x, m)
	case e.from <= 0:
		return latencyCDF(x/(1+e.by), m)
	}
	edge := latencyQuantile(e.from, m)
	switch {
	case x < edge:
		return latencyCDF(x, m)
	case x <= edge*(1+e.by):
		return e.from
	}
	return latencyCDF(x/(1+e.by), m)
}

// layout is a histogram's bounds, the last infinite.
func layout(classic bool) []float64 {
	if classic { // OpenTelemetry's advice for http.server.request.duration
		return []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, math.Inf(1)}
	}
	var b []float64 // a native histogram of schema 3
	for i := -72; i <= 40; i++ {
		b = append(b, math.Exp2(float64(i)/8))
	}
	return append(b, math.Inf(1))
}

// shape is a latency distribution over a layout, with an alias table for cheap draws.
type shape struct {
	p     []float64
	keep  []float64
	other []int
}

func newShape(bounds []float64, cdf func(x float64) float64) shape {
	n := len(bounds)
	s := shape{p: make([]float64, n), keep: make([]float64, n), other: make([]int, n)}
	below := 0.0
	for i, b := range bounds {
		c := 1.0
		if !math.IsInf(b, 1) {
			c = math.Max(below, cdf(b))
		}
		s.p[i], below = c-below, c
	}
	var small, large []int
	q := make([]float64, n)
	for i, p := range s.p {
		if q[i] = p * float64(n); q[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		a, b := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		s.keep[a], s.other[a] = q[a], b
		if q[b] -= 1 - q[a]; q[b] < 1 {
			large, small = large[:len(large)-1], append(small, b)
		}
	}
	for _, i := range append(small, large...) {
		s.keep[i], s.other[i] = 1, i
	}
	return s
}

// fill adds Poisson(m) requests to h and returns how many.
func (s *shape) fill(rng source, h []float64, m float64) float64 {
	if m > 3*float64(len(h)) {
		n := 0.0
		for i, p := range s.p {
			if p > 0 {
				k := rng.poisson(m * p)
				h[i] += k
				n += k
			}
		}
		return n
	}
	n := rng.poisson(m)
	for range int(n) {
		u := rng.Float64() * float64(len(h))
		i := int(u)
		if u-float64(i) >= s.keep[i] {
			i = s.other[i]
		}
		h[i]++
	}
	return n
}

// above is the distribution's share beyond a bound.
func (s *shape) above(bounds []float64, b float64) float64 {
	sum := 0.0
	for i := range s.p {
		if i > 0 && bounds[i-1] >= b*(1-1e-9) {
			sum += s.p[i]
		}
	}
	return sum
}
