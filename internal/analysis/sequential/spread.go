package sequential

import "math"

// Spread is what the luck of the draw does to a group of pods: its event rate is
// the service's times a lasting factor exp(Sigma*t), t from Student's
// distribution with 19 degrees of freedom (what twenty pods of history can tell
// about a twenty-first). Sigma 0 is no spread.
type Spread struct {
	Sigma float64
}

// The unlucky half of t, cut at 0, .4, .8, 1.2, 1.6, 2, 2.4 and 3: a node in each
// bin, and the bin's mass. The last bin is open.
var (
	spreadNode = []float64{0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.7, 3.4}
	spreadMass = []float64{0.15319, 0.13001, 0.09436, 0.05940, 0.03305, 0.01660, 0.00972, 0.00368}
)

// factors are the rate's factors at the nodes.
func (s Spread) factors() []float64 {
	out := make([]float64, len(spreadNode))
	for i, t := range spreadNode {
		out[i] = math.Exp(s.Sigma * t)
	}
	return out
}
