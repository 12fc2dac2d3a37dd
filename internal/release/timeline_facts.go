package release

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Facts returns the states of what belongs to the release now, in a stable
// order. What is gone is left out, but for failed pods and Jobs whose parents
// removed them: they may be the only evidence, unless of an operation before.
func (t *Timeline) Facts() Facts {
	f := Facts{Release: t.opts.Release, Workloads: []Workload{}, Pods: []Pod{}}
	if r, ok := t.newestRecord(); ok {
		f.Revision, f.Status, f.Hooks, f.Since = r.Revision, r.Status, slices.Clone(r.Hooks), t.since(r)
	}
	for _, w := range t.workloads {
		if failed, _ := w.cur.JobFailed(); w.gone.IsZero() || failed && w.hook {
			f.Workloads = append(f.Workloads, w.cur)
		}
	}
	for _, p := range t.pods {
		if p.gone.IsZero() || p.trouble.hard() && t.workloads[p.cur.Owner.UID] != nil {
			f.Pods = append(f.Pods, p.cur)
		}
	}
	f = t.withoutPastHooks(f)
	for _, c := range t.claims {
		if c.gone.IsZero() {
			f.Claims = append(f.Claims, c.cur)
		}
	}
	for _, list := range t.events {
		f.Events = append(f.Events, list...)
	}
	byName := func(a, b Meta) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.UID, b.UID))
	}
	slices.SortFunc(f.Workloads, func(a, b Workload) int { return byName(a.Meta, b.Meta) })
	slices.SortFunc(f.Pods, func(a, b Pod) int { return byName(a.Meta, b.Meta) })
	slices.SortFunc(f.Claims, func(a, b Claim) int { return byName(a.Meta, b.Meta) })
	slices.SortFunc(f.Events, func(a, b Event) int {
		return cmp.Or(a.Last.Compare(b.Last), a.Received.Compare(b.Received), strings.Compare(a.UID, b.UID))
	})
	return f
}

// since is when the operation that wrote the newest record began to. A rollback
// after a failure belongs to what failed: Helm's own follows at once, and the
// evidence is of both.
func (t *Timeline) since(newest Record) time.Time {
	if newest.RollbackTo > 0 || newest.Status == "pending-rollback" {
		for _, r := range t.records {
			if r.Revision == newest.Revision-1 && r.Status == "failed" {
				return r.Created
			}
		}
	}
	return newest.Created
}

// withoutPastHooks leaves out the hooks of operations before that are gone, and
// their pods.
func (t *Timeline) withoutPastHooks(f Facts) Facts {
	ix := indexFacts(f)
	left := make(map[string]bool)
	f.Workloads = slices.DeleteFunc(f.Workloads, func(w Workload) bool {
		left[w.UID] = !t.workloads[w.UID].gone.IsZero() && ix.past(w.Meta)
		return left[w.UID]
	})
	f.Pods = slices.DeleteFunc(f.Pods, func(p Pod) bool { return left[p.Owner.UID] })
	return f
}
