package analysis

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

const (
	// placebos is the number of random groups of pods that play the canary.
	placebos = 20
	// placeboLimit is the e-value that no placebo group may reach over the
	// history, however many groups there are.
	placeboLimit = 20
	// phiStep is the ratio of the dispersions that are tried, phiSteps their number.
	phiStep  = 1.4
	phiSteps = 25
	// worstByChance is how many windows are expected to reach the worst z-value that
	// is still called chance.
	worstByChance = 0.165
	// minWindowEvents is how many events a window needs to say something.
	minWindowEvents = 5
	// lasting is the z-value from which differences between pods are taken to last:
	// the covariances of a few long bursts reach 3 by themselves.
	lasting = 3.5
	// windowSeconds and shortSeconds are the spans of gate looks and interim looks.
	windowSeconds = 600
	shortSeconds  = 120
	// spreadShare is the part of the pods' spread that the null allows on top of the
	// margin: the margin's 10 % covers the rest, as a group without harm is spread
	// around equal rates and not around the margin's bound.
	spreadShare = 0.8
	// blocks is into how many parts the history is cut to find lasting differences.
	blocks = 6
)

// capShares are the caps that are tried, as shares of the full one.
var capShares = []float64{1, 0.5, 0.25, 0.12, 0.06}

// calibration measures one metric's noise on the stable pods' history.
type calibration struct {
	pods   *podEvents
	events [][]float64 // [interval][pod]
	base   podBase
	full   float64
	lifts  []float64
	c2     float64 // variance of the pods' lasting log-rates
}

func newCalibration(p *podEvents, events [][]float64, base podBase, full float64) *calibration {
	c := &calibration{pods: p, events: events, base: base, full: full, lifts: latencyLifts}
	if base.delta > 0 {
		c.lifts = errorLifts
	}
	if len(p.names) >= 3 {
		c.c2 = c.lastingVariance()
	}
	return c
}

// alone is the guard of a service whose pods cannot be told apart: the
// dispersion between windows of the whole track, which contains what all pods
// share and is therefore too large rather than too small.
func (c *calibration) alone() GuardPair {
	g := GuardPair{Size: 1, Cap: fallbackCap, Phi: 1, Gate: 1}
	fano := func(w int) float64 {
		var xs, ns []float64
		for a := 0; a+w <= len(c.events); a += w {
			x, n := 0.0, 0.0
			for t := a; t < a+w; t++ {
				x += c.events[t][0]
				n += c.pods.units[t][0]
			}
			xs, ns = append(xs, x), append(ns, n)
		}
		z2, m := 0.0, 0.0
		for i := range xs {
			if want := ns[i] * c.base.rate; want >= 1 {
				z2 += (xs[i] - want) * (xs[i] - want) / want
				m++
			}
		}
		if m < 3 {
			return 1
		}
		return math.Max(1, z2/m/(1+2*math.Sqrt(2/m)))
	}
	g.Phi = fano(4)
	g.Gate = math.Max(g.Phi, fano(8))
	g.Short = g.Phi
	return g
}

