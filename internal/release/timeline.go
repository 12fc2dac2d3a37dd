package release

import (
	"slices"
	"time"
)

// MaxPods is the default of TimelineOptions.MaxPods: beyond fifty, single pods
// tell nothing that their counts don't, and a trace becomes unreadable.
const MaxPods = 50

// Bounds of what a timeline keeps.
const (
	maxObjectEvents = 16  // of one object, the newest
	maxGone         = 500 // objects that are gone, kept as evidence until Forget
)

// TimelineOptions are the options of [NewTimeline].
type TimelineOptions struct {
	Release Ref
	// MaxPods is how many pods of one workload or hook get steps of their own;
	// default [MaxPods].
	MaxPods int
	// Ready is the rule by which a workload is ready; default [ReadyWatcher].
	Ready ReadyRule
	// Jobs tells that Helm waits for Jobs too (--wait-for-jobs).
	Jobs bool
}

// Timeline folds observations of one release into the steps of its operations.
// The same observations give the same steps. It is not safe for concurrent use.
type Timeline struct {
	opts      TimelineOptions
	workloads map[string]*workloadTrack // by UID, as all that follow
	pods      map[string]*podTrack
	claims    map[string]*claimTrack
	events    map[string][]Event // by the object's UID, oldest first
	records   map[int]Record
	hooks     map[objectName]bool // what the records call hooks
	// phase counts the operations seen: a new record, or its uninstalling.
	phase  int
	gone   int
	latest time.Time // receipt of the newest observation
}

// rollout is one change of a workload until it was ready.
type rollout struct {
	phase      int
	start, end time.Time // end is zero while it goes on
	failed     bool
	reason     string
	message    string
	trouble    Trouble // the hard trouble of one of its pods, last seen
}

// crossing is by how much observations of different kinds may come in the wrong
// order: each kind has a stream of its own, and a pod may be seen before the
// workload that made it. On a busy single node it was below 0.1 s.
const crossing = 500 * time.Millisecond

type workloadTrack struct {
	cur       Workload
	hook      bool
	rollouts  []rollout
	ready     bool
	text      string    // how far it is
	unready   time.Time // since when it is not ready
	deleting  time.Time // when its deletion was first seen
	gone      time.Time
	firstSeen time.Time
}

type podTrack struct {
	cur                           Pod
	start                         time.Time
	scheduled, initStart, initEnd time.Time
	running, ready, ended         time.Time
	deleting, gone                time.Time
	trouble                       Trouble
	troubleSince                  time.Time
	pulls                         []pull
}

type pull struct {
	container, image string
	start, end       time.Time
	failed           string // the event's message
}

type claimTrack struct {
	cur                Claim
	start, bound, gone time.Time
}

// NewTimeline returns an empty timeline.
func NewTimeline(opts TimelineOptions) *Timeline {
	if opts.MaxPods == 0 {
		opts.MaxPods = MaxPods
	}
	if opts.Ready == "" {
		opts.Ready = ReadyWatcher
	}
	return &Timeline{
		opts:      opts,
		workloads: make(map[string]*workloadTrack),
		pods:      make(map[string]*podTrack),
		claims:    make(map[string]*claimTrack),
		events:    make(map[string][]Event),
		records:   make(map[int]Record),
		hooks:     make(map[objectName]bool),
	}
}

// Observe adds an observation of the timeline's release. It reports whether
// what [Timeline.Waiting] returns may have changed.
func (t *Timeline) Observe(o Observation) bool {
	if o.At.After(t.latest) {
		t.latest = o.At
	}
	switch {
	case o.Workload != nil:
		return t.observeWorkload(o)
	case o.Pod != nil:
		return t.observePod(o)
	case o.Claim != nil:
		return t.observeClaim(o)
	case o.Event != nil:
		return t.observeEvent(o)
	case o.Record != nil:
		return t.observeRecord(o)
	}
	return false
}

