package release

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Steps returns the steps that began in [from, to), oldest first, clamped into
// it. A step that has not ended by to ends there, not Done.
func (t *Timeline) Steps(from, to time.Time) []Step {
	v := view{t: t, from: from, to: to, pods: t.podsByRoot()}
	var steps []Step
	for _, w := range t.workloads {
		if !t.isRoot(w.cur.Meta) {
			continue
		}
		steps = append(steps, v.workload(w)...)
		if s, ok := v.removal(w); ok {
			steps = append(steps, s)
		}
	}
	for _, p := range v.pods[""] { // pods of nobody: the chart's own, or hooks
		if !v.holds(p.start) {
			continue
		}
		if t.isHook(p.cur.Meta) {
			steps = append(steps, v.podHook(p))
		} else {
			steps = append(steps, v.pod(p))
		}
	}
	for _, c := range t.claims {
		if v.holds(c.start) && c.gone.IsZero() {
			steps = append(steps, v.claim(c))
		}
	}
	steps = append(steps, v.recordedHooks(steps)...)
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(a.Start.Compare(b.Start), strings.Compare(string(a.Kind), string(b.Kind)),
			strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Object.UID, b.Object.UID))
	})
	return steps
}

// view is a timeline seen through the window of one operation.
type view struct {
	t        *Timeline
	from, to time.Time
	pods     map[string][]*podTrack // by the UID of their root, "" for none
}

// holds reports whether a step that started then is of this window. The
// API's times are whole seconds: what has no fraction may have been up to a
// second later.
func (v view) holds(start time.Time) bool {
	from := v.from
	if start.Nanosecond() == 0 {
		from = from.Truncate(time.Second)
	}
	return !start.Before(from) && start.Before(v.to)
}

// isRoot reports whether an object is the release's own rather than a
// controller's: a Job of a CronJob runs by the clock, not by the operation.
func (t *Timeline) isRoot(m Meta) bool {
	return m.Owner.IsZero() || t.workloads[m.Owner.UID] == nil && m.Owner.Kind != "CronJob"
}

// rootOf returns the UID of the root workload of an object; "" when it has none.
func (t *Timeline) rootOf(m Meta) string {
	root := ""
	for range maxOwnerDepth {
		w := t.workloads[m.Owner.UID]
		if w == nil {
			break
		}
		root, m = m.Owner.UID, w.cur.Meta
	}
	return root
}

func (t *Timeline) podsByRoot() map[string][]*podTrack {
	out := make(map[string][]*podTrack)
	for _, p := range t.pods {
		root := t.rootOf(p.cur.Meta)
		out[root] = append(out[root], p)
	}
	for _, pods := range out {
		slices.SortFunc(pods, func(a, b *podTrack) int {
			return cmp.Or(a.start.Compare(b.start), strings.Compare(a.cur.Name, b.cur.Name), strings.Compare(a.cur.UID, b.cur.UID))
		})
	}
	return out
}

func (v view) workload(w *workloadTrack) []Step {
	var steps []Step
	for i, r := range w.rollouts {
		if !v.holds(r.start) {
			continue
		}
		kind := StepWorkload
		if w.hook {
			kind = StepHook
		}
		s := newStep(kind, w.cur.ObjectRef, r.start, r.end, v.from, v.to)
		s.identify(w.cur.ObjectRef)
		if w.hook {
			s.set("helm.hook", strings.Join(w.cur.Hook, ","))
		}
		s.Failed, s.Reason, s.Message = r.failed, r.reason, r.message
		s.set("k8s.workload.desired", int64(w.cur.Desired))
		s.set("k8s.workload.ready", int64(w.cur.Ready))
		last := i == len(w.rollouts)-1
		pods := v.podsOf(w, i)
		if last && (!s.Done || s.Failed) {
			if worst := worstPod(v.pods[w.cur.UID], w.cur, v.t); worst != nil {
				s.Reason, s.Message = worst.trouble.Reason, worst.trouble.Text
				s.Failed = s.Failed || worst.trouble.hard()
			} else if s.Reason == "" && !s.Done {
				s.Message = w.text
			}
		}
		s.Children = v.capped(pods, w.cur.ObjectRef)
		for _, c := range s.Children {
			// Helm's rule may be content with less than every pod; those that
			// became ready after it are shown whole.
			if c.Done && c.End.After(s.End) && !s.Failed {
				s.End = c.End
			}
		}
		s.clamp(v.from, v.to)
		steps = append(steps, s)
	}
	return steps
}

