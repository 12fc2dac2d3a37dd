package analysis

import (
	"maps"
	"math"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

const (
	// peersHalfLife is how fast the present differences between stable's pods are
	// forgotten: as an incident that hits them unevenly comes and goes.
	peersHalfLife = time.Minute
	// leastPeers is how many of stable's pods, without the worst, can tell by how
	// much pods differ; leastPeerEvents how many events they need for it.
	leastPeers      = 4
	leastPeerEvents = 8
	// peersBeyondChance is the z-value from which the pods' present differences are
	// taken to be more than chance and more than the history's.
	peersBeyondChance = 2.5
)

// peers are what stable's pods differ by at present. Were the canary of the same
// version its pods would be more of the same kind, so the spread of stable's pods is
// the predictive distribution of the canary's: of one more pod where it has one, of
// the mean of m more where it has m. In an incident that hits pods unevenly that
// spread is wide, and one pod that was hit hard is no evidence against a version; when
// the incident is over it is nothing, and harm that persists counts in full.
//
// The spread is a property of stable's pods alone and of how their events are shared
// out among them, never of the canary's counts. It enters as the spread of the
// history does (GuardPair.Spread, sequential.Discount): as a Bayes factor, not as a wider
// margin.
type peers struct {
	Pods map[string]*peer `json:"pods,omitempty"`
}

// peer is one of stable's pods: its events and units, fading, and of the step.
type peer struct {
	Now  Count `json:"now"`
	Step Count `json:"step"`
}

// begin says that a step has begun.
func (p *peers) begin() {
	for _, v := range p.Pods {
		v.Step = Count{}
	}
}

// add folds an interval of the given length.
func (p *peers) add(parts map[string]Count, length time.Duration) {
	keep := math.Exp2(-length.Seconds() / peersHalfLife.Seconds())
	for name, v := range p.Pods {
		v.Now.Events *= keep
		v.Now.Units *= keep
		if _, ok := parts[name]; !ok && v.Now.Units < 1 && v.Step.Units == 0 {
			delete(p.Pods, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) { // which are kept must not depend on their order
		c, v := parts[name], p.Pods[name]
		if v == nil {
			if c.Units <= 0 || len(p.Pods) >= maxGuardPods {
				continue
			}
			if p.Pods == nil {
				p.Pods = map[string]*peer{}
			}
			v = &peer{}
			p.Pods[name] = v
		}
		v.Now.Events += c.Events
		v.Now.Units += c.Units
		v.Step.Events += c.Events
		v.Step.Units += c.Units
	}
}

// variance is the squared coefficient of variation of the pods' rates beyond
// chance, from how often two events are of the same pod (Morisita's index of
// dispersion, 1959, for pods of unequal shares, less its value by chance):
//
//	c^2 = sum_i k_i (k_i - 1) / (K (K-1) sum_i f_i^2) - 1,   f_i the pod's share of the units
//
// with a standard error of sqrt((1 - sum f_i^2) / expected pairs) where they do not
// vary. Where stable fails at its usual rate the history has told how its pods differ:
// then it is 0 unless it exceeds by far what the history knows of, and the pod that
// fails most is left out, as a burst or a bad node says nothing about the others.
// Where more than one of stable's pods fail more than they used to, the history says
// nothing, and its standard error is added to it: not to know how unevenly an incident
// hits is no reason to take it for even.
func (p *peers) variance(of func(*peer) Count, usual usually) float64 {
	var pods []Count
	var all Count
	for _, name := range slices.Sorted(maps.Keys(p.Pods)) { // sums of floats depend on their order
		if c := of(p.Pods[name]); c.Units > 0 {
			pods = append(pods, c)
			all.Events += c.Events
			all.Units += c.Units
		}
	}
	if len(pods) <= leastPeers || all.Events < leastPeerEvents {
		return 0
	}
	excess, rate, worst := math.Inf(-1), all.Rate(), 0
	for i, c := range pods {
		if c.Events-rate*c.Units > excess {
			excess, worst = c.Events-rate*c.Units, i
		}
	}
	rest := Count{all.Events - pods[worst].Events, all.Units - pods[worst].Units}
	ill := usual.exceeded(rest)
	if ill {
		rest = all
	} else {
		pods = slices.Delete(pods, worst, worst+1)
	}
	if rest.Events < leastPeerEvents || rest.Units <= 0 {
		return 0
	}
	pairs, even := 0.0, 0.0
	for _, c := range pods {
		pairs += c.Events * (c.Events - 1) / 2
		even += (c.Units / rest.Units) * (c.Units / rest.Units)
	}
	expected := rest.Events * (rest.Events - 1) / 2 * even
	clumps := (usual.phi - 1) / (rest.Events * even)
	c2, chance := pairs/expected-1-clumps, usual.phi*math.Sqrt((1-even)/expected)
	switch {
	case ill:
		return c2 + chance
	case c2-usual.lasting < peersBeyondChance*chance*(1+usual.lasting):
		return 0
	}
	return c2
}

// usually is what the history says of single pods: how many of their units are events,
// the squared coefficient of variation of that, and the events' dispersion beyond it.
type usually struct{ rate, lasting, phi float64 }

// exceeded says that events are clearly more than usual: twice as many, and beyond chance.
func (u usually) exceeded(c Count) bool {
	want := u.rate * c.Units
	return u.rate > 0 && c.Events > 2*want && c.Events-want > 4*math.Sqrt(u.phi*math.Max(want, 1))
}

// spread is the standard deviation of the log-rate of m more pods where the pods'
// rates vary by variance (squared coefficient of variation).
func (p *peers) spread(variance float64, m int) float64 {
	if variance <= 0 {
		return 0
	}
	return math.Sqrt(math.Log1p(variance * (1/float64(max(m, 1)) + 1/float64(len(p.Pods)))))
}

func (p *peer) now() Count  { return p.Now }
func (p *peer) step() Count { return p.Step }

// usual is what the history says of single pods over a span with dispersion phi.
func (j *Judge) usual(t *test, phi func(GuardPair) float64) usually {
	u := usually{rate: j.frozen.Pool, phi: 1}
	if t.kind == kindLatency {
		u.rate = j.tailRate(t.slow)
	}
	if pairs := j.frozen.Guard[t.metric]; len(pairs) > 0 {
		u.phi = math.Max(1, phi(pairs[0]))
		if pairs[0].Size == 1 && j.frozen.Pods >= 2 {
			s := pairs[0].Spread / spreadShare
			u.lasting = s * s / (1 + 1/float64(j.frozen.Pods-1))
		}
	}
	return u
}

// tailRate is the share of stable's requests above their routes' bounds, over the history.
func (j *Judge) tailRate(slow int) float64 {
	events, units := 0.0, 0.0
	for r, b := range j.bounds[slow] {
		if b.State == boundChosen {
			events += b.Tail * j.frozen.Routes[r].Requests
			units += j.frozen.Routes[r].Requests
		}
	}
	if units <= 0 {
		return 0
	}
	return events / units
}

// spreadNow is what the luck of the draw of pods may do in this interval: that of the
// history, or what stable's pods differ by at present if that is more.
func (j *Judge) spreadNow(t *test) sequential.Spread {
	return j.spreadOf(t, (*peer).now, func(g GuardPair) float64 { return g.Short })
}

// spreadOfStep is the same of the step's counts.
func (j *Judge) spreadOfStep(t *test) sequential.Spread {
	return j.spreadOf(t, (*peer).step, func(g GuardPair) float64 { return g.Gate })
}

func (j *Judge) spreadOf(t *test, of func(*peer) Count, phi func(GuardPair) float64) sequential.Spread {
	s := sequential.Spread{Sigma: j.guard(t.metric).Spread}
	if p := j.peersOf(t); p != nil {
		s.Sigma = math.Max(s.Sigma, p.spread(p.variance(of, j.usual(t, phi)), j.st.Pods))
	}
	return s
}

// peersOf is what is known of stable's pods on a test's metric, nil of business
// metrics.
func (j *Judge) peersOf(t *test) *peers {
	switch t.kind {
	case kindErrors:
		return &j.st.Peers[0]
	case kindLatency:
		return &j.st.Peers[1+t.slow]
	}
	return nil
}
