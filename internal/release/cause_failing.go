package release

import (
	"cmp"
	"slices"
	"strings"
)

// Failing is a container whose log may tell why its pod fails.
type Failing struct {
	Namespace, Pod, PodUID, Container string
	// Ended reports that the container does not run now; Restarted that it ran before.
	Ended, Restarted bool
}

// Failing returns the containers that fail or are not ready, of workloads that
// are not ready, the deepest trouble first; of pods that fail alike one stands
// before the others, so that the first few tell most.
func (f Facts) Failing() []Failing {
	type candidate struct {
		Failing
		order, repeat int
	}
	ix := indexFacts(f)
	var all []candidate
	seen := make(map[string]int)
	add := func(of ObjectRef, pods []Pod) {
		for _, p := range pods {
			t := PodTrouble(p, ix.events[p.UID])
			if t.Container == "" || t.rank == rankImage {
				continue // without a container there is no log
			}
			for _, c := range slices.Concat(p.Init, p.Containers) {
				if c.Name != t.Container || c.State == "" || c.State == ContainerWaiting && c.LastExit == nil {
					continue
				}
				alike := of.String() + "/" + c.Name + "/" + t.Reason
				all = append(all, candidate{
					Failing{p.Namespace, p.Name, p.UID, c.Name, c.State != ContainerRunning, c.Restarts > 0},
					t.order(), seen[alike],
				})
				seen[alike]++
			}
		}
	}
	for _, w := range f.Workloads {
		if ready, _ := w.IsReady(ReadyWatcher, ix.newest(w)); !ready && ix.root(w.Meta) && !ix.past(w.Meta) {
			add(w.ObjectRef, ix.newestPods(w))
		}
	}
	for _, p := range f.Pods {
		if !ix.ownerTracked(p.Meta) && !ix.past(p.Meta) {
			add(p.ObjectRef, []Pod{p})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(min(a.repeat, 1), min(b.repeat, 1)), cmp.Compare(a.order, b.order),
			strings.Compare(a.Pod, b.Pod), strings.Compare(a.Container, b.Container))
	})
	out := make([]Failing, len(all))
	for i, c := range all {
		out[i] = c.Failing
	}
	return out
}
