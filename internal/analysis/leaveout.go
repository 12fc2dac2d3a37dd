package analysis

import (
	"maps"
	"math"
	"slices"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// agreeing is how many pods of the canary a step needs for its evidence to be asked
// of each of them: of two, the other one alone would be a test of its own.
const agreeing = 3

// leaveOut tells a version that fails from a pod that fails. A version fails on
// every pod that runs it; a burst of errors, a slow node or a bad draw hits one. So
// beside the e-process of all the canary's pods there is one without each of them,
// and the evidence is no more than the least of these: harm is shown whichever pod
// is left out. The least of e-processes is below each, so what it decides keeps
// every guarantee, whatever it is computed from. It costs a real harm the share of
// one pod of its evidence.
type leaveOut struct {
	Whole testState             `json:"whole"`
	Pods  map[string]*podAbsent `json:"pods,omitempty"`
}

// podAbsent is the evidence without a pod.
type podAbsent struct {
	Without testState `json:"without"`
	Seen    bool      `json:"seen"` // the pod had requests in this step
}

func newLeaveOut(sizes int) leaveOut {
	return leaveOut{Whole: testState{Mix: sequential.NewMixture(sizes)}, Pods: map[string]*podAbsent{}}
}

// begin says that the canary's pods of a step have not been seen yet.
func (l *leaveOut) begin() {
	for _, p := range l.Pods {
		p.Seen = false
	}
}

// draw says that the step's pods are drawn anew.
func (l *leaveOut) draw() {
	l.Whole.Disc.Begin()
	for _, p := range l.Pods {
		p.Without.Disc.Begin()
	}
}

// add folds an interval: the counts c of all pods, and of what part each pod of the
// canary has in them. A pod that is new takes over the evidence of the others, in
// which it had no part.
func (l *leaveOut) add(h sequential.TwoRate, c sequential.Counts, parts map[string]Count, ls float64, lifts, factors []float64, g *GuardPair, b *scratch) {
	for _, name := range slices.Sorted(maps.Keys(parts)) { // which are kept must not depend on their order
		part := parts[name]
		if p := l.Pods[name]; p != nil {
			p.Seen = p.Seen || part.Units > 0
		} else if part.Units > 0 && len(l.Pods) < maxGuardPods {
			l.Pods[name] = &podAbsent{Without: l.Whole.clone(), Seen: true}
		}
	}
	bet := func(s *testState, c sequential.Counts) {
		h.Increments(b.inc, nil, c, lifts, ls)
		h.Increments(b.dinc, nil, c, factors, ls)
		s.add(b.inc, b.dinc, lifts, factors, g)
	}
	bet(&l.Whole, c)
	for name, p := range l.Pods {
		part := parts[name]
		bet(&p.Without, sequential.Counts{KC: math.Max(0, c.KC-part.Events), NC: math.Max(0, c.NC-part.Units), KS: c.KS, NS: c.NS})
	}
}

// clone copies the evidence.
func (s *testState) clone() testState {
	c := *s
	c.Mix = s.Mix.Clone()
	c.Disc.Logs = slices.Clone(s.Disc.Logs)
	return c
}

// share is what is left of the evidence when the pod that has most part in it is
// left out, and which that is: at most 1, and 1 where fewer pods than agreeing have
// served.
func (l *leaveOut) share() (float64, string) {
	seen, least, worst := 0, math.Inf(1), ""
	for name, p := range l.Pods {
		if p.Seen {
			seen++
		}
		if e := p.Without.e(); e < least || e == least && name < worst {
			least, worst = e, name
		}
	}
	if seen < agreeing {
		return 1, ""
	}
	return math.Min(1, least/l.Whole.e()), worst
}

// agreement is the share of a metric's evidence that does not hang on one pod. A
// service whose pods have shown no noise keeps all of it: then one pod that fails is
// news.
func (j *Judge) agreement(t *test) (float64, string) {
	q := 0
	switch t.kind {
	case kindErrors:
	case kindLatency:
		q = 1 + t.slow
	default:
		return 1, ""
	}
	if g := j.guard(t.metric); g.Phi <= 1 && g.Spread <= 0 && g.Cap >= fullCap(j.cfg.ScrapeInterval) {
		return 1, ""
	}
	return j.st.LeaveOut[q].share()
}

// e is a test's e-value now.
func (j *Judge) e(i int) float64 { return j.st.Tests[i].e() * j.st.Agreement[i] }

// agree brings the tests' agreement up to date.
func (j *Judge) agree() {
	known := map[string]float64{}
	for i := range j.tests {
		t := &j.tests[i]
		v, ok := known[t.metric]
		if !ok {
			v, _ = j.agreement(t)
			known[t.metric] = v
		}
		j.st.Agreement[i] = v
	}
}
