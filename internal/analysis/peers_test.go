package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// The estimate of how pods differ is unbiased, and 0 where they do not.
func TestPeersVariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	usual := usually{rate: 0.001, phi: 1}
	estimate := func(hit func() float64, usual usually) (mean float64, positive int) {
		const trials = 400
		for range trials {
			p := peers{}
			parts := map[string]Count{}
			for i := range 19 {
				parts[fmt.Sprint(i)] = Count{poissonDraw(rng, 0.05*300*hit()), 300}
			}
			p.add(parts, 15*time.Second)
			if v := p.variance((*peer).now, usual); v > 0 {
				mean += v / trials
				positive++
			}
		}
		return mean, positive
	}
	even := func() float64 { return 1 }
	if mean, _ := estimate(rng.ExpFloat64, usual); math.Abs(mean-1) > 0.15 {
		t.Errorf("an incident that hits pods with a coefficient of variation of 1: its square is estimated as %.2f", mean)
	}
	if mean, _ := estimate(even, usual); mean > 0.04 {
		t.Errorf("an even incident: %.3f, want about the standard error of 0.02", mean)
	}
	if _, n := estimate(even, usually{rate: 0.05, phi: 1}); n > 12 {
		t.Errorf("stable as usual: %d of 400 found to differ", n)
	}
	burst := peers{}
	parts := map[string]Count{}
	for i := range 19 {
		parts[fmt.Sprint(i)] = Count{1, 300}
	}
	parts["7"] = Count{60, 300}
	burst.add(parts, 15*time.Second)
	if v := burst.variance((*peer).now, usually{rate: 0.003, phi: 1}); v != 0 {
		t.Errorf("one pod's burst is taken for a spread of %.2f", v)
	}
}

func poissonDraw(rng *rand.Rand, m float64) float64 {
	k, p := 0.0, rng.Float64()
	for p > math.Exp(-m) {
		p *= rng.Float64()
		k++
	}
	return k
}

// An incident of an hour that the pods' differences explain is explained to its end, and
// what they do not explain is found in it.
func TestLongUnevenIncident(t *testing.T) {
	for _, c := range []struct {
		explained float64 // of each interval's evidence, in nats
		harm      bool
	}{{3, false}, {2.8, true}} {
		s := testState{Mix: sequential.NewMixture(len(errorLifts))}
		g := &GuardPair{Cap: 3, Phi: 1}
		factors := sequential.Spread{Sigma: 0.8}.Factors()
		inc, dinc := make([]float64, len(errorLifts)), make([]float64, len(factors))
		for range 240 {
			for i := range inc {
				inc[i] = 3
			}
			for i := range dinc {
				dinc[i] = c.explained
			}
			s.add(inc, dinc, errorLifts, factors, g)
		}
		if e := s.e(); e >= 100 != c.harm || math.IsNaN(e) || math.IsInf(e, 0) {
			t.Errorf("%g of 3 nats explained in each of 240 scrapes: an e-value of %g", c.explained, e)
		}
	}
}

// An incident of three minutes in stable too, that hits the canary's one pod four
// times as hard as the mean: no evidence against the version where stable's pods
// differ as much, harm where they do not, and harm in both where it goes on alone.
func TestUnevenIncident(t *testing.T) {
	hits := []float64{3.1, 2.4, 1.9, 1.6, 1.4, 1.2, 1.1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.3, 0.2, 0.1}
	for _, c := range []struct {
		name   string
		uneven bool
		lasts  bool
		want   Decision
	}{
		{"uneven", true, false, Continue},
		{"even, the canary alone is hit harder", false, false, Rollback},
		{"uneven, and the canary goes on failing", true, true, Rollback},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Frozen{From: epoch.Add(-time.Hour), To: epoch, Routes: []FrozenRoute{{Route: "/a", Requests: 360_000, Errors: 720}, {Route: OtherRoute}},
				Pool: 0.002, Pods: 20, ErrorsEverSeen: true}
			j, err := New(Default(), f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Begin(StepContext{Weight: 0.05, NextWeight: 0.25, Start: epoch, Gate: Duration(20 * time.Minute), CanaryPods: 1}); err != nil {
				t.Fatal(err)
			}
			for i := range 60 {
				iv := Interval{Start: epoch.Add(time.Duration(i) * 15 * time.Second), End: epoch.Add(time.Duration(i+1) * 15 * time.Second)}
				incident := i >= 20 && i < 32
				fails := func(hit float64) float64 {
					if incident {
						return math.Round(75 * 0.05 * hit)
					}
					return float64(i % 7 / 6)
				}
				for p, hit := range hits {
					if !c.uneven {
						hit = 1
					}
					iv.Cells = append(iv.Cells, Cell{Track: Stable, Route: "/a", Pod: fmt.Sprint("s", p), Requests: 75, Errors: fails(hit), HasErrors: true})
				}
				errors := fails(4)
				if c.lasts && i >= 32 {
					errors = 4
				}
				iv.Cells = append(iv.Cells, Cell{Track: Canary, Route: "/a", Pod: "c", Requests: 75, Errors: errors, HasErrors: true})
				if err := j.Add(&iv); err != nil {
					t.Fatal(err)
				}
				if j.st.Outcome.Decision == Rollback {
					break
				}
			}
			note := ""
			for _, check := range j.Verdict().Checks {
				if check.Metric == MetricErrorRate && check.Route == "" {
					note = check.Note
				}
			}
			if strings.Contains(note, "stable's own pods differ") != (c.want == Continue) {
				t.Errorf("the error check's note %q", note)
			}
			if got := j.st.Outcome; got.Decision != c.want {
				t.Errorf("%s (%s) at %s, want %s: evidence %.3g", got.Decision, got.Message, j.st.Last.Sub(epoch), c.want, got.E)
			}
		})
	}
}
