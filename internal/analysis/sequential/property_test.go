package sequential

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func poissonPMF(k int, m float64) float64 {
	return math.Exp(-m + float64(k)*math.Log(m) - lgamma(float64(k)+1))
}

func binomialPMF(k, n int, p float64) float64 {
	return math.Exp(lgamma(float64(n)+1) - lgamma(float64(k)+1) - lgamma(float64(n-k)+1) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// The e-value's expectation is 1 on the whole boundary for Poisson counts, at
// most 1 inside the null and for binomial counts: summed over all outcomes.
func TestExpectation(t *testing.T) {
	for _, c := range []struct{ rho, delta, lift, ls float64 }{{1.1, .005, 2, .02}, {1, 0, 3, .05}, {1, .01, 1.5, .01}, {1.3, .002, 5, .004}} {
		h := TwoRate{c.rho, c.delta}
		lc := c.lift * h.Bound(c.ls)
		mean := func(tc, ts float64, binomial bool) float64 {
			sum := 0.0
			for kc := range 51 {
				for ks := range 121 {
					p := poissonPMF(kc, 50*tc) * poissonPMF(ks, 200*ts)
					if binomial {
						p = binomialPMF(kc, 50, tc) * binomialPMF(ks, 200, ts)
					}
					sum += p * math.Exp(h.LogE(Counts{float64(kc), 50, float64(ks), 200}, lc, c.ls))
				}
			}
			return sum
		}
		for _, ts := range []float64{c.ls / 3, c.ls, 2 * c.ls} {
			b := h.Bound(ts)
			near(t, "E on the boundary", mean(b, ts, false), 1, 1e-6)
			if e := mean(b, ts, true); e > 1+1e-9 {
				t.Errorf("binomial at ls=%g: E=%.9f > 1", ts, e)
			}
			if e := mean(0.8*b, ts, false); e > 1 {
				t.Errorf("inside the null at ls=%g: E=%.9f > 1", ts, e)
			}
		}
	}
}

func poisson(rng *rand.Rand, m float64) float64 {
	if m > 40 {
		return math.Max(0, math.Round(m+math.Sqrt(m)*rng.NormFloat64()))
	}
	l, k, p := math.Exp(-m), 0.0, 1.0
	for {
		p *= rng.Float64()
		if p <= l {
			return k
		}
		k++
	}
}

var testLifts = []float64{1.07, 1.2, 1.4, 1.8, 2.5, 5, 15, 60, 300}

// Ville's inequality at the boundary, at every look, also when the common rate
// drifts: sup E reaches 20 in at most 5 % of the rollouts.
func TestVille(t *testing.T) {
	const trials = 1500
	h := TwoRate{1.1, 0.0002}
	for name, drift := range map[string]func(s int) float64{
		"constant": func(int) float64 { return 1 },
		"ramp":     func(s int) float64 { return 0.5 + float64(s)/70 },
		"incident": func(s int) float64 {
			if s > 40 && s < 60 {
				return 10
			}
			return 1
		},
	} {
		rng := rand.New(rand.NewPCG(3, 4))
		hits := 0
		inc := make([]float64, len(testLifts))
		for range trials {
			m := NewMixture(len(testLifts))
			for s := range 140 {
				ls := 0.01 * drift(s)
				h.Increments(inc, nil, Counts{poisson(rng, 75*h.Bound(ls)), 75, poisson(rng, 1425*ls), 1425}, testLifts, 0.01)
				m.Add(inc)
				if m.E() >= 20 {
					hits++
					break
				}
			}
		}
		if f := float64(hits) / trials; f > 0.05+3*math.Sqrt(0.05*0.95/trials) {
			t.Errorf("%s: sup E >= 20 in %.1f %% of the rollouts", name, 100*f)
		}
	}
}

// With a spread the null contains unlucky pods: the discounted e-process keeps
// Ville's bound when the factor is drawn per step, the plain one does not.
func TestDiscountedVille(t *testing.T) {
	const trials = 1500
	h := TwoRate{1, 0}
	s := Spread{Sigma: 0.3}
	factors := s.Factors()
	rng := rand.New(rand.NewPCG(5, 6))
	plain, discounted := 0, 0
	inc, luck := make([]float64, len(testLifts)), make([]float64, len(factors))
	for range trials {
		m := NewMixture(len(testLifts))
		var d Discount
		hitPlain, hitDisc, drawn := false, false, 1.0
		for step := range 140 {
			if step%70 == 0 {
				d.Begin()
			}
			if step%70 == 0 {
				// Student's t with 19 degrees of freedom
				chi := 0.0
				for range 19 {
					z := rng.NormFloat64()
					chi += z * z
				}
				drawn = math.Exp(s.Sigma * rng.NormFloat64() / math.Sqrt(chi/19))
			}
			c := Counts{poisson(rng, 750*0.01*drawn), 750, poisson(rng, 14250*0.01), 14250}
			h.Increments(inc, nil, c, testLifts, 0.01)
			h.Increments(luck, nil, c, factors, 0.01)
			m.Add(inc)
			d.Add(luck)
			hitPlain = hitPlain || m.E() >= 20
			hitDisc = hitDisc || m.E()*math.Exp(-d.Log()) >= 20
		}
		if hitPlain {
			plain++
		}
		if hitDisc {
			discounted++
		}
	}
	if f := float64(discounted) / trials; f > 0.05+3*math.Sqrt(0.05*0.95/trials) {
		t.Errorf("discounted: sup E >= 20 in %.1f %% of the rollouts", 100*f)
	}
	if f := float64(plain) / trials; f < 0.3 {
		t.Errorf("plain: only %.1f %%, so this test shows nothing", 100*f)
	}
}

func TestNoDataIsNoEvidence(t *testing.T) {
	h := TwoRate{1.1, 0.0002}
	if v := h.LogE(Counts{}, 0.1, 0.01); v != 0 {
		t.Errorf("log e without data = %g", v)
	}
	m := NewMixture(3)
	near(t, "E of a new mixture", m.E(), 1, 0)
	inc := make([]float64, 3)
	for range 500 {
		h.Increments(inc, nil, Counts{}, testLifts[:3], 0.01)
		m.Add(inc)
	}
	near(t, "E after 500 empty intervals", m.E(), 1, 1e-9)
	var d Discount
	d.Begin()
	near(t, "discount without spread", d.Log(), 0, 0)
	if lo, hi := RateCS(0, 0, 0.05); lo != 0 || hi != 1 {
		t.Errorf("RateCS without data = %g, %g", lo, hi)
	}
	ni := NewNonInferiority()
	near(t, "excess without data", ni.Upper(0.05, nil), 1, 0)
	near(t, "look without data", h.LookP(Counts{}, 1), 1, 0)
}

// More errors on the canary never lower the evidence.
func TestMonotone(t *testing.T) {
	h := TwoRate{1.1, 0.0002}
	for _, lift := range testLifts {
		lc, ok := h.Bet(lift, 0, 0.003)
		if !ok {
			continue
		}
		last, lastP := math.Inf(-1), 1.0
		for kc := range 200 {
			c := Counts{float64(kc), 300, 20, 5700}
			v := h.LogE(c, lc, 0.003)
			if v < last {
				t.Fatalf("lift %g: log e falls at kc=%d", lift, kc)
			}
			last = v
			if p := h.LookP(c, 1); p > lastP+1e-12 {
				t.Fatalf("p rises at kc=%d", kc)
			} else {
				lastP = p
			}
		}
	}
}

// Splitting an interval changes nothing when Delta is 0.
func TestSplitting(t *testing.T) {
	h := TwoRate{Rho: 1.1}
	whole := h.LogE(Counts{10, 600, 50, 11400}, 0.02, 0.003)
	half := h.LogE(Counts{3, 300, 30, 5700}, 0.02, 0.003) + h.LogE(Counts{7, 300, 20, 5700}, 0.02, 0.003)
	near(t, "two halves", half, whole, 1e-9)
}

// Every corner of the counts gives a number.
func TestNumbers(t *testing.T) {
	counts := []Counts{{0, 1, 0, 1}, {1, 1, 0, 1}, {0, 1, 1, 1}, {1e6, 1e6, 0, 1e9}, {0, 1e9, 1e9, 1e9}, {5, 0, 3, 10}, {5, 10, 3, 0}, {1e7, 1e7, 1e7, 1e7}}
	for _, h := range []TwoRate{{1, 0}, {1.1, 0.0002}, {1, 0.7}, {3, 0}} {
		for _, ls := range []float64{0, 1e-12, 1e-4, 0.5, 0.94, 1} {
			inc := make([]float64, len(testLifts))
			for _, c := range counts {
				h.Increments(inc, nil, c, testLifts, ls)
				m := NewMixture(len(testLifts))
				for range 50 {
					m.Add(inc)
				}
				if e := m.E(); math.IsNaN(e) || math.IsInf(e, 0) || e < 0 {
					t.Errorf("%+v ls=%g %+v: E=%g (increments %v)", h, ls, c, e, inc)
				}
				if p := h.LookP(c, 1); !(p >= 0 && p <= 1) {
					t.Errorf("%+v %+v: p=%g", h, c, p)
				}
				if v := h.LLR(c); math.IsNaN(v) || v < 0 {
					t.Errorf("%+v %+v: LLR=%g", h, c, v)
				}
			}
		}
	}
	if _, ok := (TwoRate{1.1, 0.0002}).Bet(60, 15, 0.2); ok {
		t.Error("two bets beyond MaxRate")
	}
	if lc, ok := (TwoRate{1.1, 0.0002}).Bet(5, 2.5, 0.3); !ok || lc != MaxRate {
		t.Errorf("the first bet beyond MaxRate is %g %v, want MaxRate", lc, ok)
	}
}

// The shown interval covers the rate at all times together.
func TestRateCSCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, p := range []float64{0.001, 0.02, 0.5} {
		missed := 0
		const trials = 400
		for range trials {
			k, n := 0.0, 0.0
			for range 100 {
				for range 50 {
					n++
					if rng.Float64() < p {
						k++
					}
				}
				if lo, hi := RateCS(k, n, 0.05); p < lo || p > hi {
					missed++
					break
				}
			}
		}
		if f := float64(missed) / trials; f > 0.05+3*math.Sqrt(0.05*0.95/trials) {
			t.Errorf("p=%g: missed in %.1f %%", p, 100*f)
		}
	}
	lo, hi := RateCS(700, 1000, 0.05)
	if !(lo > 0.6 && lo < 0.7 && hi > 0.7 && hi < 0.8) {
		t.Errorf("RateCS(700, 1000) = %g, %g", lo, hi)
	}
}

func TestMixtureSurvivesJSON(t *testing.T) {
	m := NewMixture(2)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Mixture
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*Mixture{&m, &back} {
		x.Add([]float64{0.3, -0.2})
	}
	near(t, "E after JSON", back.E(), m.E(), 0)
}

// A plan's detectable rate takes the planned units to find.
func TestPlan(t *testing.T) {
	// The worked example of 100 requests/s, 5 % of them, 0.1 % -> 0.6 %: some 380 s.
	p := Plan{TwoRate{1.1, 0.0002}, math.Log(1 / (0.01 * 0.3)), len(testLifts)}
	units := p.Units(0.006, 0.001)
	near(t, "seconds", units/5, 380, 40)
	near(t, "the rate back", p.Detectable(units, 0.001), 0.006, 1e-6)
	if !math.IsInf(p.Units(0.0011, 0.001), 1) {
		t.Error("inside the margin nothing is ever found")
	}
}

func TestQuantileCS(t *testing.T) {
	d := Distribution{Bounds: []float64{.1, .2, .5, 1}, Cum: []float64{500, 900, 990, 999}, N: 1000}
	lo, hi := d.QuantileCS(0.5, 0.05)
	if lo > 0.1 || hi < 0.1 || hi > 0.2 {
		t.Errorf("median within [%g, %g], want around 0.1", lo, hi)
	}
	if _, hi := d.QuantileCS(0.9999, 0.05); !math.IsInf(hi, 1) {
		t.Errorf("p99.99 has an upper end of %g, beyond the histogram", hi)
	}
	lo, hi = RatioCS(d, d, 0.9, 0.05)
	if lo > 1 || hi < 1 {
		t.Errorf("ratio of equals within [%g, %g]", lo, hi)
	}
}

func TestAsympCS(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	missed, found := 0, 0
	for range 300 {
		var same, lower MeanDiff
		out := false
		for range 120 {
			same.AddC(10 + rng.NormFloat64())
			same.AddS(10 + rng.NormFloat64())
			lower.AddC(9 + rng.NormFloat64())
			lower.AddS(10 + rng.NormFloat64())
			if _, lo, hi := same.AsympCS(0.05, 60); same.NC >= 10 && (lo > 0 || hi < 0) {
				out = true
			}
		}
		if out {
			missed++
		}
		if _, _, hi := lower.AsympCS(0.05, 60); hi < 0 {
			found++
		}
	}
	if missed > 30 || found < 290 {
		t.Errorf("missed %d of 300, found %d of 300", missed, found)
	}
}
