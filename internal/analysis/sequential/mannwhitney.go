package sequential

import (
	"cmp"
	"math"
	"slices"
)

// MannWhitneyZ is the z-value of the Mann-Whitney test of x-shift against y, by
// the normal approximation with corrections for ties and continuity, and U, the
// statistic of x. false when all values are tied. Source: Mann & Whitney 1947;
// as in R's wilcox.test and Kayenta.
func MannWhitneyZ(x, y []float64, shift float64) (z, u float64, ok bool) {
	type value struct {
		v   float64
		ofX bool
	}
	all := make([]value, 0, len(x)+len(y))
	for _, v := range x {
		all = append(all, value{v - shift, true})
	}
	for _, v := range y {
		all = append(all, value{v, false})
	}
	slices.SortFunc(all, func(a, b value) int { return cmp.Compare(a.v, b.v) })
	ranks, ties := 0.0, 0.0
	for i := 0; i < len(all); {
		k := i
		for k < len(all) && all[k].v == all[i].v {
			k++
		}
		for _, v := range all[i:k] {
			if v.ofX {
				ranks += float64(i+k+1) / 2
			}
		}
		m := float64(k - i)
		ties += m*m*m - m
		i = k
	}
	nx, ny := float64(len(x)), float64(len(y))
	u = ranks - nx*(nx+1)/2
	d := u - nx*ny/2
	switch {
	case d > 0:
		d -= 0.5
	case d < 0:
		d += 0.5
	}
	v := nx * ny / 12 * (nx + ny + 1 - ties/((nx+ny)*(nx+ny-1)))
	if v <= 0 {
		return 0, u, false
	}
	return d / math.Sqrt(v), u, true
}

// MannWhitneyExact is the exact two-sided p-value for samples without ties: how
// often U is as far from its mean among all orders.
func MannWhitneyExact(x, y []float64) float64 {
	_, u, _ := MannWhitneyZ(x, y, 0)
	nx, ny := len(x), len(y)
	// ways[k][s] counts the choices of k ranks with a U of s.
	ways := make([][]float64, nx+1)
	for k := range ways {
		ways[k] = make([]float64, nx*ny+1)
	}
	ways[0][0] = 1
	for rank := range nx + ny {
		for k := min(rank+1, nx); k >= 1; k-- {
			beaten := rank - (k - 1) // values of y below, when this rank is x's k-th
			for s := nx * ny; s >= beaten; s-- {
				if beaten >= 0 && beaten <= ny {
					ways[k][s] += ways[k-1][s-beaten]
				}
			}
		}
	}
	total, far := 0.0, 0.0
	mean := float64(nx*ny) / 2
	for s, w := range ways[nx] {
		total += w
		if math.Abs(float64(s)-mean) >= math.Abs(u-mean) {
			far += w
		}
	}
	return far / total
}

// HodgesLehmann is the median of all differences x-y: the shift's estimate.
func HodgesLehmann(x, y []float64) float64 {
	d := make([]float64, 0, len(x)*len(y))
	for _, a := range x {
		for _, b := range y {
			d = append(d, a-b)
		}
	}
	slices.Sort(d)
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// ShiftCI is the confidence interval of the shift: where MannWhitneyZ crosses the
// normal quantiles of the confidence, found by bisection between the extreme
// differences, as R does. false when it cannot be had for ties.
func ShiftCI(x, y []float64, confidence float64) (lo, hi float64, ok bool) {
	zq := NormalQuantile(1 - (1-confidence)/2)
	root := func(target float64) (float64, bool) {
		a, b := slices.Min(x)-slices.Max(y), slices.Max(x)-slices.Min(y)
		za, _, ok1 := MannWhitneyZ(x, y, a)
		zb, _, ok2 := MannWhitneyZ(x, y, b)
		switch {
		case !ok1 || !ok2:
			return 0, false
		case za <= target:
			return a, true
		case zb >= target:
			return b, true
		}
		for range 60 {
			mid := (a + b) / 2
			z, _, ok := MannWhitneyZ(x, y, mid)
			if !ok {
				return 0, false
			}
			if z > target {
				a = mid
			} else {
				b = mid
			}
		}
		return (a + b) / 2, true
	}
	lo, ok1 := root(zq)
	hi, ok2 := root(-zq)
	return lo, hi, ok1 && ok2
}

// KayentaResult is the class of a metric.
type KayentaResult int

// The classes.
const (
	KayentaPass KayentaResult = iota
	KayentaHigh
	KayentaLow
)

// kayentaTolerance and kayentaConfidence are what Kayenta's NetflixACAJudge uses.
const (
	kayentaTolerance  = 0.25
	kayentaConfidence = 0.98
)

// KayentaClass classifies the canary's samples against the baseline's as
// Kayenta's MannWhitneyClassifier does: High when the shift's interval lies above a
// quarter of the estimate and the mean did not fall, Low the other way round.
// false without samples, or when ties leave no interval.
func KayentaClass(canary, baseline []float64) (KayentaResult, bool) {
	return KayentaClassWith(canary, baseline, kayentaTolerance, kayentaConfidence)
}

// KayentaClassWith is KayentaClass with another tolerance and confidence.
func KayentaClassWith(canary, baseline []float64, tolerance, confidence float64) (KayentaResult, bool) {
	if len(canary) == 0 || len(baseline) == 0 {
		return KayentaPass, false
	}
	a, b := slices.Sorted(slices.Values(canary)), slices.Sorted(slices.Values(baseline))
	if slices.Equal(a, b) {
		return KayentaPass, true
	}
	lo, hi, ok := ShiftCI(canary, baseline, confidence)
	if !ok {
		return KayentaPass, false
	}
	critical := tolerance * math.Abs(HodgesLehmann(canary, baseline))
	mc, mb := mean(canary), mean(baseline)
	none := mc == 0 || mb == 0
	switch {
	case lo > critical && (none || mc >= mb):
		return KayentaHigh, true
	case hi < -critical && (none || mc <= mb):
		return KayentaLow, true
	}
	return KayentaPass, true
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}
