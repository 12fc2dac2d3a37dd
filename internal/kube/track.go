package kube

import (
	"cmp"
	"context"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// maxEvents bounds the events kept of one release: ten times what a busy rollout of
// fifty pods makes.
const maxEvents = 2000

// track is what is known of one release. Its watch's mutex guards it.
type track struct {
	ref      release.Ref
	timeline *release.Timeline
	records  map[int]*release.Record // never changed, only replaced
	events   []release.Event
	counts   map[string]int32 // of events, by UID
	logs     *logKeeper
	// snapshots are those taken when a revision turned failed.
	snapshots map[int]*pendingSnapshot
	changed   chan struct{}
}

type pendingSnapshot struct {
	done     chan struct{}
	snapshot release.Snapshot
}

func newTrack(ref release.Ref, opts WatchOptions) *track {
	return &track{
		ref: ref,
		timeline: release.NewTimeline(release.TimelineOptions{
			Release: ref, MaxPods: opts.MaxPods, Ready: opts.Ready, Jobs: opts.WaitForJobs,
		}),
		records:   make(map[int]*release.Record),
		counts:    make(map[string]int32),
		snapshots: make(map[int]*pendingSnapshot),
		changed:   make(chan struct{}, 1),
	}
}

// observe folds an observation in; fresh is false for a doubled event.
func (t *track) observe(o release.Observation) (fresh bool) {
	if e := o.Event; e != nil {
		if known, ok := t.counts[e.UID]; ok && known >= e.Count {
			return false
		}
		t.counts[e.UID] = e.Count
		if !o.Initial {
			t.events = append(t.events, *e)
			if len(t.events) > maxEvents {
				delete(t.counts, t.events[0].UID)
				t.events = slices.Delete(t.events, 0, 1)
			}
		}
	}
	if r := o.Record; r != nil {
		if o.Deleted {
			delete(t.records, r.Revision)
		} else {
			t.records[r.Revision] = r
		}
	}
	if o.Record != nil && o.Initial && o.Record.Status == "superseded" {
		return true // history tells the timeline nothing, and of all releases it is most of the records
	}
	if t.timeline.Observe(o) {
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
	return true
}

// failed reports whether the record says that its operation just failed.
func (t *track) failed(r *release.Record) bool {
	before := t.records[r.Revision]
	if before == nil || !before.Pending() || before.UID != r.UID || t.snapshots[r.Revision] != nil {
		return false
	}
	// An install that Helm was told to undo is never marked failed: it goes from
	// pending straight to its removal.
	return r.Status == "failed" || r.Status == "uninstalling" && before.Status == "pending-install"
}

func (t *track) sortedRecords() []release.Record {
	out := make([]release.Record, 0, len(t.records))
	for _, r := range t.records {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b release.Record) int { return cmp.Compare(a.Revision, b.Revision) })
	return out
}

// View is what a watch knows of one release. It is safe for concurrent use; its
// zero-like answers mean that nothing was seen.
type View struct {
	w   *Watch
	ref release.Ref
}

// Of returns the view of a release.
func (w *Watch) Of(ref release.Ref) View { return View{w, ref} }

func (v View) with(f func(t *track)) {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	if t := v.w.tracks[v.ref]; t != nil {
		f(t)
	}
}

// Changed returns a channel that holds a value when what Waiting returns may
// have changed since it was last received from.
func (v View) Changed() (ch <-chan struct{}) {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	return v.w.track(v.ref).changed
}

// Waiting returns what Helm waits for now.
func (v View) Waiting() (waits []release.Wait) {
	v.with(func(t *track) { waits = t.timeline.Waiting() })
	return waits
}

// Steps returns the timeline of [from, to); see [release.Timeline.Steps].
func (v View) Steps(from, to time.Time) (steps []release.Step) {
	v.with(func(t *track) { steps = t.timeline.Steps(from, to) })
	return steps
}

// Facts returns the states of what belongs to the release.
func (v View) Facts() release.Facts {
	facts := release.Facts{Release: v.ref}
	v.with(func(t *track) { facts = t.timeline.Facts() })
	return facts
}

// Events returns the release's events since the watch began, without doubles
// (a UID once per count), oldest first. At most 2,000 are kept, the newest.
func (v View) Events() (events []release.Event) {
	v.with(func(t *track) { events = slices.Clone(t.events) })
	return events
}

// Records returns the release's records by ascending revision, those that Helm
// has removed left out.
func (v View) Records() (records []release.Record) {
	v.with(func(t *track) { records = t.sortedRecords() })
	return records
}

// Logs returns the log tails that were kept of containers when they failed.
func (v View) Logs() (logs []release.LogTail) {
	v.with(func(t *track) {
		if t.logs != nil {
			logs = t.logs.tails()
		}
	})
	return logs
}

// Forget drops what is told of operations that ended before that moment.
func (v View) Forget(before time.Time) {
	v.with(func(t *track) {
		t.timeline.Forget(before)
		t.events = slices.DeleteFunc(t.events, func(e release.Event) bool {
			old := e.Received.Before(before)
			if old && t.counts[e.UID] == e.Count {
				delete(t.counts, e.UID) // the stream itself doubles none
			}
			return old
		})
		for n, p := range t.snapshots {
			select {
			case <-p.done:
				if p.snapshot.Taken.Before(before) {
					delete(t.snapshots, n)
				}
			default:
			}
		}
		t.logs = nil
	})
}

// Fetch reads the body of a record that is known by its metadata alone; the
// handler gets it as an observation of its own.
func (v View) Fetch(revision int) {
	v.with(func(t *track) {
		if r, ok := t.records[revision]; ok {
			v.w.fetch.put(*r, false)
		}
	})
}

// Drop forgets a release that is no more, all that is known of it.
func (v View) Drop() {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	if t := v.w.tracks[v.ref]; t != nil && len(t.records) == 0 {
		delete(v.w.tracks, v.ref)
	}
}

// FailureSnapshot returns the snapshot that the watch took by itself when the
// record of that revision turned failed; ok is false when there is none. It
// waits for one that is under way until ctx ends.
func (v View) FailureSnapshot(ctx context.Context, revision int) (s release.Snapshot, ok bool) {
	var p *pendingSnapshot
	v.with(func(t *track) { p = t.snapshots[revision] })
	if p == nil {
		return s, false
	}
	select {
	case <-p.done:
		return p.snapshot, true
	case <-ctx.Done():
		return s, false
	}
}