// podsOf returns the pods that the i-th rollout of a workload made: each pod
// belongs to the last rollout that had begun when it came.
func (v view) podsOf(w *workloadTrack, i int) []*podTrack {
	var out []*podTrack
	for _, p := range v.pods[w.cur.UID] {
		if !v.holds(p.start) && !v.holds(p.start.Add(crossing)) {
			continue
		}
		made := 0
		for j, r := range w.rollouts {
			if !p.start.Before(r.start.Add(-crossing)) {
				made = j
			}
		}
		if made == i {
			out = append(out, p)
		}
	}
	return out
}

// capped returns the steps of pods: those in trouble first when there are more
// than the cap, and the others summed up in one step.
func (v view) capped(pods []*podTrack, of ObjectRef) []Step {
	shown := pods
	if len(pods) > v.t.opts.MaxPods {
		shown = slices.Clone(pods)
		slices.SortStableFunc(shown, func(a, b *podTrack) int { return cmp.Compare(a.trouble.order(), b.trouble.order()) })
		pods, shown = shown[v.t.opts.MaxPods:], shown[:v.t.opts.MaxPods]
	} else {
		pods = nil
	}
	var steps []Step
	for _, p := range shown {
		steps = append(steps, v.pod(p))
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.Start.Compare(b.Start) })
	if len(pods) == 0 {
		return steps
	}
	first, last, ready := pods[0].start, time.Time{}, 0
	for _, p := range pods {
		if p.start.Before(first) {
			first = p.start
		}
		if e := p.end(); e.After(last) {
			last = e
		}
		if !p.ready.IsZero() || p.cur.Phase == "Succeeded" {
			ready++
		}
	}
	if ready < len(pods) {
		last = time.Time{}
	}
	s := newStep(StepPods, of, first, last, v.from, v.to)
	s.identify(of)
	s.set("k8s.pods.omitted", int64(len(pods)))
	s.set("k8s.pods.omitted_ready", int64(ready))
	return append(steps, s)
}

func (v view) removal(w *workloadTrack) (Step, bool) {
	if w.hook || w.deleting.IsZero() || !v.holds(w.deleting) {
		return Step{}, false
	}
	s := newStep(StepRemoval, w.cur.ObjectRef, w.deleting, w.gone, v.from, v.to)
	s.identify(w.cur.ObjectRef)
	left := 0
	for _, p := range v.pods[w.cur.UID] {
		if p.gone.IsZero() || p.gone.After(v.to) {
			left++
		} else if s.Done && p.gone.After(s.End) {
			s.End = p.gone
		}
	}
	s.set("k8s.pods.terminating", int64(left))
	return s, true
}

func (v view) claim(c *claimTrack) Step {
	s := newStep(StepClaim, c.cur.ObjectRef, c.start, c.bound, v.from, v.to)
	s.identify(c.cur.ObjectRef)
	if !s.Done {
		if trouble, ok := ClaimTrouble(c.cur, v.t.events[c.cur.UID]); ok {
			s.Reason, s.Message, s.Failed = trouble.Reason, trouble.Text, trouble.hard()
		}
	}
	return s
}

// recordedHooks returns hooks that only the record tells of: those of other
// kinds than Job and Pod, and where those may not be watched. Hooks that took
// no time and went well (a ConfigMap) are left out.
func (v view) recordedHooks(seen []Step) []Step {
	r, ok := v.t.newestRecord()
	if !ok {
		return nil
	}
	var steps []Step
	for _, h := range r.Hooks {
		if h.Started.IsZero() || !v.holds(h.Started) {
			continue
		}
		if slices.ContainsFunc(seen, func(s Step) bool {
			return s.Kind == StepHook && s.Object.Kind == h.Kind && s.Object.Name == h.Name
		}) {
			continue
		}
		if h.Phase == "Succeeded" && h.Completed.Sub(h.Started) < time.Second && h.Kind != KindJob && h.Kind != KindPod {
			continue
		}
		s := newStep(StepHook, h.ObjectRef, h.Started, h.Completed, v.from, v.to)
		s.identify(h.ObjectRef)
		s.set("helm.hook", strings.Join(h.Events, ","))
		if s.Failed = h.Phase == "Failed"; s.Failed {
			s.Reason = "HookFailed"
		}
		steps = append(steps, s)
	}
	return steps
}
