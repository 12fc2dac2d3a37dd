package release

import (
	"slices"
	"time"
)

const (
	// bodyWait is how long an operation whose kind is known waits for the body of
	// its record, which has the chart and what Helm said, before it is told from
	// the labels alone.
	bodyWait = 5 * time.Second
	// byItself is how soon after a failure a rollback or removal was begun by
	// the same Helm (or the same script) and not by a person.
	byItself = 3 * time.Second
)

// Told is how far the operations of a release were told before: all up to
// Revision, whose record had that UID. It is what an observer remembers over
// its own restart.
type Told struct {
	Revision int    `json:"r"`
	UID      string `json:"u"`
}

// Memory is what an observer knew of the cluster before it started.
type Memory struct {
	// None: it never ran before, or could not remember. Then what ended before
	// Since is history: it is told, and not counted.
	None bool
	// Since is when the observer began, or, with a memory, the moment up to which
	// releases that it does not name count as told.
	Since time.Time
}

// Ledger reads the operations of one release from its records as they change:
// from what an observer saw itself, and for what was there before from the
// record. Feed it with [Ledger.Observe], all that was there before first, and
// ask for what is to be told with [Ledger.Due]. It is not safe for concurrent use.
type Ledger struct {
	ref     Ref
	memory  Memory
	told    Told
	entries map[int]*entry
	past    past
	// lost is the release that the memory names and whose records are gone.
	lost *Told
	// gone is set when the release is no more.
	gone     bool
	begun    bool        // Due was called: what comes from now on is new
	queue    []Operation // to be told whatever the entries say
	last     *entry      // the newest record that there was, also when it is gone
	lastBody *Record
}

// NewLedger returns the ledger of a release. told is what the observer
// remembers of it, nil for nothing.
func NewLedger(ref Ref, memory Memory, told *Told) *Ledger {
	l := &Ledger{ref: ref, memory: memory, entries: make(map[int]*entry)}
	if told != nil {
		l.told = *told
		lost := *told
		l.lost = &lost
	}
	return l
}

// Told returns how far the operations have been told, for the observer to
// remember; ok is false for a release that is gone, or of which nothing was.
func (l *Ledger) Told() (t Told, ok bool) { return l.told, !l.gone && l.told.UID != "" }

// Gone reports whether the release is no more and all about it has been told.
func (l *Ledger) Gone() bool { return l.gone && len(l.queue) == 0 && l.none() }

// Observe takes an observation of one of the release's records.
func (l *Ledger) Observe(o Observation) {
	if o.Record == nil {
		return
	}
	r := *o.Record
	if o.Deleted {
		l.remove(r, o.At)
		return
	}
	e := l.entry(r.Revision)
	if e == nil || e.uid != r.UID {
		e = &entry{revision: r.Revision, uid: r.UID, first: r.Status, created: r.Created, seen: o.At, initial: o.Initial}
		e.previous, e.previousKnown = l.deployedBefore(r.Revision)
		l.entries[r.Revision] = e
		l.gone = false
		l.abandon(r.Revision, o.At)
	}
	if l.newest() == e {
		l.last = e
	}
	e.modified, e.opaque = r.Modified, r.Unreadable
	if !r.LastDeployed.IsZero() {
		// What the body says of hooks may change; the first description of a
		// rollback names its target, the last of one that failed does not.
		if e.body != nil && r.RollbackTo == 0 {
			r.RollbackTo = e.body.RollbackTo
		}
		e.objects = r.ObjectNames()
		r.Objects = nil
		e.body = &r
		if l.newest() == e {
			l.lastBody = e.body
		}
	}
	if e.status != r.Status || e.body != nil && e.state == "" {
		e.turn(r.Status, o)
	}
}

// abandon ends the operations that were pending when a newer one began.
func (l *Ledger) abandon(by int, at time.Time) {
	for _, e := range l.entries {
		if e.revision < by && e.state == StateRunning {
			e.state, e.ended = StateCancelled, apiTime(lastSign(e), at)
			e.cause = "it was left " + e.status + ", and another operation took over"
		}
	}
}

// remove takes the deletion of a record: pruned history, an uninstall that
// ended, or somebody's own hand.
func (l *Ledger) remove(r Record, at time.Time) {
	e := l.entry(r.Revision)
	if e == nil || e.uid != r.UID {
		return
	}
	delete(l.entries, r.Revision)
	if e.state == StateRunning {
		e.state, e.ended = StateCancelled, at
		e.cause = "its record was removed while it was " + e.status
	}
	if e.told != e.state && e.kind() != "" && (e.told != "" || !e.initial) {
		e.told = e.state
		l.queue = append(l.queue, l.operation(e))
	}
	switch {
	case e.left: // uninstalled before, its history kept until now
		l.gone = l.gone || l.none()
	case !e.leaving.IsZero() && !l.gone:
		e.left, l.gone = true, true
		op := l.uninstall(e)
		op.End = at
		l.queue = append(l.queue, op)
	case l.none() && !l.gone:
		l.gone = true
		e = l.last // whatever order they were removed in
		e.leaving, e.left = at, true
		op := l.uninstall(e)
		op.End = at
		op.Extra = map[string]string{AttrRemoval: "records removed"}
		l.queue = append(l.queue, op)
	}
}

