package sequential

import (
	"math"
	"slices"
	"testing"
)

// near checks a known answer.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

// The published values of confseq's uniform_boundaries tests (v_opt = 100,
// alpha_opt = 0.05).
func TestConfseqVectors(t *testing.T) {
	rho := BestRho(100, 0.05)
	near(t, "best rho", rho, 12.60056, 1e-5)
	near(t, "normal log mixture(10, 100)", NormalLogMixture(10, 100, rho), -0.6510052, 1e-6)
	near(t, "normal bound(100)", NormalBound(100, 0.05, rho), 30.35209, 1e-5)
	near(t, "beta-binomial log mixture(10, 100)", BetaBinomialLogMixture(10, 100, rho, 0.2, 0.8), -0.6941012, 1e-6)
	near(t, "beta-binomial bound(100)", BetaBinomialBound(100, 0.05, rho, 0.2, 0.8), 31.4308, 1e-4)
	lo, hi := BinomialCI(700, 1000, 0.05, 100)
	near(t, "Bernoulli CI 700/1000, low", lo, 0.651629, 1e-5)
	near(t, "Bernoulli CI 700/1000, high", hi, 0.745949, 1e-5)
	lo, hi = BinomialCI(15, 50, 0.05, 50)
	near(t, "Bernoulli CI 15/50, low", lo, 0.129556, 1e-5)
	near(t, "Bernoulli CI 15/50, high", hi, 0.511896, 1e-5)
}

func TestDKWVectors(t *testing.T) {
	for n, want := range map[float64]float64{100: .269175822, 1000: .086569128, 10000: .027710745, 100000: .008846345} {
		near(t, "DKW radius", DKWRadius(n, 0.05), want, 1e-9)
	}
}

func TestTwoRateVectors(t *testing.T) {
	h := TwoRate{1.1, 0.0002}
	x, y := h.project(300, 5700, 0.02, 0.003)
	near(t, "x0", x, 0.004363766001, 1e-12)
	near(t, "y0", y, 0.003785241819, 1e-12)
	near(t, "log e", h.LogE(Counts{12, 300, 20, 5700}, 0.02, 0.003), 13.4038203973, 1e-9)

	// With Delta = 0 it is the conditional binomial likelihood ratio, whatever ls.
	h = TwoRate{Rho: 1.1}
	c := Counts{7, 300, 40, 5700}
	near(t, "log e, delta 0", h.LogE(c, 2*1.1*0.37, 0.37), 2.3478060331, 1e-9)
	theta := func(g float64) float64 { return 300 * g * 1.1 / (300*g*1.1 + 5700) }
	lr := 7*math.Log(theta(2)/theta(1)) + 40*math.Log((1-theta(2))/(1-theta(1)))
	near(t, "conditional ratio", h.LogE(c, 2*1.1*0.004, 0.004), lr, 1e-9)
}

func TestBayesFactorVectors(t *testing.T) {
	near(t, "Beta(1,1)", BetaBinomialBayesFactor(4, 20, 0.05, 1, 1), 3.572968784004, 1e-9)
	near(t, "Beta(5,95)", BetaBinomialBayesFactor(4, 20, 0.05, 5, 95), 1.493428607863, 1e-9)
	near(t, "Dirichlet-multinomial", math.Exp(DirichletMultinomialLog([]float64{13, 37, 70}, []float64{.1, .4, .5}, 1)), 0.129955058792, 1e-9)
}

func TestBinomialTailVectors(t *testing.T) {
	near(t, "P(Bin(20,.05)>=4)", BinomialTail(20, 4, 0.05), 0.01590152601976, 1e-12)
	near(t, "P(Bin(20,11/201)>=5)", BinomialTail(20, 5, 11.0/201), 0.00380579455702, 1e-12)
	near(t, "all of them", BinomialTail(20, 0, 0.05), 1, 0)
	near(t, "more than all", BinomialTail(20, 21, 0.05), 0, 0)
}

func TestEBHVectors(t *testing.T) {
	for _, c := range []struct {
		e    []float64
		want []int
	}{
		{[]float64{500, 90, 60, 30, 2, 1, .5, .2, .1, 0}, []int{0}},
		{[]float64{300, 90, 70, 30, 2, 1, .5, .2, .1, 0}, []int{0, 1, 2}},
		{[]float64{1, 1, 1}, []int{}},
		{nil, nil},
	} {
		if got := EBH(c.e, 0.05); !slices.Equal(got, c.want) {
			t.Errorf("EBH(%v) = %v, want %v", c.e, got, c.want)
		}
	}
}

func TestMannWhitneyVectors(t *testing.T) {
	// scipy.stats.mannwhitneyu's documentation.
	males, females := []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}
	z, u, _ := MannWhitneyZ(males, females, 0)
	near(t, "U", u, 17, 0)
	near(t, "asymptotic p", 2*(1-NormalCDF(math.Abs(z))), 0.11134688653314041, 1e-12)
	near(t, "exact p", MannWhitneyExact(males, females), 1.0/9, 1e-12)
	// ClickHouse's documentation.
	z, u, _ = MannWhitneyZ([]float64{10, 11, 12}, []float64{1, 2, 3}, 0)
	near(t, "U", u, 9, 0)
	near(t, "greater p", 1-NormalCDF(z), 0.04042779918503192, 1e-12)
}

// Kayenta's MannWhitneySuite.
func TestKayentaVectors(t *testing.T) {
	x, y := []float64{10, 20, 30, 40}, []float64{1, 2, 3, 4}
	lo, hi, ok := ShiftCI(x, y, 0.95)
	if !ok {
		t.Fatal("no interval")
	}
	near(t, "low", lo, 6, 1e-5)
	near(t, "high", hi, 39, 1e-5)
	near(t, "Hodges-Lehmann", HodgesLehmann(x, y), 22.5, 0)
	for _, c := range []struct {
		canary, baseline []float64
		want             KayentaResult
		ok               bool
		reason           string
	}{
		{x, x, KayentaPass, true, "the same samples pass without a test"},
		{nil, y, KayentaPass, false, "no samples are no pass"},
		{[]float64{0, 0, 0}, []float64{0, 0, 0, 0}, KayentaPass, false, "all tied: no interval"},
	} {
		got, ok := KayentaClass(c.canary, c.baseline)
		if got != c.want || ok != c.ok {
			t.Errorf("%s: got %v %v", c.reason, got, ok)
		}
	}
	var up, flat []float64
	for i := range 30 {
		flat = append(flat, float64(10+i%5))
		up = append(up, float64(20+i%5))
	}
	if got, _ := KayentaClass(up, flat); got != KayentaHigh {
		t.Errorf("twice as high: %v", got)
	}
	if got, _ := KayentaClass(flat, up); got != KayentaLow {
		t.Errorf("half: %v", got)
	}
}
