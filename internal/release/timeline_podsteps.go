package release

import (
	"slices"
	"strings"
	"time"
)

// end returns when a pod was ready, or ended otherwise; zero while it goes on. A
// Job's pod is there to end.
func (p *podTrack) end() time.Time {
	switch {
	case p.runsToEnd() && !p.ended.IsZero():
		return p.ended
	case p.runsToEnd():
		return p.gone
	case !p.ready.IsZero():
		return p.ready
	case !p.ended.IsZero():
		return p.ended
	}
	return p.gone
}

func (p *podTrack) runsToEnd() bool { return p.cur.Owner.Kind == KindJob || len(p.cur.Hook) > 0 }

// pod returns the step of a pod, from its creation until it was ready, with
// what it went through.
func (v view) pod(p *podTrack) Step {
	s := newStep(StepPod, p.cur.ObjectRef, p.start, p.end(), v.from, v.to)
	v.fill(&s, p)
	return s
}

// podHook returns the step of a hook that is a pod: it lasts until the pod ended.
func (v view) podHook(p *podTrack) Step {
	s := newStep(StepHook, p.cur.ObjectRef, p.start, p.end(), v.from, v.to)
	s.set("helm.hook", strings.Join(p.cur.Hook, ","))
	v.fill(&s, p)
	return s
}

func (v view) fill(s *Step, p *podTrack) {
	s.identify(p.cur.ObjectRef)
	s.set("k8s.node.name", p.cur.Node)
	restarts := int32(0)
	for _, c := range p.cur.Containers {
		restarts += c.Restarts
	}
	s.set("k8s.pod.restarts", int64(restarts))
	s.set("k8s.pod.phase", p.cur.Phase)
	unwell := p.cur.Phase != "Succeeded" && (p.ready.IsZero() || p.runsToEnd())
	if unwell && p.trouble.Reason != "" {
		s.Reason, s.Message, s.Failed = p.trouble.Reason, p.trouble.Text, p.trouble.hard()
	}
	if unwell && p.cur.Phase == "Failed" {
		s.Failed = true
	}
	s.Children = v.podChildren(p)
	s.clamp(v.from, v.to)
}

// podChildren returns what a pod went through. What had not begun when the pod
// ended is left out.
func (v view) podChildren(p *podTrack) []Step {
	stop := p.end()
	add := func(steps []Step, kind StepKind, start, end time.Time) []Step {
		if start.IsZero() || !stop.IsZero() && start.After(stop) || !start.Before(v.to) {
			return steps
		}
		if end.IsZero() {
			end = stop
		}
		s := newStep(kind, p.cur.ObjectRef, start, end, v.from, v.to)
		s.identify(p.cur.ObjectRef)
		return append(steps, s)
	}
	steps := add(nil, StepSchedule, p.start, p.scheduled)
	if n := len(steps); n > 0 && p.scheduled.IsZero() && p.trouble.Reason == ReasonUnschedulable {
		steps[n-1].Reason, steps[n-1].Message, steps[n-1].Failed = p.trouble.Reason, p.trouble.Text, true
	}
	for _, x := range p.pulls {
		n := len(steps)
		if steps = add(steps, StepPull, x.start, x.end); len(steps) == n {
			continue
		}
		s := &steps[n]
		s.set("k8s.container.name", x.container)
		s.set("container.image.name", x.image)
		if x.failed != "" {
			s.Reason, s.Message, s.Failed = "ErrImagePull", x.failed, true
		}
	}
	steps = add(steps, StepInit, p.initStart, p.initEnd)
	if n := len(steps); n > 0 && steps[n-1].Kind == StepInit && p.trouble.Init {
		steps[n-1].Reason, steps[n-1].Message, steps[n-1].Failed = p.trouble.Reason, p.trouble.Text, p.trouble.hard()
	}
	n, kind, until := len(steps), StepStart, p.ready
	if p.runsToEnd() {
		kind, until = StepRun, p.ended
	}
	if steps = add(steps, kind, p.running, until); len(steps) > n && until.IsZero() && !p.trouble.Init && p.trouble.Reason != "" {
		steps[n].Reason, steps[n].Message, steps[n].Failed = p.trouble.Reason, p.trouble.Text, p.trouble.hard()
		steps[n].set("k8s.container.name", p.trouble.Container)
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.Start.Compare(b.Start) })
	return steps
}
