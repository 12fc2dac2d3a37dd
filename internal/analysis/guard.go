package analysis

import (
	"math"
	"slices"
	"time"
)

const (
	// scrapeCap is the most evidence, in nats, that one scrape of 15 s may give:
	// three scrapes in a row convict, one never does. Longer scrapes may give
	// more (5 nats at 60 s), or a gross failure would take minutes.
	scrapeCap = 3
	capGrowth = 0.368 // ln(5/3)/ln(60/15)
	// fallbackCap is the cap when the noise of stable is not known well: fewer
	// than guardPods pods or less than guardHistory.
	fallbackCap  = 0.75
	guardPods    = 8
	guardHistory = time.Hour
)

// fullCap is the cap of a service whose noise is chance alone.
func fullCap(scrape Duration) float64 {
	return scrapeCap * math.Pow(math.Max(1, time.Duration(scrape).Seconds()/15), capGrowth)
}

// temper is what a log e-value of a bet of the given size is divided by. Phi is
// the dispersion that a small bet sees. Errors in clumps have heavier tails than
// their variance says, and a large bet looks at the tails: for clumps of
// geometric size the e-value keeps its expectation when phi grows like this with
// s = ln(size) (solved numerically for clump means of 2 to 30; within 10 %).
func (g *GuardPair) temper(size float64) float64 {
	if g.Phi <= 1 {
		return 1
	}
	s := math.Log(size) / 2
	return 1 + (g.Phi-1)*math.Sqrt(1+s*s)
}

// guard is the pair in force for a metric.
func (j *Judge) guard(metric string) *GuardPair {
	if g, ok := j.st.Guards[metric]; ok {
		return &g
	}
	return &GuardPair{Cap: fullCap(j.cfg.ScrapeInterval), Phi: 1, Gate: 1}
}

// pickGuards fixes a step's guard when the canary's pods are first seen.
func (j *Judge) pickGuards(t *tally) {
	if j.st.Guards != nil || t.requests[Canary] <= 0 {
		return
	}
	j.st.Pods = j.st.Step.CanaryPods
	if j.st.Pods == 0 {
		j.st.Pods = max(1, len(t.pods[Canary]))
	}
	share := j.st.Step.Weight
	if share <= 0 {
		share = t.requests[Canary] / math.Max(1, t.requests[Canary]+t.requests[Stable])
	}
	j.st.Guards = map[string]GuardPair{}
	for i := range j.tests {
		name := j.tests[i].metric
		if _, ok := j.st.Guards[name]; ok {
			continue
		}
		j.st.Guards[name] = j.choose(name, j.st.Pods, share)
	}
	j.beginDiscounts()
}

// choose takes the guard of the largest measured group that is no larger than
// the canary: smaller groups are noisier. A canary with more traffic per pod
// than the group had sees more of its pods' noise, so what is beyond chance
// grows with it.
func (j *Judge) choose(metric string, pods int, share float64) GuardPair {
	fallback := GuardPair{Size: pods, Cap: fullCap(j.cfg.ScrapeInterval), Phi: 1, Gate: 1}
	if j.frozen.Fallback != "" {
		fallback.Cap = min(fallback.Cap, fallbackCap)
	}
	pairs := j.frozen.Guard[metric]
	if len(pairs) == 0 {
		return fallback
	}
	g := pairs[0]
	for _, p := range pairs {
		if p.Size <= pods {
			g = p
		}
	}
	if j.frozen.Pods > 0 && g.Size > 0 {
		if load := share * float64(j.frozen.Pods) / float64(g.Size); load > 1.2 {
			g.Phi = 1 + (g.Phi-1)*load
			g.Gate = 1 + (g.Gate-1)*load
		}
	}
	g.Cap = min(g.Cap, fallback.Cap)
	return g
}

// groupSizes are the sizes of groups that the guard is measured for.
func groupSizes(pods int, wanted []int) []int {
	sizes := []int{1, 2, 3, 5, 10, 20, 40}
	sizes = append(sizes, wanted...)
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	return slices.DeleteFunc(sizes, func(m int) bool { return m < 1 || m*2 > pods && m > 1 || m >= pods })
}
