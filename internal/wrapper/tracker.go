package wrapper

import (
	"context"
	"sort"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// tracker follows the release's records and says which of them our Helm made:
// those whose own time of deployment is not before Helm's start. Both times are
// of this machine's clock, because Helm writes its own into the record.
type tracker struct {
	name  string // "" until a generated name is known
	start time.Time

	mu      sync.Mutex
	before  map[int]release.Record // by revision, what was there when Helm started
	ours    map[int]release.Record // by revision
	seen    map[int]time.Time      // when a record of ours was first seen
	was     map[int]string         // its first status
	removed map[int]time.Time      // when a record went away
	leaving time.Time              // when a record of ours was first being uninstalled
	changed chan struct{}          // closed and replaced at each change
	onOwn   func(release.Record)   // called once, with our first record
	told    bool
}

func newTracker(name string, start time.Time, onOwn func(release.Record)) *tracker {
	return &tracker{
		name: name, start: start, onOwn: onOwn, changed: make(chan struct{}),
		before: map[int]release.Record{}, ours: map[int]release.Record{}, seen: map[int]time.Time{},
		was: map[int]string{}, removed: map[int]time.Time{},
	}
}

// observe is the watch's handler. A record comes twice: at once with what its
// labels say, then with its body, which alone has times and the chart.
func (t *tracker) observe(o release.Observation) {
	if o.Record == nil {
		return
	}
	r := *o.Record
	hasBody := !r.LastDeployed.IsZero()
	t.mu.Lock()
	if t.name == "" && !o.Initial && r.Status == "pending-install" && hasBody && !r.LastDeployed.Before(t.start) {
		t.name = r.Name
	}
	if r.Name != t.name {
		t.mu.Unlock()
		return
	}
	var tell func(release.Record)
	switch _, isBefore := t.before[r.Revision]; {
	case o.Deleted:
		t.removed[r.Revision] = o.At
	case hasBody && r.LastDeployed.Before(t.start), isBefore && !hasBody, o.Initial && !hasBody:
		// It was there before, or somebody else made it.
		t.wasBefore(r)
	default:
		// New since the watch began, or by its own time not older than Helm's start.
		delete(t.before, r.Revision)
		t.isOurs(r, o.At)
		if hasBody && !t.told {
			t.told, tell = true, t.onOwn
		}
	}
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
	if tell != nil {
		tell(r)
	}
}

// wasBefore keeps a record that our Helm did not make, in the status in which
// it was when Helm started.
func (t *tracker) wasBefore(r release.Record) {
	if known, ok := t.before[r.Revision]; ok {
		r.Status = known.Status
		if r.Chart == "" {
			r = known
		}
	}
	t.before[r.Revision] = r
	delete(t.ours, r.Revision)
}

func (t *tracker) isOurs(r release.Record, at time.Time) {
	if known, ok := t.ours[r.Revision]; !ok {
		t.seen[r.Revision], t.was[r.Revision] = at, r.Status
	} else if known.UID == r.UID && r.Chart == "" {
		status := r.Status
		r = known
		r.Status = status
	}
	if r.Status == "uninstalling" && t.leaving.IsZero() {
		t.leaving = at
	}
	t.ours[r.Revision] = r
	delete(t.removed, r.Revision)
}

// releaseName returns the release's name, "" while a generated one is unknown.
func (t *tracker) releaseName() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

// wait waits until ok of the tracker's state, or ctx ends.
func (t *tracker) wait(ctx context.Context, ok func() bool) {
	for {
		t.mu.Lock()
		changed := t.changed
		t.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// own returns the record that our operation made, its newest state.
func (t *tracker) own() (release.Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	revs := revisions(t.ours)
	if len(revs) == 0 {
		return release.Record{}, false
	}
	return t.ours[revs[0]], true
}

// firstStatus returns the first status that revision was seen in.
func (t *tracker) firstStatus(revision int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.was[revision]
}

// rollback returns the record that Helm's own rollback made after own, and when
// it was first seen.
func (t *tracker) rollback() (r release.Record, at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	revs := revisions(t.ours)
	for _, rev := range revs[min(1, len(revs)):] {
		if t.ours[rev].RollbackTo > 0 {
			return t.ours[rev], t.seen[rev], true
		}
	}
	return release.Record{}, time.Time{}, false
}

// purged says when Helm began to remove the record that it had made itself.
func (t *tracker) purged() (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.leaving.IsZero() {
		return t.leaving, true
	}
	for rev := range t.ours {
		if at, gone := t.removed[rev]; gone {
			return at, true
		}
	}
	return time.Time{}, false
}

// deployedBefore returns the revision that was deployed when Helm started, 0
// for none. Where the list of records came so late that Helm had superseded it
// already, the newest superseded one is meant.
func (t *tracker) deployedBefore() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	revs := revisions(t.before)
	for _, status := range []string{"deployed", "superseded"} {
		for i := len(revs) - 1; i >= 0; i-- {
			if t.before[revs[i]].Status == status {
				return revs[i]
			}
		}
		if len(t.ours) == 0 {
			break // nothing of ours can have superseded it
		}
	}
	return 0
}

// current returns the newest record that was there before.
func (t *tracker) current() (release.Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	revs := revisions(t.before)
	if len(revs) == 0 {
		return release.Record{}, false
	}
	return t.before[revs[len(revs)-1]], true
}

func revisions(m map[int]release.Record) []int {
	out := make([]int, 0, len(m))
	for rev := range m {
		out = append(out, rev)
	}
	sort.Ints(out)
	return out
}

// exists reports whether that revision's record is still there.
func (t *tracker) exists(revision int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, was := t.before[revision]
	_, gone := t.removed[revision]
	return was && !gone
}

// latest returns the newest revision that there is.
func (t *tracker) latest() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	latest := 0
	for _, m := range []map[int]release.Record{t.before, t.ours} {
		for rev := range m {
			if _, gone := t.removed[rev]; !gone {
				latest = max(latest, rev)
			}
		}
	}
	return latest
}
