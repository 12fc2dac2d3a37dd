package sequential

import "math"

// Plan says what a test of rate can find before it is run.
type Plan struct {
	TwoRate
	Threshold float64 // ln of the e-value that decides, with the test's weight: ln(1/(alpha*w))
	Sizes     int     // number of effect sizes in the mixture
}

// Nats is the evidence that a component of the mixture has to collect:
// ln(1/(alpha w)) + ln J + ln(1/pi_0).
func (p Plan) Nats() float64 {
	return p.Threshold + math.Log(float64(p.Sizes)) - math.Log(InitialMass)
}

// Units is the number of the tested track's units after which a rate lc against
// a reference of ls (much more traffic) is found, in the mean:
//
//	Nats / D,  D = lc ln(lc/b) - (lc-b),  b = Rho ls + Delta
//
// +Inf inside the margin.
func (p Plan) Units(lc, ls float64) float64 {
	b := p.Bound(ls)
	if lc <= b {
		return math.Inf(1)
	}
	return p.Nats() / (lc*math.Log(lc/b) - (lc - b))
}

// Detectable is the smallest rate of the tested track that is found, in the
// mean, within that many units; 1 when not even a total failure is.
func (p Plan) Detectable(units, ls float64) float64 {
	lo, hi := p.Bound(ls), 1.0
	if p.Units(1, ls) > units {
		return 1
	}
	for range 60 {
		if mid := (lo + hi) / 2; p.Units(mid, ls) > units {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
