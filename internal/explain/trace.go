// Package explain says what failed traces have in common. It is pure: traces
// in, findings out.
//
// [Failures] tells each failed trace in a few words; [Explain] asks two
// questions of many: where do the canary's failures happen (failing canary
// against healthy canary), and what is new about them (failing canary against
// failing stable)? It names what is over-represented, and never a cause: an
// association is all that traces can show.
package explain

import (
	"cmp"
	"slices"
	"time"
)

// Span is one span of a trace, as far as an explanation needs it.
type Span struct {
	ID, ParentID string // hex; ParentID is empty for a root
	Service      string // service.name
	Name         string
	Start        time.Time
	Duration     time.Duration
	Error        bool // status code ERROR
	Message      string
	// Attributes are the span's own, Resource those of its resource.
	Attributes, Resource map[string]string
	Exceptions           []Exception
}

// Exception is an event `exception` of a span.
type Exception struct{ Type, Message string }

// Trace is one trace, or as much of it as was found.
type Trace struct {
	ID    string // 32 hex digits
	Spans []Span
}

// Root returns the span that the others hang on: one without a parent, else one
// whose parent is not in the trace, the earliest of several, with the longest
// first where starts are equal. ok is false for a trace without spans.
func (t Trace) Root() (root Span, ok bool) {
	present := make(map[string]bool, len(t.Spans))
	for _, s := range t.Spans {
		present[s.ID] = true
	}
	rank := func(s Span) int {
		switch {
		case s.ParentID == "":
			return 0
		case !present[s.ParentID]:
			return 1
		default:
			return 2 // spans that are each other's parents
		}
	}
	for _, s := range t.Spans {
		if !ok || cmp.Or(cmp.Compare(rank(s), rank(root)), s.Start.Compare(root.Start), cmp.Compare(root.Duration, s.Duration)) < 0 {
			root, ok = s, true
		}
	}
	return root, ok
}

// Entry returns the trace's first span of the service, nearest to the root: the
// request as that service saw it. A trace may begin in another service. Without
// a span of the service, or with an empty service, it is the root.
func (t Trace) Entry(service string) (entry Span, ok bool) {
	depth := t.depths()
	for i, s := range t.Spans {
		if s.Service != service {
			continue
		}
		if !ok || cmp.Or(cmp.Compare(depth[i], t.depthOf(depth, entry)), s.Start.Compare(entry.Start)) < 0 {
			entry, ok = s, true
		}
	}
	if !ok {
		return t.Root()
	}
	return entry, true
}

func (t Trace) depthOf(depth []int, s Span) int {
	for i := range t.Spans {
		if t.Spans[i].ID == s.ID {
			return depth[i]
		}
	}
	return 0
}

// depths returns how far each span is from the top, by index. Cycles, which
// broken instrumentation makes, end where they began.
func (t Trace) depths() []int {
	index := make(map[string]int, len(t.Spans))
	for i, s := range t.Spans {
		index[s.ID] = i
	}
	depth := make([]int, len(t.Spans))
	for i := range depth {
		depth[i] = -1
	}
	var path []int
	for i := range t.Spans {
		path = path[:0]
		at := i
		for depth[at] < 0 {
			depth[at] = 0 // where a cycle comes back to
			path = append(path, at)
			parent, ok := index[t.Spans[at].ParentID]
			if !ok || parent == at {
				break
			}
			at = parent
		}
		base := depth[at]
		if len(path) > 0 && path[len(path)-1] == at {
			base = -1 // at is the top of this path
		}
		for j := len(path) - 1; j >= 0; j-- {
			base++
			depth[path[j]] = base
		}
	}
	return depth
}

// errorSpans returns the spans that failed, the deepest first: that is where
// the error comes from, the others only pass it on.
func (t Trace) errorSpans() []Span {
	depth := t.depths()
	type deep struct {
		span  Span
		depth int
	}
	var found []deep
	for i, s := range t.Spans {
		if s.Error || len(s.Exceptions) > 0 && s.Message != "" {
			found = append(found, deep{s, depth[i]})
		}
	}
	slices.SortStableFunc(found, func(a, b deep) int {
		return cmp.Or(cmp.Compare(b.depth, a.depth), a.span.Start.Compare(b.span.Start))
	})
	out := make([]Span, len(found))
	for i, f := range found {
		out[i] = f.span
	}
	return out
}

// slowest returns the span with the most time of its own: what its children
// took is theirs. Children that overlap are counted once.
func (t Trace) slowest() (slow Span, ok bool) {
	children := make(map[string][]Span, len(t.Spans))
	for _, s := range t.Spans {
		if s.ParentID != s.ID {
			children[s.ParentID] = append(children[s.ParentID], s)
		}
	}
	var most time.Duration
	for _, s := range t.Spans {
		if own := s.Duration - covered(s, children[s.ID]); !ok || own > most {
			slow, most, ok = s, own, true
		}
	}
	return slow, ok
}

// covered returns how much of the span's time its children fill. What clocks
// that differ move outside of the parent is cut off.
func covered(s Span, children []Span) (total time.Duration) {
	slices.SortFunc(children, func(a, b Span) int { return a.Start.Compare(b.Start) })
	end := s.Start.Add(s.Duration)
	at := s.Start
	for _, c := range children {
		from, to := c.Start, c.Start.Add(c.Duration)
		if from.Before(at) {
			from = at
		}
		if to.After(end) {
			to = end
		}
		if to.After(from) {
			total += to.Sub(from)
			at = to
		}
	}
	return total
}
