package release

import (
	"regexp"
	"strings"
	"time"
)

func (t *Timeline) observePod(o Observation) bool {
	cur := *o.Pod
	p := t.pods[cur.UID]
	if p == nil {
		p = &podTrack{start: o.At}
		if o.Initial {
			p.start = apiTime(cur.Created, o.At)
		}
		t.pods[cur.UID] = p
		for _, e := range t.events[cur.UID] { // they may arrive before the pod
			p.pulled(e)
		}
	}
	first := p.cur.UID == ""
	p.cur = cur
	// What is first seen in an initial state happened earlier: then the API's
	// whole seconds are all there is.
	at := func(api time.Time) time.Time {
		if first && o.Initial {
			return apiTime(api, o.At)
		}
		return o.At
	}
	if c, ok := FindCondition(cur.Conditions, "PodScheduled"); p.scheduled.IsZero() && (cur.Node != "" || ok && c.Status == "True") {
		p.scheduled = at(c.Since)
	}
	p.observeInit(at)
	for _, c := range cur.Containers {
		if p.running.IsZero() && !c.Running.IsZero() {
			p.running = at(c.Running)
		} else if p.running.IsZero() && c.Exit != nil {
			p.running = at(c.Exit.Started)
		}
	}
	if c, _ := FindCondition(cur.Conditions, "Ready"); p.ready.IsZero() && c.Status == "True" {
		p.ready = at(c.Since)
	}
	if p.ended.IsZero() && (cur.Phase == "Succeeded" || cur.Phase == "Failed") {
		p.ended = at(lastExit(cur))
	}
	if !cur.Deleting.IsZero() && p.deleting.IsZero() {
		p.deleting = o.At
	}
	if o.Deleted {
		p.gone = o.At
		t.buried()
	}
	p.judge(t.events[cur.UID], o.At)
	t.blame(p)
	return true
}

// blame keeps a pod's hard trouble with the rollout that made the pod: when the
// rollout is given up, its pods are gone.
func (t *Timeline) blame(p *podTrack) {
	w := t.workloads[t.rootOf(p.cur.Meta)]
	if w == nil || len(w.rollouts) == 0 || !p.trouble.hard() || !p.deleting.IsZero() {
		return
	}
	if r := &w.rollouts[len(w.rollouts)-1]; r.end.IsZero() && !p.start.Before(r.start.Add(-crossing)) {
		r.trouble = p.trouble
	}
}

func (p *podTrack) observeInit(at func(time.Time) time.Time) {
	for _, c := range p.cur.Init {
		if p.initStart.IsZero() && !c.Running.IsZero() {
			p.initStart = at(c.Running)
		} else if p.initStart.IsZero() && c.Exit != nil {
			p.initStart = at(c.Exit.Started)
		}
	}
	if c, ok := FindCondition(p.cur.Conditions, "Initialized"); len(p.cur.Init) > 0 && p.initEnd.IsZero() && ok && c.Status == "True" {
		p.initEnd = at(c.Since)
		if p.initStart.IsZero() {
			p.initStart = p.initEnd
		}
	}
}

// judge renews what is wrong with the pod and since when.
func (p *podTrack) judge(events []Event, at time.Time) {
	trouble := PodTrouble(p.cur, events)
	if trouble.Reason == "" && p.trouble.hard() && !p.cur.Deleting.IsZero() {
		return // that it is deleted now does not undo why it failed
	}
	if trouble.Reason != p.trouble.Reason || trouble.Container != p.trouble.Container {
		p.troubleSince = at
	}
	p.trouble = trouble
}

func lastExit(p Pod) time.Time {
	var last time.Time
	for _, c := range p.Containers {
		if c.Exit != nil && c.Exit.Finished.After(last) {
			last = c.Exit.Finished
		}
	}
	return last
}

var (
	containerPath = regexp.MustCompile(`^spec\.(?:initContainers|containers)\{(.+)\}$`)
	quoted        = regexp.MustCompile(`"([^"]+)"`)
	pulledIn      = regexp.MustCompile(`Successfully pulled image .* in ([0-9.]+[a-zµ0-9.]*)`)
)

// ContainerOf returns the container that an event's field path names; "" when
// it names none.
func ContainerOf(fieldPath string) string {
	if m := containerPath.FindStringSubmatch(fieldPath); m != nil {
		return m[1]
	}
	return ""
}

// maxPulls bounds the pulls of one pod: with the policy Always, each restart of a
// container pulls again.
const maxPulls = 10

// pulled reads the events of an image pull. The kubelet tells how long a pull
// took; its beginning is reckoned back from the receipt of its end.
func (p *podTrack) pulled(e Event) {
	container, image := ContainerOf(e.FieldPath), ""
	if m := quoted.FindStringSubmatch(e.Message); m != nil {
		image = m[1]
	}
	at := e.Received
	var open *pull
	for i := range p.pulls {
		if p.pulls[i].container == container && p.pulls[i].end.IsZero() {
			open = &p.pulls[i]
		}
	}
	switch e.Reason {
	case "Pulling":
		if open == nil && len(p.pulls) < maxPulls { // a retry belongs to the pull that has not come to its end
			p.pulls = append(p.pulls, pull{container: container, image: image, start: at})
		}
	case "Pulled":
		m := pulledIn.FindStringSubmatch(e.Message)
		if m == nil {
			return // "already present on machine": nothing was pulled
		}
		if open == nil && len(p.pulls) >= maxPulls {
			return
		}
		took, err := time.ParseDuration(m[1])
		if open == nil {
			p.pulls = append(p.pulls, pull{container: container, image: image, start: at})
			open = &p.pulls[len(p.pulls)-1]
		}
		open.end, open.failed = at, ""
		if err == nil && open.start.After(at.Add(-took)) {
			open.start = at.Add(-took)
		}
	case "Failed", "InspectFailed":
		if open != nil && strings.Contains(e.Message, "pull image") {
			open.failed = e.Message
		}
	}
}