func (t *Timeline) observeRecord(o Observation) bool {
	r := *o.Record
	if o.Deleted {
		delete(t.records, r.Revision)
		return false
	}
	before, known := t.records[r.Revision]
	if len(r.Hooks) == 0 && len(r.Objects) == 0 && known {
		// Metadata alone does not take away what the body told.
		r.Hooks, r.Objects = before.Hooks, before.Objects
		r.Description, r.Chart, r.Version, r.AppVersion = before.Description, before.Chart, before.Version, before.AppVersion
		r.RollbackTo, r.FirstDeployed, r.LastDeployed = before.RollbackTo, before.FirstDeployed, before.LastDeployed
	}
	t.records[r.Revision] = r
	if !known && !o.Initial || before.Status != r.Status && r.Status == "uninstalling" {
		t.phase++
	}
	for _, h := range r.Hooks {
		t.hooks[objectName{h.Kind, h.Namespace, h.Name}] = true
	}
	for _, w := range t.workloads {
		w.hook = w.hook || t.isHook(w.cur.Meta)
	}
	return before.Status != r.Status
}

func (t *Timeline) isHook(m Meta) bool {
	return len(m.Hook) > 0 || t.hooks[objectName{m.Kind, m.Namespace, m.Name}]
}

// newestRecord returns the record of the highest revision.
func (t *Timeline) newestRecord() (r Record, ok bool) {
	for _, x := range t.records {
		if !ok || x.Revision > r.Revision {
			r, ok = x, true
		}
	}
	return r, ok
}

func (t *Timeline) observeWorkload(o Observation) bool {
	cur := *o.Workload
	w := t.workloads[cur.UID]
	if w == nil {
		w = &workloadTrack{firstSeen: o.At, unready: o.At}
		t.workloads[cur.UID] = w
	}
	before := w.cur
	w.cur = cur
	w.hook = w.hook || t.isHook(cur.Meta)
	started := before.UID == "" || cur.Generation > before.Generation && cur.Kind != KindJob
	if started && cur.Deleting.IsZero() {
		t.begin(w, o, before.UID == "")
	}
	if !cur.Deleting.IsZero() && w.deleting.IsZero() {
		w.deleting = o.At
	}
	if o.Deleted {
		if w.deleting.IsZero() {
			w.deleting = o.At
		}
		w.gone = o.At
		t.buried()
	}
	t.settle(w, o.At)
	if cur.Kind == KindReplicaSet {
		if d := t.workloads[cur.Owner.UID]; d != nil {
			t.settle(d, o.At)
		}
	}
	return true
}

// begin opens a rollout. A change that comes while one is going on (an
// autoscaler's, a second patch) belongs to it, unless a new operation began.
func (t *Timeline) begin(w *workloadTrack, o Observation, first bool) {
	at := o.At
	if first && o.Initial {
		at = apiTime(w.cur.Created, o.At)
	}
	if n := len(w.rollouts); n > 0 && w.rollouts[n-1].end.IsZero() {
		last := &w.rollouts[n-1]
		if last.phase == t.phase {
			return
		}
		last.end, last.failed = at, true
		if last.trouble.Reason != "" {
			last.reason, last.message = last.trouble.Reason, last.trouble.Text
		} else if last.reason == "" {
			last.reason, last.message = "Superseded", "changed again before it was ready"
		}
	}
	w.rollouts = append(w.rollouts, rollout{phase: t.phase, start: at})
	w.ready = false
	w.unready = at
}

// settle compares a workload with the readiness rule.
func (t *Timeline) settle(w *workloadTrack, at time.Time) {
	ready, text := w.cur.IsReady(t.opts.Ready, t.newestReplicaSet(w.cur))
	if w.ready && !ready {
		w.unready = at
	}
	w.ready, w.text = ready, text
	n := len(w.rollouts)
	if n == 0 || !w.rollouts[n-1].end.IsZero() {
		return
	}
	last := &w.rollouts[n-1]
	if ready {
		last.end, last.failed, last.reason, last.message = at, false, "", ""
		if w.cur.Kind == KindJob && at.Sub(w.firstSeen) <= 0 && !w.cur.Completed.IsZero() {
			last.end = apiTime(w.cur.Completed, at)
		}
		return
	}
	if failed, c := w.cur.JobFailed(); failed && w.cur.Kind == KindJob {
		last.end, last.failed, last.reason, last.message = at, true, c.Reason, c.Message
		return
	}
	if c, ok := FindCondition(w.cur.Conditions, "Progressing"); ok && c.Status == "False" {
		last.failed, last.reason, last.message = true, c.Reason, c.Message
	}
	if !w.gone.IsZero() {
		last.end, last.failed, last.reason = w.gone, true, "Deleted"
	}
}

