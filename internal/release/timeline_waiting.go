package release

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Wait is one thing that Helm waits for.
type Wait struct {
	Object ObjectRef
	// Text is the state: "1/3 ready", "0/1 succeeded", "being deleted".
	Text string
	// Since is when it began to wait.
	Since time.Time
	// Pod, Reason and Detail tell of its worst pod, empty when none is in
	// trouble ("web-7d9", "CrashLoopBackOff", "exit code 1").
	Pod, Reason, Detail string
	PodSince            time.Time
}

// Waiting returns what Helm waits for, the most troubled first.
func (t *Timeline) Waiting() []Wait {
	type ranked struct {
		Wait
		order int
	}
	var waits []ranked
	pods := t.podsByRoot()
	for uid, w := range t.workloads {
		if !t.isRoot(w.cur.Meta) || t.orphan(w.cur.Meta, w.firstSeen) {
			continue
		}
		r := ranked{Wait: Wait{Object: w.cur.ObjectRef, Text: w.text, Since: w.unready}, order: (Trouble{}).order()}
		switch {
		case !w.gone.IsZero() || !w.deleting.IsZero():
			left := 0
			for _, p := range pods[uid] {
				if p.gone.IsZero() {
					left++
				}
			}
			if w.hook || !w.gone.IsZero() && left == 0 {
				continue
			}
			r.Text, r.Since = "being deleted", w.deleting
		case w.ready, w.cur.Kind == KindJob && !w.hook && !t.opts.Jobs:
			continue
		default:
			if failed, _ := w.cur.JobFailed(); failed && w.hook {
				continue // Helm has stopped waiting
			}
			if p := worstPod(pods[uid], w.cur, t); p != nil {
				r.Pod, r.Reason, r.Detail, r.PodSince = p.cur.Name, p.trouble.Reason, p.trouble.Detail, p.troubleSince
				r.order = p.trouble.order()
			} else if trouble, ok := WorkloadTrouble(w.cur, t.eventsOf(w.cur)); ok {
				r.Reason, r.Detail = trouble.Reason, trouble.Detail
				r.order = trouble.order()
			}
		}
		waits = append(waits, r)
	}
	for _, c := range t.claims {
		if c.cur.Phase != "Bound" && c.gone.IsZero() {
			r := ranked{Wait: Wait{Object: c.cur.ObjectRef, Text: "not bound", Since: c.start}, order: (Trouble{}).order()}
			if trouble, ok := ClaimTrouble(c.cur, t.events[c.cur.UID]); ok {
				r.Reason, r.Detail, r.order = trouble.Reason, trouble.Detail, trouble.order()
			}
			waits = append(waits, r)
		}
	}
	for _, p := range pods[""] {
		hook := t.isHook(p.cur.Meta)
		done := p.cur.Phase == "Succeeded" || p.cur.Phase == "Failed" || !hook && p.cur.Ready()
		if done || !p.gone.IsZero() || !t.isRoot(p.cur.Meta) || t.orphan(p.cur.Meta, p.start) {
			continue
		}
		text := "not ready"
		if hook {
			text = "running"
		}
		waits = append(waits, ranked{Wait{
			Object: p.cur.ObjectRef, Text: text, Since: p.start,
			Reason: p.trouble.Reason, Detail: p.trouble.Detail, PodSince: p.troubleSince,
		}, p.trouble.order()})
	}
	slices.SortFunc(waits, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.order, b.order), a.Since.Compare(b.Since), strings.Compare(a.Object.String(), b.Object.String()))
	})
	out := make([]Wait, len(waits))
	for i, w := range waits {
		out[i] = w.Wait
	}
	return out
}

// orphan reports whether an object has an owner that just has not been seen yet.
func (t *Timeline) orphan(m Meta, firstSeen time.Time) bool {
	return !m.Owner.IsZero() && t.latest.Sub(firstSeen) < 2*crossing
}

// worstPod returns the most troubled living pod of a workload's newest
// template; nil when none is in trouble.
func worstPod(pods []*podTrack, of Workload, t *Timeline) *podTrack {
	var worst *podTrack
	template := of.Template
	if of.Kind == KindDeployment {
		if rs := t.newestReplicaSet(of); rs != nil {
			template = rs.Template
		}
	}
	for _, p := range pods {
		if p.trouble.Reason == "" || !p.gone.IsZero() || template != "" && p.cur.Template != template {
			continue
		}
		if worst == nil || p.trouble.order() < worst.trouble.order() {
			worst = p
		}
	}
	return worst
}

// eventsOf returns the events of a workload and of the ReplicaSets under it.
func (t *Timeline) eventsOf(w Workload) []Event {
	events := t.events[w.UID]
	if w.Kind != KindDeployment {
		return events
	}
	if rs := t.newestReplicaSet(w); rs != nil {
		events = append(slices.Clone(events), t.events[rs.UID]...)
	}
	return events
}
