package sequential

import "math"

// excessGrid are the excess rates that NonInferiority can exclude.
var excessGrid = []float64{.001, .002, .003, .005, .0075, .01, .0125, .015, .02, .03, .05, .1, .2, .4, .7}

// NonInferiority is the evidence that the tested track's rate exceeds the
// reference's by less than some amount: for each du of a grid the two-rate
// e-process against "excess >= du", betting on equal rates. The smallest du whose
// e-value reaches 1/beta is an upper confidence bound of the excess at level
// 1-beta, at any time. The grid needs no correction: the hypotheses are nested,
// and only the smallest true one can err.
//
// Against H0': lc >= ls + du the roles are swapped: TwoRate with Rho 1, Delta du and
// the bet lc = ls has its projection on the same boundary, where the e-value's
// expectation is 1, and it falls as lc rises above it. Evidence starts anew all
// the time as a Mixture's does, so that an incident on both tracks, which eats
// all of it, is got over.
type NonInferiority struct {
	Logs  []float64 `json:"logs"`
	N     int       `json:"n"`
	Spent float64   `json:"spent"`
}

// NewNonInferiority returns one without evidence.
func NewNonInferiority() NonInferiority {
	n := NonInferiority{Logs: make([]float64, len(excessGrid))}
	for i := range n.Logs {
		n.Logs[i] = minLog
	}
	return n
}

// Add folds one interval, with ls the predicted common rate; the log e-value is
// divided by phi and capped.
func (n *NonInferiority) Add(c Counts, ls, phi, limit float64) {
	mass := StartMass(n.N)
	n.N++
	n.Spent += mass
	for i, du := range excessGrid {
		v := TwoRate{1, du}.LogE(c, ls, ls) / phi
		n.Logs[i] = math.Min(logAdd(n.Logs[i], math.Log(mass))+math.Min(v, limit), maxLog)
	}
}

// Upper is the bound at level 1-beta, 1 while nothing is excluded. also, when
// not nil, may exclude an excess by other means (a planned look).
func (n *NonInferiority) Upper(beta float64, also func(du float64) bool) float64 {
	for i, du := range excessGrid {
		if math.Exp(n.Logs[i])+1-n.Spent >= 1/beta || also != nil && also(du) {
			return du
		}
	}
	return 1
}
