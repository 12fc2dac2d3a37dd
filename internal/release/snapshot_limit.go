package release

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Limit cuts the snapshot to its most telling parts: at most so many pods (those
// in trouble first) and events (the newest), and JSON of at most maxBytes. What
// is left out is counted in Omitted.
func (s *Snapshot) Limit(maxPods, maxEvents, maxBytes int) {
	if n := len(s.Pods); n > maxPods {
		events := indexFacts(s.Facts).events
		slices.SortStableFunc(s.Pods, func(a, b Pod) int {
			return cmp.Compare(PodTrouble(a, events[a.UID]).order(), PodTrouble(b, events[b.UID]).order())
		})
		s.Pods = s.Pods[:maxPods]
		s.Omitted = append(s.Omitted, fmt.Sprintf("%d of %d pods", n-maxPods, n))
	}
	if n := len(s.Events); n > maxEvents {
		s.Events = s.Events[n-maxEvents:]
		s.Omitted = append(s.Omitted, fmt.Sprintf("%d of %d events", n-maxEvents, n))
	}
	for cut := 0; s.size() > maxBytes && cut < 12; cut++ {
		switch {
		case len(s.Events) > 20:
			s.omit("events", len(s.Events)/2, len(s.Events))
			s.Events = s.Events[len(s.Events)/2:]
		case len(s.Pods) > 10:
			s.omit("pods", len(s.Pods)/2, len(s.Pods))
			s.Pods = s.Pods[:len(s.Pods)-len(s.Pods)/2]
		case len(s.Workloads) > 20:
			slices.SortStableFunc(s.Workloads, func(a, b Workload) int {
				ra, _ := a.IsReady(ReadyWatcher, nil)
				rb, _ := b.IsReady(ReadyWatcher, nil)
				return cmp.Compare(boolRank(ra), boolRank(rb))
			})
			s.omit("workloads", len(s.Workloads)/2, len(s.Workloads))
			s.Workloads = s.Workloads[:len(s.Workloads)-len(s.Workloads)/2]
		case len(s.Logs) > 0:
			s.omit("logs", (len(s.Logs)+1)/2, len(s.Logs))
			s.Logs = s.Logs[:len(s.Logs)/2]
		default:
			s.Nodes, s.Quotas, s.Events = nil, nil, nil
		}
	}
}

func (s *Snapshot) omit(what string, n, of int) {
	s.Omitted = append(s.Omitted, fmt.Sprintf("%d of %d %s, for their size", n, of, what))
}

func (s *Snapshot) size() int {
	data, err := json.Marshal(s)
	if err != nil {
		return 0 // there is nothing in it that cannot be marshalled
	}
	return len(data)
}
