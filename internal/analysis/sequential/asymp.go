package sequential

import "math"

// MeanDiff accumulates two samples for AsympCS: numbers, sums and sums of squares.
type MeanDiff struct {
	NC, SumC, SqC float64
	NS, SumS, SqS float64
}

// AddC adds an observation of the tested track.
func (m *MeanDiff) AddC(x float64) { m.NC++; m.SumC += x; m.SqC += x * x }

// AddS adds an observation of the reference.
func (m *MeanDiff) AddS(x float64) { m.NS++; m.SumS += x; m.SqS += x * x }

// AsympCS is the asymptotic confidence sequence of the difference of means,
// tested minus reference, tightest around nOpt observations of both together:
//
//	margin(n) = sd sqrt( 2 (n r2 + 1) / (n^2 r2) * ln( sqrt(n r2 + 1) / alpha ) )
//	r2 = (2 ln(1/a) + ln(1 + 2 ln(1/a))) / nOpt
//	sd^2 = s_c^2 n/n_c + s_s^2 n/n_s
//
// It assumes independent observations with finite variance (clip heavy tails
// beforehand) and holds as n grows; below five observations a side it is
// (-Inf, Inf). Source: Waudby-Smith et al. 2024.
func (m *MeanDiff) AsympCS(alpha, nOpt float64) (diff, lo, hi float64) {
	if m.NC < 5 || m.NS < 5 {
		return 0, math.Inf(-1), math.Inf(1)
	}
	mc, ms := m.SumC/m.NC, m.SumS/m.NS
	vc := math.Max(0, (m.SqC-m.NC*mc*mc)/(m.NC-1))
	vs := math.Max(0, (m.SqS-m.NS*ms*ms)/(m.NS-1))
	n := m.NC + m.NS
	sd := math.Sqrt(vc*n/m.NC + vs*n/m.NS)
	l := 2 * math.Log(1/alpha)
	r2 := (l + math.Log(1+l)) / nOpt
	w := sd * math.Sqrt(2*(n*r2+1)/(n*n*r2)*math.Log(math.Sqrt(n*r2+1)/alpha))
	return mc - ms, mc - ms - w, mc - ms + w
}
