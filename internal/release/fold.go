package release

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Latest returns the later of two sightings of one operation by one observer:
// a final state wins over running, one that knows its identity over one that
// does not, then the later end. It is the maximum under a total order, so
// delivering sightings twice or in any order gives the same result.
func Latest(a, b Operation) Operation {
	if compareSightings(a, b) >= 0 {
		return a
	}
	return b
}

// Fold joins the latest sighting of each observer to the one operation they
// saw. A field is taken from the best witness that knows it: the wrapper, which
// saw Helm's process, then the agent, which saw the cluster, then spans alone.
// A final state wins over running whoever saw it: a wrapper that was killed
// never says that it ended. The result depends on the set only, not on order
// or doubles. The sightings must be of the same operation (equal or empty IDs);
// Fold of nothing is the zero Operation.
func Fold(sightings ...Operation) Operation {
	ordered := slices.Clone(sightings)
	slices.SortStableFunc(ordered, func(a, b Operation) int {
		return cmp.Or(
			cmp.Compare(boolRank(b.State.Done()), boolRank(a.State.Done())),
			cmp.Compare(witnessRank(a), witnessRank(b)),
			compareSightings(b, a),
		)
	})
	out := Operation{Historic: len(sightings) > 0}
	for _, s := range ordered {
		fillFrom(&out, s)
	}
	slices.Sort(out.Observers)
	out.Observers = slices.Compact(out.Observers)
	return out
}

// witnessRank orders observers from the one that knows best.
func witnessRank(o Operation) int {
	rank := 3
	for _, obs := range o.Observers {
		switch obs {
		case ObserverWrapper:
			rank = min(rank, 0)
		case ObserverAgent:
			rank = min(rank, 1)
		case ObserverSpans:
			rank = min(rank, 2)
		}
	}
	return rank
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareSightings(a, b Operation) int {
	return cmp.Or(
		cmp.Compare(boolRank(a.State.Done()), boolRank(b.State.Done())),
		cmp.Compare(boolRank(a.ID != ""), boolRank(b.ID != "")),
		a.End.Compare(b.End),
		cmp.Compare(boolRank(a.Revision != 0), boolRank(b.Revision != 0)),
		// Only a tie-break that makes the order total.
		strings.Compare(canonical(a), canonical(b)),
	)
}

// canonical is a text that is equal for equal sightings only.
func canonical(o Operation) string {
	attrs := o.Attributes()
	keys := make([]string, 0, len(attrs))
	for k := range attrs {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s=%v\x00", k, attrs[k])
	}
	b.WriteString(o.TraceID)
	b.WriteString(o.SpanID)
	return b.String()
}

func fillFrom(out *Operation, s Operation) {
	fill(&out.ID, s.ID)
	if out.TraceID == "" {
		out.TraceID, out.SpanID = s.TraceID, s.SpanID
	}
	fill(&out.Command, s.Command)
	fill(&out.Kind, s.Kind)
	fill(&out.State, s.State)
	fill(&out.Cluster, s.Cluster)
	fill(&out.Namespace, s.Namespace)
	fill(&out.Release, s.Release)
	fill(&out.PreviousRevision, s.PreviousRevision)
	fill(&out.Revision, s.Revision)
	fill(&out.RollbackTo, s.RollbackTo)
	fill(&out.ChartName, s.ChartName)
	fill(&out.ChartVersion, s.ChartVersion)
	fill(&out.AppVersion, s.AppVersion)
	fill(&out.ExitCode, s.ExitCode)
	fill(&out.Wait, s.Wait)
	if out.Start.IsZero() {
		out.Start = s.Start
	}
	if out.End.IsZero() {
		out.End = s.End
	}
	if out.State != StateSucceeded {
		fill(&out.ErrorType, s.ErrorType)
		fill(&out.Cause, s.Cause)
	}
	out.Automatic = out.Automatic || s.Automatic
	out.Historic = out.Historic && s.Historic // who was there makes it an operation of today
	fill(&out.ParentID, s.ParentID)
	out.Observers = append(out.Observers, s.Observers...)
	for k, v := range s.Extra {
		if _, known := out.Extra[k]; !known {
			if out.Extra == nil {
				out.Extra = make(map[string]string)
			}
			out.Extra[k] = v
		}
	}
}

func fill[T comparable](dst *T, v T) {
	var zero T
	if *dst == zero {
		*dst = v
	}
}