// lastingVariance estimates the variance of the pods' lasting log-rates from
// covariances of different parts of the history, in which clumps and bursts
// cancel and only what lasts remains:
//
//	c^2 = sum_i sum_{a != b} (x_ia - e_ia)(x_ib - e_ib) / sum_i sum_{a != b} e_ia e_ib
//
// for pod i and blocks a, b, with e the counts expected at equal rates. It is 0
// unless it exceeds chance (see lasting).
func (c *calibration) lastingVariance() float64 {
	p := len(c.pods.names)
	size := len(c.events) / blocks
	if size < 1 {
		return 0
	}
	dev := make([][]float64, blocks)
	want := make([][]float64, blocks)
	v := make([]float64, blocks)
	for a := range blocks {
		dev[a], want[a] = make([]float64, p), make([]float64, p)
		x, n := 0.0, 0.0
		for t := a * size; t < (a+1)*size; t++ {
			for i := range p {
				dev[a][i] += c.events[t][i]
				want[a][i] += c.pods.units[t][i]
				x += c.events[t][i]
				n += c.pods.units[t][i]
			}
		}
		for i := range p {
			if n > 0 {
				want[a][i] *= x / n
			}
			dev[a][i] -= want[a][i]
			v[a] += dev[a][i] * dev[a][i] / float64(p)
		}
	}
	num, den, noise := 0.0, 0.0, 0.0
	for a := range blocks {
		for b := range blocks {
			if a == b {
				continue
			}
			noise += 2 * v[a] * v[b] * float64(p)
			for i := range p {
				num += dev[a][i] * dev[b][i]
				den += want[a][i] * want[b][i]
			}
		}
	}
	if den <= 0 || num <= lasting*math.Sqrt(noise) {
		return 0
	}
	return num / den * float64(p) / float64(p-1)
}

// placebo is one group of pods in the canary's place, over the history.
type placebo struct {
	k, n, ks, ns []float64
}

func (c *calibration) placebos(size int) []placebo {
	p := len(c.pods.names)
	// A fixed seed: the same history gives the same guard.
	rng := rand.New(rand.NewPCG(uint64(p), uint64(size)))
	count := placebos
	if size == 1 {
		count = p
	}
	out := make([]placebo, count)
	for g := range out {
		member := make([]bool, p)
		if size == 1 {
			member[g] = true
		} else {
			for _, i := range rng.Perm(p)[:size] {
				member[i] = true
			}
		}
		t := len(c.events)
		buf := make([]float64, 4*t)
		pl := placebo{buf[:t], buf[t : 2*t], buf[2*t : 3*t], buf[3*t:]}
		for t := range c.events {
			for i, in := range member {
				if in {
					pl.k[t] += c.events[t][i]
					pl.n[t] += c.pods.units[t][i]
				} else {
					pl.ks[t] += c.events[t][i]
					pl.ns[t] += c.pods.units[t][i]
				}
			}
		}
		out[g] = pl
	}
	return out
}

// group measures the guard of groups of a size.
func (c *calibration) group(size int) GuardPair {
	groups := c.placebos(size)
	p := len(c.pods.names)
	g := GuardPair{Size: size, Cap: c.full, Phi: 1}
	g.Spread = spreadShare * math.Sqrt(c.c2*(1/float64(size)+1/float64(p-size)))
	seconds := c.pods.seconds
	g.Gate = c.windowPhi(groups, size, int(math.Max(1, windowSeconds/seconds)))
	g.Short = c.windowPhi(groups, size, int(math.Max(1, shortSeconds/seconds)))
	c.pick(&g, groups)
	return g
}

// windowPhi is the dispersion of the groups' counts over windows of w intervals:
// the larger of the mean square of z, less what chance adds to it, and what
// explains the worst window. Differences that last are left to the spread.
func (c *calibration) windowPhi(groups []placebo, size, w int) float64 {
	w = min(w, max(1, len(c.events)/4))
	s, m, worst := 0.0, 0.0, 0.0
	for _, g := range groups {
		f, windows := 0.0, float64(len(g.k)/w)
		if c.c2 > 0 && windows > 1 { // the group's own share, its luck left out
			k, all := sumOf(g.k), sumOf(g.k)+sumOf(g.ks)
			if all > 0 {
				f = k / all
			}
		}
		for a := 0; a+w <= len(g.k); a += w {
			x, tot := sumOf(g.k[a:a+w]), sumOf(g.k[a:a+w])+sumOf(g.ks[a:a+w])
			share := f
			if f == 0 {
				n := sumOf(g.n[a : a+w])
				share = n / (n + sumOf(g.ns[a:a+w]))
			}
			if tot < minWindowEvents || !(share > 0 && share < 1) {
				continue
			}
			z := (x - share*tot) / math.Sqrt(share*(1-share)*tot)
			if f > 0 {
				z *= math.Sqrt(windows / (windows - 1))
			}
			s += z * z
			m++
			worst = math.Max(worst, math.Abs(z))
		}
	}
	if m == 0 {
		return 1
	}
	all := m
	if len(groups) > 0 { // groups that share pods repeat one another
		m *= math.Min(1, float64(len(c.pods.names))/float64(size*len(groups)))
	}
	chance := extreme(m)
	return math.Max(1, math.Max(s/all/(1+2*math.Sqrt(2/m)), worst*worst/(chance*chance)))
}

