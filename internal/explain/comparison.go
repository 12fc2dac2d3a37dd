package explain

import (
	"cmp"
	"math/bits"
	"slices"
)

// bitset is a set of trace indexes.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b bitset) and(c bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] & c[i]
	}
	return out
}

// jaccard returns the size of the intersection over that of the union.
func (b bitset) jaccard(c bitset) float64 {
	var both, either int
	for i := range b {
		both += bits.OnesCount64(b[i] & c[i])
		either += bits.OnesCount64(b[i] | c[i])
	}
	if either == 0 {
		return 0
	}
	return float64(both) / float64(either)
}

// group is the index of one group of traces: which of them have a feature.
type group struct {
	n    int
	have map[feature]bitset
}

func newGroup(n int) group { return group{n: n, have: map[feature]bitset{}} }

func (g group) add(i int, features map[feature]bool) {
	for f := range features {
		set, ok := g.have[f]
		if !ok {
			set = newBitset(g.n)
			g.have[f] = set
		}
		set.add(i)
	}
}

func (g group) set(f feature) bitset {
	if s, ok := g.have[f]; ok {
		return s
	}
	return newBitset(g.n)
}

// comparison holds the indexed groups of one input.
type comparison struct {
	in                            Input
	failing, healthy, stable      group // circumstances
	failingOutcome, stableOutcome group // what only failures have
	separates                     map[string]bool
	ids                           map[string]bool
	comparisons                   int
}

func newComparison(in Input) *comparison {
	r := &reader{service: in.Service, filter: in.Filter, slow: in.Slow}
	r.find(in.Failing)
	c := &comparison{in: in}
	index := func(traces []Trace, read func(Trace) map[feature]bool) group {
		g := newGroup(len(traces))
		for i, t := range traces {
			g.add(i, read(t))
		}
		return g
	}
	c.failing = index(in.Failing, r.circumstances)
	c.healthy = index(in.Healthy, r.circumstances)
	c.failingOutcome = index(in.Failing, r.outcome)
	c.stableOutcome = index(in.StableFailing, r.outcome)
	c.stable = index(in.StableFailing, r.circumstances)
	stableHealthy := index(in.StableHealthy, r.circumstances)
	c.ids = manyValued(c.failing, c.healthy, c.stable, c.failingOutcome)
	c.separates = disjoint([]group{c.failing, c.healthy}, []group{c.stable, stableHealthy})
	return c
}

// manyValued returns the keys with more values than a circumstance has.
func manyValued(groups ...group) map[string]bool {
	values := map[string]map[string]bool{}
	out := map[string]bool{}
	for _, g := range groups {
		for f := range g.have {
			if values[f.key] == nil {
				values[f.key] = map[string]bool{}
			}
			values[f.key][f.value] = true
			if len(values[f.key]) > maxValues {
				out[f.key] = true
			}
		}
	}
	return out
}

// disjoint returns the keys of which the two tracks share no value: the pod's
// name, the version. They tell the tracks apart, so all failures of the canary
// have them and none of stable's, whatever the reason of the failures.
func disjoint(canary, stable []group) map[string]bool {
	seen := map[feature]bool{}
	keys := map[string]bool{}
	for _, g := range canary {
		for f := range g.have {
			seen[f] = true
			keys[f.key] = true
		}
	}
	for _, g := range stable {
		for f := range g.have {
			if seen[f] {
				delete(keys, f.key)
			}
		}
	}
	return keys
}

// singles compares each attribute by itself.
func (c *comparison) singles() []Finding {
	var out []Finding
	for _, f := range features(c.failing) {
		covers := c.failing.have[f]
		if c.ids[f.key] || covers.count() < minShared {
			continue
		}
		var where, isNew *Contrast
		if c.healthy.n > 0 {
			where = c.contrast(covers, c.failing.n, c.healthy.set(f), c.healthy.n)
		}
		if c.stable.n > 0 && !c.separates[f.key] {
			isNew = c.contrast(covers, c.failing.n, c.stable.set(f), c.stable.n)
		}
		out = append(out, c.finding([]Attribute{{f.key, f.value}}, covers, where, isNew))
	}
	for _, f := range features(c.failingOutcome) {
		covers := c.failingOutcome.have[f]
		if c.ids[f.key] || covers.count() < minShared || c.stable.n == 0 {
			continue
		}
		out = append(out, c.finding([]Attribute{{f.key, f.value}}, covers, nil,
			c.contrast(covers, c.failing.n, c.stableOutcome.set(f), c.stable.n)))
	}
	return out
}