// newestReplicaSet returns the ReplicaSet of a Deployment's newest template; nil
// when it has not been seen. A ReplicaSet of a later revision than the
// Deployment's own is of a change of which the Deployment has not told yet.
func (t *Timeline) newestReplicaSet(d Workload) *Workload {
	if d.Kind != KindDeployment || d.Revision == 0 {
		return nil
	}
	for _, w := range t.workloads {
		if w.cur.Owner.UID == d.UID && w.gone.IsZero() && w.cur.Revision == d.Revision {
			return &w.cur
		}
	}
	return nil
}

func (t *Timeline) observeClaim(o Observation) bool {
	c := t.claims[o.Claim.UID]
	if c == nil {
		c = &claimTrack{start: o.At}
		if o.Initial {
			c.start = apiTime(o.Claim.Created, o.At)
		}
		t.claims[o.Claim.UID] = c
	}
	c.cur = *o.Claim
	if c.cur.Phase == "Bound" && c.bound.IsZero() {
		c.bound = o.At
		if o.Initial {
			c.bound = c.start
		}
	}
	if o.Deleted {
		c.gone = o.At
		t.buried()
	}
	return true
}

func (t *Timeline) observeEvent(o Observation) bool {
	e := *o.Event
	list := t.events[e.Object.UID]
	// A repeated event replaces the one before it.
	list = slices.DeleteFunc(list, func(x Event) bool { return x.UID == e.UID })
	list = append(list, e)
	if len(list) > maxObjectEvents {
		list = slices.Delete(list, 0, len(list)-maxObjectEvents)
	}
	t.events[e.Object.UID] = list
	if p := t.pods[e.Object.UID]; p != nil {
		p.pulled(e)
		p.judge(list, o.At)
		return e.Warning()
	}
	return e.Warning()
}

// buried forgets the oldest of what is gone when there is too much of it: a
// CronJob's pods, in a watch that runs for months.
func (t *Timeline) buried() {
	if t.gone++; t.gone <= 2*maxGone {
		return
	}
	type grave struct {
		uid  string
		gone time.Time
	}
	var graves []grave
	for uid, p := range t.pods {
		if !p.gone.IsZero() {
			graves = append(graves, grave{uid, p.gone})
		}
	}
	for uid, w := range t.workloads {
		if !w.gone.IsZero() {
			graves = append(graves, grave{uid, w.gone})
		}
	}
	slices.SortFunc(graves, func(a, b grave) int { return a.gone.Compare(b.gone) })
	for _, g := range graves[:max(0, len(graves)-maxGone)] {
		t.drop(g.uid)
	}
	t.gone = min(len(graves), maxGone)
}

func (t *Timeline) drop(uid string) {
	delete(t.pods, uid)
	delete(t.workloads, uid)
	delete(t.claims, uid)
	delete(t.events, uid)
}

// Forget drops the steps that ended before that moment, and objects that are
// gone. A long-lived observer calls it when an operation has been told.
func (t *Timeline) Forget(before time.Time) {
	for uid, w := range t.workloads {
		if !w.gone.IsZero() && w.gone.Before(before) {
			t.drop(uid)
			continue
		}
		w.rollouts = slices.DeleteFunc(w.rollouts, func(r rollout) bool {
			return !r.end.IsZero() && r.end.Before(before)
		})
	}
	for uid, p := range t.pods {
		if !p.gone.IsZero() && p.gone.Before(before) {
			t.drop(uid)
		}
	}
	for uid, c := range t.claims {
		if !c.gone.IsZero() && c.gone.Before(before) {
			t.drop(uid)
		}
	}
	for uid := range t.events {
		if t.pods[uid] == nil && t.workloads[uid] == nil && t.claims[uid] == nil {
			delete(t.events, uid)
		}
	}
	t.gone = 0
}

// apiTime returns an API's time where it is known and not after its receipt:
// another clock may be ahead of ours.
func apiTime(api, received time.Time) time.Time {
	if api.IsZero() || api.After(received) {
		return received
	}
	return api
}