// extreme is the z-value that the worst of m windows reaches by chance: with 120 it
// is 3.2, with 20 it is 2.6.
func extreme(m float64) float64 {
	return sequential.NormalQuantile(1 - worstByChance/(2*math.Max(m, 1)))
}

func sumOf(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

// course is a placebo group's log e-values, per interval and lift (in one row), and
// per interval and factor of the spread.
type course struct {
	group  placebo
	lifts  int
	log    []float64
	luck   []float64
	spread int
	slope  []float64 // what one more event would add; only when asked for
}

// course computes what a group would see as the canary.
func (c *calibration) course(g placebo, lifts, factors []float64) course {
	h := sequential.TwoRate{Rho: c.base.rho, Delta: c.base.delta}
	out := course{group: g, lifts: len(lifts), spread: len(factors)}
	out.log = make([]float64, len(g.k)*len(lifts))
	out.luck = make([]float64, len(g.k)*len(factors))
	for t := range g.k {
		at := g.at(t)
		h.Increments(out.log[t*len(lifts):(t+1)*len(lifts)], nil, at, lifts, c.base.rate)
		h.Increments(out.luck[t*len(factors):(t+1)*len(factors)], nil, at, factors, c.base.rate)
	}
	return out
}

func (g *placebo) at(t int) sequential.Counts {
	return sequential.Counts{KC: g.k[t], NC: g.n[t], KS: g.ks[t], NS: g.ns[t]}
}

// inject computes the slopes.
func (c *calibration) inject(x *course, lifts []float64) {
	if x.slope != nil {
		return
	}
	h := sequential.TwoRate{Rho: c.base.rho, Delta: c.base.delta}
	x.slope = make([]float64, len(x.log))
	for t := range x.group.k {
		more := x.group.at(t)
		more.KC++
		row := x.slope[t*len(lifts) : (t+1)*len(lifts)]
		h.Increments(row, nil, more, lifts, c.base.rate)
		for j := range row {
			row[j] -= x.log[t*len(lifts)+j]
		}
	}
}

// capGrowthBySize is by how much a larger group's cap may exceed that of the next
// smaller one. An hour of history holds few episodes, and random groups of ten of
// twenty pods share them: that none of the groups was hit hard says less than
// that no single pod was.
const capGrowthBySize = 2

// pick finds, for every cap, the least dispersion with which no group looks like a
// regression, and takes the pair that finds an injected one fastest.
func (c *calibration) pick(g *GuardPair, groups []placebo) {
	var lifts []float64
	h := sequential.TwoRate{Rho: c.base.rho, Delta: c.base.delta}
	for _, l := range c.lifts {
		if l*h.Bound(c.base.rate) <= sequential.MaxRate {
			lifts = append(lifts, l)
		}
	}
	if len(lifts) == 0 {
		return
	}
	factors := sequential.Spread{Sigma: g.Spread}.Factors()
	courses := make([]course, len(groups))
	for i := range groups {
		courses[i] = c.course(groups[i], lifts, factors)
	}
	if c.quiet(courses, lifts, factors, g) {
		return // chance alone: no guard is needed
	}
	best := -1.0
	for _, share := range capShares {
		try := *g
		try.Cap = share * c.full
		// The least power of phiStep that keeps all quiet; more phi is quieter.
		try.Phi = math.Pow(phiStep, float64(sort.Search(phiSteps, func(k int) bool {
			try.Phi = math.Pow(phiStep, float64(k))
			return c.quiet(courses, lifts, factors, &try)
		})))
		if v := c.growth(courses, lifts, &try); v > best {
			best = v
			g.Cap, g.Phi = try.Cap, try.Phi
		}
		if try.Phi == 1 {
			return
		}
	}
}

// quiet says that the groups' e-processes behave as those of no harm do: of n
// groups no more than n/x reach x, at every x that so many pods can speak of.
// That is Ville's bound, P(sup E >= x) <= 1/x, held against the groups' own
// distribution: with it a canary like them reaches 1/alpha as seldom as alpha says,
// where the worst group alone says little (of random groups of half the pods there
// are two that share none).
func (c *calibration) quiet(courses []course, lifts, factors []float64, g *GuardPair) bool {
	temper, luckTemper := make([]float64, len(lifts)), make([]float64, len(factors))
	for j, l := range lifts {
		temper[j] = 1 / g.temper(l)
	}
	for i, f := range factors {
		luckTemper[i] = 1 / g.temper(f)
	}
	n := float64(len(courses))
	limit := math.Min(placeboLimit, n)
	highest := make([]float64, len(courses))
	for i := range courses {
		highest[i] = courses[i].highest(temper, luckTemper, g.Cap, limit)
		if highest[i] > limit {
			return false
		}
	}
	slices.SortFunc(highest, func(a, b float64) int { return cmp.Compare(b, a) })
	disjoint := float64(len(c.pods.names)) / float64(g.Size)
	for k, e := range highest {
		if x := n / float64(k+1); x <= disjoint && x >= leastLevel && e > x {
			return false
		}
	}
	return true
}

// leastLevel is the least e-value at which groups are counted: below it an
// e-process is no evidence.
const leastLevel = 2

// highest is the highest e-value of a group over the history, or the first above
// the limit. It is sequential.Mixture over sequential.Discount, with numbers in place of
// their logarithms: it ends long before they are too large for that, and the
// calibration needs thousands of these.
func (c *course) highest(temper, luckTemper []float64, perScrape, limit float64) float64 {
	highest := 1.0
	sums, luck := make([]float64, len(temper)), make([]float64, len(luckTemper))
	for i := range luck {
		luck[i] = 1
	}
	spent := 0.0
	for t := range c.group.k {
		mass := sequential.StartMass(t)
		spent += mass
		mass /= float64(len(sums))
		e := 1 - spent
		for j, v := range c.log[t*c.lifts : (t+1)*c.lifts] {
			sums[j] = (sums[j] + mass) * math.Exp(math.Min(v*temper[j], perScrape))
			e += sums[j]
		}
		for i, v := range c.luck[t*c.spread : (t+1)*c.spread] {
			luck[i] = math.Min(luck[i]*math.Exp(math.Min(v*luckTemper[i], perScrape)), 1e100)
		}
		if e > highest {
			highest = math.Max(highest, e/math.Max(1, sequential.SpreadMean(luck)))
		}
		if highest > limit || e > 1e200 {
			return math.Max(highest, 2*limit)
		}
	}
	return highest
}

// growth is the evidence that the best lift collects over all groups when a
// regression of twice the margin's bound is injected into each.
func (c *calibration) growth(courses []course, lifts []float64, g *GuardPair) float64 {
	h := sequential.TwoRate{Rho: c.base.rho, Delta: c.base.delta}
	extra := math.Min(2*h.Bound(c.base.rate), 0.9-c.base.rate)
	sums := make([]float64, len(lifts))
	for i := range courses {
		x := &courses[i]
		c.inject(x, lifts)
		for j, l := range lifts {
			f := 1 / g.temper(l)
			for t, n := range x.group.n {
				at := t*x.lifts + j
				sums[j] += math.Min((x.log[at]+x.slope[at]*extra*n)*f, g.Cap)
			}
		}
	}
	return slices.Max(sums)
}
