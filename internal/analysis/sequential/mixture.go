package sequential

import (
	"math"
	"slices"
)

// The mixture's prior over times of the effect's start: InitialMass is on the
// first interval of the rollout, the rest is spread over later starts so that
// after n intervals 1 - HalfLife/(HalfLife+n) of it is placed. Most regressions
// are there from the first request on; leaks and saturation come later.
const (
	InitialMass = 0.6
	HalfLife    = 20 // intervals: five minutes of 15 s scrapes
)

// maxLog caps a component's log e-value: e^60 is certain enough, and a
// component that has won that much can still lose it again.
const maxLog = 60

// minLog stands for the logarithm of nothing; unlike -Inf it survives JSON.
const minLog = -math.MaxFloat64

// Mixture is an e-process: the average, over sizes of an effect and times of its
// start, of products of e-values.
//
//	E_t = sum_s pi_s * 1/J sum_j prod_{s <= u <= t} e_{u,j}  +  sum_{s > t} pi_s
//
// The weights pi do not depend on the data and every factor has expectation at
// most 1 under H0, so E is at least a supermartingale and P(sup E >= 1/a) <= a
// (Ville). All starts share one number per effect size:
//
//	S_j <- (S_j + pi_t/J) * e_{t,j}
//
// (Shiryaev and Roberts), so memory does not grow with time. Numbers are kept
// as logarithms. The zero value has no components; use NewMixture.
type Mixture struct {
	// Logs are ln S_j of the components, minLog before the first interval.
	Logs []float64 `json:"logs"`
	// N counts intervals, Spent is the mass placed so far.
	N     int     `json:"n"`
	Spent float64 `json:"spent"`
}

// NewMixture returns a mixture over sizes effect sizes, with E = 1.
func NewMixture(sizes int) Mixture {
	m := Mixture{Logs: make([]float64, sizes)}
	for j := range m.Logs {
		m.Logs[j] = minLog
	}
	return m
}

// Clone returns a copy that goes its own way.
func (m *Mixture) Clone() Mixture {
	c := *m
	c.Logs = slices.Clone(m.Logs)
	return c
}

// StartMass is the prior mass of an effect that starts at interval n.
func StartMass(n int) float64 {
	if n == 0 {
		return InitialMass
	}
	return (1 - InitialMass) * HalfLife * (1/float64(HalfLife+n-1) - 1/float64(HalfLife+n))
}

// Add folds the log e-values of one interval, one per effect size. Values may
// be capped or tempered: both only lower the expectation.
func (m *Mixture) Add(logE []float64) { m.AddOver(logE, 0) }

// AddOver is Add of a mixture that is divided by a Discount whose logarithm is
// discount: what has been explained away so far does not keep a component from
// winning.
func (m *Mixture) AddOver(logE []float64, discount float64) {
	mass := StartMass(m.N)
	m.N++
	m.Spent += mass
	mass = math.Log(mass / float64(len(m.Logs)))
	for j, v := range logE {
		m.Logs[j] = math.Min(logAdd(m.Logs[j], mass)+v, maxLog+discount)
	}
}

// Skip lets an interval pass without a bet.
func (m *Mixture) Skip() {
	mass := StartMass(m.N)
	m.N++
	m.Spent += mass
	mass = math.Log(mass / float64(len(m.Logs)))
	for j := range m.Logs {
		m.Logs[j] = math.Min(logAdd(m.Logs[j], mass), maxLog)
	}
}

// E is the e-value so far; 1 without data.
func (m *Mixture) E() float64 { return m.EOver(0) }

// EOver is E divided by e^discount, which alone may be too large for a number.
func (m *Mixture) EOver(discount float64) float64 {
	e := (1 - m.Spent) * math.Exp(-discount)
	for _, l := range m.Logs {
		if l -= discount; l > -40 {
			e += math.Exp(l)
		}
	}
	return e
}

// logAdd is ln(e^a + e^b).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if d := b - a; d > -40 {
		return a + math.Log1p(math.Exp(d))
	}
	return a
}
