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

// Samples of Kayenta's ClassifierSuite with their published classes: thirty draws
// around 10, thirty more, and thirty around 20 (for high, those of its test of low
// against its first).
func TestKayentaClasses(t *testing.T) {
	ten := []float64{11.1453586774086, 9.9618059885597017, 7.068574306369829, 7.3012661810483657, 9.7944630265656727, 9.6037918603687302, 6.1867793350339388, 12.345599159550174, 10.371891733859533, 8.6094300785016724, 9.913162673361084, 10.361375299003466, 14.206800387518818, 10.946153754753301, 10.215876627044048, 11.739760899484603, 10.907627468626439, 12.823353694464775, 8.1018609771732137, 8.4981616408804932, 12.113441374697231, 13.272210809932028, 10.114579381663297, 6.9463958767978067, 6.2105278541727778, 10.160401684903775, 8.3457712066455461, 8.383822063895833, 7.0020205070083765, 10.755757401808442}
	same := []float64{9.7767343120109462, 10.587071850477695, 7.8375506388901766, 9.3243326886113884, 8.3774505409784421, 8.9359264399606282, 8.2707663324728511, 9.7484308126716925, 11.623746715547156, 9.2753442679633942, 8.1538047749171518, 10.562020975754294, 13.498135575451835, 11.054419256110332, 6.9538903590055092, 12.521008342195479, 9.0216358603546443, 4.9234856699531662, 11.251360203607172, 11.598449508040337, 8.435232204668182, 11.110228516867279, 10.70063380164755, 8.9212773652115249, 10.086167067942661, 11.42107515483087, 9.3792347813644952, 7.7980320148552593, 10.62339807275746, 11.909642062063739}
	twenty := []float64{20.758113589510348, 22.802059629464559, 20.612340363492208, 20.973274654749986, 23.469237330498622, 21.53133988954805, 21.767353687439805, 18.308050730374301, 19.062145167827566, 25.879498436001779, 18.982629726336128, 19.387920182269266, 18.995398251246982, 24.228420230932805, 20.050985172694688, 18.2340451091756, 17.870515494460435, 23.058103863806618, 18.400259567501134, 16.971352091177167, 19.467529066052151, 17.90465423342031, 17.553948617825831, 16.104611843907193, 24.38171081433039, 15.919294339922635, 20.479409626304697, 19.08307201492406, 17.455788050722866, 18.853826823235142}
	for _, c := range []struct {
		name             string
		canary, baseline []float64
		want             KayentaResult
	}{
		{"pass", same, ten, KayentaPass},
		{"high", twenty, ten, KayentaHigh},
		{"low", same, twenty, KayentaLow},
	} {
		if got, ok := KayentaClass(c.canary, c.baseline); got != c.want || !ok {
			t.Errorf("%s: %v, %t", c.name, got, ok)
		}
	}
}
