package analysis

import (
	"fmt"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// tally is one interval reduced to what the tests need: counts per row. Rows
// are the frozen routes and, last, "other".
type tally struct {
	start, end time.Time
	requests   [2]float64
	errors     [2]float64
	seen       [2]bool // a series of the track exists
	hasErrors  bool    // an errors series exists on either track
	rows       []rowTally
	latency    [2]Histogram // all routes together
	business   map[string][2]Count
	pods       [2]map[string]podTally
	restarted  bool // a canary pod's counters began anew
	unlabelled bool // the canary has no route labels, and stable has
}

type rowTally struct {
	n, k [2]float64
	// slow has, per latency metric, the units and the events above the bound.
	slow []slowTally
}

type slowTally struct{ n, x [2]float64 }

type podTally struct {
	requests, errors float64
	slow             []Count // per latency metric
}

func (r *rowTally) counts() sequential.Counts {
	return sequential.Counts{KC: r.k[Canary], NC: r.n[Canary], KS: r.k[Stable], NS: r.n[Stable]}
}

// parts are what each pod of a track has in the counts of a test.
func (t *tally) parts(tr Track, of func(p *podTally) Count) map[string]Count {
	out := make(map[string]Count, len(t.pods[tr]))
	for name, p := range t.pods[tr] {
		out[name] = of(&p)
	}
	return out
}

func (s *slowTally) counts() sequential.Counts {
	return sequential.Counts{KC: s.x[Canary], NC: s.n[Canary], KS: s.x[Stable], NS: s.n[Stable]}
}

// tally reduces an interval. The slices are the judge's and valid until the next.
func (j *Judge) tally(iv *Interval) *tally {
	t := &j.scratch
	*t = tally{start: iv.Start, end: iv.End, rows: t.rows}
	if len(t.rows) != len(j.rows) {
		t.rows = make([]rowTally, len(j.rows))
	}
	for i := range t.rows {
		slow := t.rows[i].slow
		if len(slow) != len(j.slow) {
			slow = make([]slowTally, len(j.slow))
		}
		clear(slow)
		t.rows[i] = rowTally{slow: slow}
	}
	t.pods = [2]map[string]podTally{{}, {}}
	t.unlabelled = j.unlabelled(iv)
	j.chooseBounds(iv)
	other := len(j.rows) - 1
	for i := range iv.Cells {
		c := &iv.Cells[i]
		row, ok := j.rowOf[c.Route]
		if !ok || t.unlabelled {
			row = other
		}
		r := &t.rows[row]
		t.seen[c.Track] = true
		t.requests[c.Track] += c.Requests
		t.errors[c.Track] += c.Errors
		r.n[c.Track] += c.Requests
		r.k[c.Track] += c.Errors
		t.hasErrors = t.hasErrors || c.HasErrors
		t.restarted = t.restarted || c.Restarted && c.Track == Canary
		p := t.pods[c.Track][c.Pod]
		p.requests += c.Requests
		p.errors += c.Errors
		if p.slow == nil {
			p.slow = make([]Count, len(j.slow))
		}
		t.pods[c.Track][c.Pod] = p
		if !c.Latency.Empty() {
			j.tallyLatency(t, r, p.slow, row, c)
		}
	}
	for _, b := range iv.Business {
		if t.business == nil {
			t.business = map[string][2]Count{}
		}
		v := t.business[b.Name]
		v[b.Track].Events += b.Good
		v[b.Track].Units += b.Of
		t.business[b.Name] = v
	}
	return t
}

// unlabelled says that the canary's series carry no route while stable's do:
// then all routes are one, on both tracks, or strata would never meet.
func (j *Judge) unlabelled(iv *Interval) bool {
	var labelled, any [2]bool
	for i := range iv.Cells {
		c := &iv.Cells[i]
		any[c.Track] = true
		labelled[c.Track] = labelled[c.Track] || c.Route != ""
	}
	return any[Stable] && any[Canary] && labelled[Stable] != labelled[Canary]
}

// tallyLatency counts a cell's requests above the row's bounds, for the row and for
// its pod.
func (j *Judge) tallyLatency(t *tally, r *rowTally, pod []Count, row int, c *Cell) {
	t.latency[c.Track].Add(&c.Latency)
	if t.unlabelled {
		return // the row's bounds are those of other routes
	}
	total := c.Latency.Total()
	for q := range j.slow {
		b := &j.bounds[q][row]
		if b.State == boundNone {
			continue
		}
		if b.State != boundChosen {
			continue
		}
		x, ok := c.Latency.Above(b.Seconds)
		if !ok {
			b.State = boundNone
			b.Why = fmt.Sprintf("the %s's histogram has no bound at %g s: use the same buckets in both versions", c.Track, b.Seconds)
			continue
		}
		r.slow[q].n[c.Track] += total
		r.slow[q].x[c.Track] += x
		if len(pod) > 0 {
			pod[q].Units += total
			pod[q].Events += x
		}
	}
}

// boundState is how far the choice of a row's latency bound has come.
type boundState uint8

const (
	boundNone   boundState = iota // not testable, Why says why
	boundOpen                     // the canary's layout is not known yet
	boundChosen                   // fixed for the rollout
)

// rowBound is the latency above which a row's requests are counted.
type rowBound struct {
	State   boundState `json:"state"`
	Seconds float64    `json:"s,omitempty"`
	Tail    float64    `json:"tail,omitempty"`
	Ratio   float64    `json:"ratio,omitempty"`
	Why     string     `json:"why,omitempty"`
}

// chooseBounds fixes the open bounds of the routes that the canary shows for
// the first time: the best candidate of stable's history that the canary's
// histogram has too. It depends on layouts only, not on counts, so it is no
// peeking.
func (j *Judge) chooseBounds(iv *Interval) {
	if !j.open {
		return
	}
	j.open = false
	for i := range iv.Cells {
		c := &iv.Cells[i]
		if c.Track != Canary || c.Latency.Empty() {
			continue
		}
		row, ok := j.rowOf[c.Route]
		if !ok {
			row = len(j.rows) - 1
		}
		for q := range j.slow {
			if b := &j.bounds[q][row]; b.State == boundOpen {
				*b = j.chooseBound(j.frozen.Routes[row].Bounds[j.slow[q].name], &c.Latency)
			}
		}
	}
	for q := range j.bounds {
		for _, b := range j.bounds[q] {
			j.open = j.open || b.State == boundOpen
		}
	}
}

func (j *Judge) chooseBound(candidates []LatencyBound, h *Histogram) rowBound {
	for _, cand := range candidates {
		if _, ok := h.Above(cand.Seconds); ok {
			return rowBound{State: boundChosen, Seconds: cand.Seconds, Tail: cand.Tail, Ratio: cand.Ratio}
		}
	}
	return rowBound{Why: "the two versions' histograms have no bound in common near this quantile: use the same buckets"}
}

// windowed is what the sliding window keeps of an interval.
type windowed struct {
	End      time.Time           `json:"end"`
	Seconds  float64             `json:"seconds"`
	Requests [2]float64          `json:"requests"`
	Errors   [2]float64          `json:"errors"`
	Latency  [2]Histogram        `json:"latency"`
	Business map[string][2]Count `json:"business,omitempty"`
}

// push adds the tally to the sliding window and drops what has left it.
func (j *Judge) push(t *tally) {
	j.st.Window = append(j.st.Window, windowed{t.end, t.end.Sub(t.start).Seconds(), t.requests, t.errors, t.latency, t.business})
	from := t.end.Add(-time.Duration(j.cfg.Window))
	j.st.Window = slices.DeleteFunc(j.st.Window, func(w windowed) bool { return !w.End.After(from) })
}

// window sums the sliding window up.
func (j *Judge) window() windowed {
	var sum windowed
	for i := range j.st.Window {
		w := &j.st.Window[i]
		sum.End = w.End
		sum.Seconds += w.Seconds
		for tr := range sum.Requests {
			sum.Requests[tr] += w.Requests[tr]
			sum.Errors[tr] += w.Errors[tr]
			sum.Latency[tr].Add(&w.Latency[tr])
		}
	}
	return sum
}
