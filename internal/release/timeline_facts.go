package release

import (
	"cmp"
	"slices"
	"strings"
)

// Facts returns the states of what belongs to the release now, in a stable
// order. What is gone is left out, but for failed pods and Jobs whose parents
// removed them: they may be the only evidence.
func (t *Timeline) Facts() Facts {
	f := Facts{Release: t.opts.Release, Workloads: []Workload{}, Pods: []Pod{}}
	if r, ok := t.newestRecord(); ok {
		f.Revision, f.Status, f.Hooks = r.Revision, r.Status, slices.Clone(r.Hooks)
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