func (l *Ledger) newest() *entry {
	var out *entry
	for _, e := range l.entries {
		if out == nil || e.revision > out.revision {
			out = e
		}
	}
	for revision := range l.past {
		if out == nil || revision > out.revision { // what came after it was removed by hand
			out = l.entry(revision)
		}
	}
	return out
}

// deployedBefore returns the newest revision below that was deployed.
func (l *Ledger) deployedBefore(revision int) (n int, known bool) {
	for _, e := range l.entries {
		if e.revision < revision && e.status == "deployed" && e.revision > n {
			n = e.revision
		}
	}
	return n, n > 0
}

// Due returns the operations that are new or have changed since the last call,
// oldest first, and those whose records' bodies are wanted for that. Call Due
// again while more is true: a body is waited for, only a few seconds where the
// labels tell what the operation was, else until it comes or is [Record.Unreadable].
func (l *Ledger) Due(now time.Time) (ops []Operation, want []int, more bool) {
	if !l.begun {
		l.begun = true
		l.recall(now)
	}
	revisions := make([]int, 0, len(l.entries))
	for n := range l.entries {
		revisions = append(revisions, n)
	}
	slices.Sort(revisions)
	for _, n := range revisions {
		e := l.entries[n]
		if e.told != e.state {
			if e.body == nil && !e.asked {
				e.asked = true
				want = append(want, n)
			}
			if e.waits(now) {
				more = true
				break // the next one comes after it
			}
			if e.kind() != "" {
				ops = append(ops, l.operation(e))
			}
			e.told = e.state
		}
		if e.state.Done() && (n > l.told.Revision || l.told.UID == "") {
			l.told = Told{Revision: n, UID: e.uid}
		}
		if state := e.leavingState(); state != e.leavingTold {
			if e.leavingTold = state; state != "" {
				ops = append(ops, l.uninstall(e))
			}
		}
	}
	ops = append(ops, l.queue...)
	l.queue = nil
	l.settle()
	return ops, want, more
}

// Current returns the operation that what happens to the release now belongs to:
// the newest one; ok is false while none is known.
func (l *Ledger) Current() (op Operation, ok bool) {
	e := l.newest()
	switch {
	case e == nil:
		return Operation{}, false
	case !e.leaving.IsZero():
		return l.uninstall(e), true
	case e.kind() == "":
		return Operation{}, false
	}
	return l.operation(e), true
}

// recall compares what was there at the start with the memory: what was told
// before is not told again, what happened meanwhile is.
func (l *Ledger) recall(now time.Time) {
	newest := l.newest()
	if newest == nil {
		if l.lost != nil { // uninstalled meanwhile
			e := &entry{revision: l.lost.Revision, uid: l.lost.UID, leaving: now, left: true, initial: true, state: StateSucceeded}
			op := l.uninstall(e)
			op.End = now
			op.Extra = map[string]string{AttrRemoval: "records gone"}
			l.queue = append(l.queue, op)
			l.gone = true
		}
		return
	}
	if l.lost != nil {
		if e := l.entries[l.lost.Revision]; e != nil && e.uid != l.lost.UID || e == nil && newest.revision < l.lost.Revision {
			// Uninstalled and installed anew: everything of it is new.
			old := &entry{revision: l.lost.Revision, uid: l.lost.UID, leaving: apiTime(l.oldest().created, now), left: true, initial: true, state: StateSucceeded}
			op := l.uninstall(old)
			op.End = old.leaving
			op.Extra = map[string]string{AttrRemoval: "records gone"}
			l.queue = append(l.queue, op)
			l.told = Told{}
			return
		}
		for _, e := range l.entries {
			if e.initial && e.revision <= l.told.Revision {
				if e.state == "" {
					e.state = StateSucceeded
				}
				e.told = e.state
			}
		}
		return
	}
	for _, e := range l.entries {
		old := l.memory.None && e != newest || !l.memory.None && !e.created.After(l.memory.Since)
		if !e.initial || !old {
			continue
		}
		if e.state == "" && e != newest {
			e.state = StateSucceeded
		}
		if e != newest || e.state.Done() {
			e.told = e.state
		}
	}
}

func (l *Ledger) oldest() *entry {
	var out *entry
	for _, e := range l.entries {
		if out == nil || e.revision < out.revision {
			out = e
		}
	}
	return out
}