// pairs looks for two circumstances that fail only together. Each must be
// over-represented by itself, the failing traces that have one must be those
// that have the other, and each must be over-represented among those that have
// the other, too: a method that every request of a route uses adds nothing to
// the route.
func (c *comparison) pairs(singles []Finding) []Finding {
	var best []Finding
	for _, f := range singles {
		if f.Where != nil && f.Where.LowerBound95 > 0 {
			best = append(best, f)
		}
	}
	slices.SortStableFunc(best, func(a, b Finding) int { return cmp.Compare(b.Where.LowerBound95, a.Where.LowerBound95) })
	best = best[:min(len(best), pairCandidates)]
	z := zOf(nameAlpha / float64(max(c.comparisons, 1)))
	var out []Finding
	for i, a := range best {
		for _, b := range best[i+1:] {
			fa, fb := featureOf(a.Attributes[0]), featureOf(b.Attributes[0])
			covers := a.covers.and(b.covers)
			together := float64(covers.count())
			if fa.key == fb.key || together < minShared ||
				together < pairCover*float64(a.Where.Failing) || together < pairCover*float64(b.Where.Failing) {
				continue
			}
			if c.within(fa, fb, z) <= 0 || c.within(fb, fa, z) <= 0 {
				continue
			}
			where := c.contrast(covers, c.failing.n, c.healthy.set(fa).and(c.healthy.set(fb)), c.healthy.n)
			pair := c.finding([]Attribute{a.Attributes[0], b.Attributes[0]}, covers, where, nil)
			// It says more than its parts, so it stands before them.
			pair.bound = max(pair.bound, a.bound, b.bound)
			out = append(out, pair)
		}
	}
	return out
}

// within returns the lower bound of how much more often f occurs among the
// failing traces that have given than among the healthy ones that have it.
// Where those are too few, all healthy ones stand for them.
func (c *comparison) within(f, given feature, z float64) float64 {
	failing := c.failing.set(given)
	healthy := c.healthy.set(given)
	other, n0 := healthy.and(c.healthy.set(f)).count(), healthy.count()
	if n0 < minStratum {
		if other == n0 && n0 > 0 {
			return -1 // as far as can be seen, one implies the other
		}
		other, n0 = c.healthy.set(f).count(), c.healthy.n
	}
	return newcombe(failing.and(c.failing.set(f)).count(), failing.count(), other, n0, z)
}

func (c *comparison) finding(attrs []Attribute, covers bitset, where, isNew *Contrast) Finding {
	f := Finding{Attributes: attrs, Where: where, New: isNew, covers: covers, bound: -1}
	for _, one := range []*Contrast{where, isNew} {
		if one != nil {
			f.bound = max(f.bound, one.LowerBound95)
		}
	}
	return f
}

func (c *comparison) contrast(covers bitset, n1 int, other bitset, n0 int) *Contrast {
	c.comparisons++
	a, b := covers.count(), other.count()
	return &Contrast{
		Failing: a, OfFailing: n1, Other: b, OfOther: n0,
		Difference:   float64(a)/float64(n1) - float64(b)/float64(n0),
		LowerBound95: newcombe(a, n1, b, n0, zOf(rankAlpha)),
	}
}

// lower returns the lower bound of a contrast at z standard errors, -1 for none.
func (c *comparison) lower(one *Contrast, z float64) float64 {
	if one == nil {
		return -1
	}
	return newcombe(one.Failing, one.OfFailing, one.Other, one.OfOther, z)
}

// examples returns ids of the first failing traces of the set.
func (c *comparison) examples(covers bitset) []string {
	out := []string{}
	for i, t := range c.in.Failing {
		if covers.has(i) {
			if out = append(out, t.ID); len(out) == maxExamples {
				break
			}
		}
	}
	return out
}

func featureOf(a Attribute) feature { return feature{a.Key, a.Value} }

// features returns the group's features in a fixed order, so that equal input
// gives equal output.
func features(g group) []feature {
	out := make([]feature, 0, len(g.have))
	for f := range g.have {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b feature) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value)) })
	return out
}
