package release

import (
	"cmp"
	"slices"
	"strings"
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
	// lost is the release that the memory names and whose records are gone.
	lost *Told
	// gone is set when the release is no more.
	gone     bool
	begun    bool        // Due was called: what comes from now on is new
	queue    []Operation // to be told whatever the entries say
	last     *entry      // the newest record that there was, also when it is gone
	lastBody *Record
}

// entry is a record and the operation that made it.
type entry struct {
	revision          int
	uid, status       string
	first             string // the first status seen
	created, modified time.Time
	seen              time.Time // receipt of the first sight
	initial           bool      // it was there before the observer
	body              *Record
	opaque            bool // its body was asked for and cannot be read
	objects           string

	state State
	ended time.Time // receipt of the final state; zero when it was final at first sight
	cause string    // why it was cancelled
	told  State
	asked bool // its body was asked for

	previous      int
	previousKnown bool

	leaving     time.Time // since when it is being uninstalled
	left        bool      // uninstalled, history kept
	leavingTold State
	undone      bool // the removal was begun by the install itself
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
func (l *Ledger) Gone() bool { return l.gone && len(l.queue) == 0 && len(l.entries) == 0 }

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
	e := l.entries[r.Revision]
	if e == nil || e.uid != r.UID {
		e = &entry{revision: r.Revision, uid: r.UID, first: r.Status, created: r.Created, seen: o.At, initial: o.Initial}
		e.previous, e.previousKnown = l.deployedBefore(r.Revision)
		l.entries[r.Revision] = e
		l.gone = false
		l.abandon(r.Revision)
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

// turn takes a status of the record.
func (e *entry) turn(status string, o Observation) {
	e.status = status
	end := func(s State) {
		if e.state.Done() {
			return
		}
		if e.state == StateRunning || !o.Initial && !e.initial {
			e.ended = o.At
		}
		e.state = s
	}
	switch status {
	case "pending-install", "pending-upgrade", "pending-rollback":
		if e.state == "" {
			e.state = StateRunning
		}
	case "deployed":
		end(StateSucceeded)
	case "failed":
		end(StateFailed)
	case "superseded":
		switch said := e.said(); {
		case strings.Contains(said, " failed: "):
			end(StateFailed)
		case e.state == StateRunning && (said == "" || strings.HasPrefix(said, "Preparing ") || strings.HasSuffix(said, " underway")):
			e.cause = "another operation took over while it was pending"
			end(StateCancelled)
		default:
			end(StateSucceeded)
		}
	case "uninstalling", "uninstalled":
		if e.state == StateRunning {
			end(StateFailed) // an install that Helm was told to undo is never marked failed
			e.undone = true
		}
		if e.leaving.IsZero() {
			e.leaving = o.At
			if o.Initial && !e.modified.IsZero() {
				e.leaving = e.modified
			}
			e.undone = e.undone || e.state == StateFailed && !e.ended.IsZero() && o.At.Sub(e.ended) <= byItself && e.kind() == KindInstall
		}
		if status == "uninstalled" {
			e.left = true
		}
	}
}

func (e *entry) said() string {
	if e.body == nil {
		return ""
	}
	return e.body.Description
}

// kind is what the operation was; "" while that cannot be said.
func (e *entry) kind() Kind {
	switch e.first {
	case "pending-install":
		return KindInstall
	case "pending-upgrade":
		return KindUpgrade
	case "pending-rollback":
		return KindRollback
	}
	switch b := e.body; {
	case b == nil:
		return ""
	case b.RollbackTo > 0 || strings.HasPrefix(b.Description, "Rollback "):
		return KindRollback
	case b.FirstDeployed.Equal(b.LastDeployed):
		return KindInstall
	default:
		return KindUpgrade
	}
}

// abandon ends the operations that were pending when a newer one began.
func (l *Ledger) abandon(by int) {
	for _, e := range l.entries {
		if e.revision < by && e.state == StateRunning {
			e.state, e.ended = StateCancelled, lastSign(e)
			e.cause = "it was left " + e.status + ", and another operation took over"
		}
	}
}

// lastSign is when an operation that nobody ended was last seen at work.
func lastSign(e *entry) time.Time {
	at := e.start()
	if e.modified.After(at) {
		at = e.modified
	}
	if e.body != nil {
		for _, h := range e.body.Hooks {
			if h.Completed.After(at) {
				at = h.Completed
			}
		}
	}
	return at
}

// remove takes the deletion of a record: pruned history, an uninstall that
// ended, or somebody's own hand.
func (l *Ledger) remove(r Record, at time.Time) {
	e := l.entries[r.Revision]
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
		l.gone = l.gone || len(l.entries) == 0
	case !e.leaving.IsZero() && !l.gone:
		e.left, l.gone = true, true
		op := l.uninstall(e)
		op.End = at
		l.queue = append(l.queue, op)
	case len(l.entries) == 0 && !l.gone:
		l.gone = true
		e = l.last // whatever order they were removed in
		e.leaving, e.left = at, true
		op := l.uninstall(e)
		op.End = at
		op.Extra = map[string]string{AttrRemoval: "records removed"}
		l.queue = append(l.queue, op)
	}
}

// AttrLeftPending is, on an operation that ended without a word, the status in
// which it left the release: nothing else can begin until somebody acts.
const AttrLeftPending = "fairlead.left_pending"

// AttrRemoval tells, on an uninstall, that nobody saw Helm do it.
const AttrRemoval = "fairlead.uninstall.observed"

func (l *Ledger) newest() *entry {
	var out *entry
	for _, e := range l.entries {
		if out == nil || e.revision > out.revision {
			out = e
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
	return ops, want, more
}

// waits reports whether the operation is not told before its record was read.
func (e *entry) waits(now time.Time) bool {
	return e.body == nil && !e.opaque && (e.kind() == "" || now.Sub(e.seen) < bodyWait)
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
			old := &entry{revision: l.lost.Revision, uid: l.lost.UID, leaving: l.oldest().created, left: true, initial: true, state: StateSucceeded}
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

func (e *entry) leavingState() State {
	switch {
	case e.leaving.IsZero():
		return ""
	case e.left:
		return StateSucceeded
	default:
		return StateRunning
	}
}

// start is when the operation began: as it was received, or, of what was there
// before, as the record says.
func (e *entry) start() time.Time {
	if !e.initial {
		return e.seen
	}
	if b := e.body; b != nil && !b.LastDeployed.IsZero() && (b.LastDeployed.Before(e.created) || e.created.IsZero()) {
		return b.LastDeployed
	}
	return e.created
}

// end is when it ended.
func (e *entry) end() time.Time {
	start := e.start()
	at := e.ended
	switch {
	case !e.state.Done():
		return time.Time{}
	case !at.IsZero():
	case e.status == "deployed" || e.status == "failed":
		at = e.modified // Helm wrote the record last when it ended
	default:
		at = lastHook(e)
	}
	if at.Before(start) {
		at = start
	}
	return at
}

// lastHook is the best that an old record tells of its operation's end: Helm
// has written it again since.
func lastHook(e *entry) time.Time {
	at := e.created
	if e.body != nil {
		for _, h := range e.body.Hooks {
			if h.Completed.After(at) && !slices.Contains(h.Events, "test") {
				at = h.Completed
			}
		}
	}
	return at
}

// operation returns what made the record.
func (l *Ledger) operation(e *entry) Operation {
	kind := e.kind()
	op := Operation{
		ID: ID(kind, e.uid), Command: string(kind), Kind: kind, State: e.state, Observers: []Observer{ObserverAgent},
		Namespace: l.ref.Namespace, Release: l.ref.Name, Revision: e.revision, Start: e.start(), End: e.end(),
	}
	if b := e.body; b != nil {
		op.ChartName, op.ChartVersion, op.AppVersion, op.RollbackTo = b.Chart, b.Version, b.AppVersion, b.RollbackTo
	}
	if e.objects != "" {
		op.Extra = map[string]string{AttrObjects: e.objects}
	}
	if kind != KindRollback {
		op.RollbackTo = 0
	}
	l.previous(e, &op)
	switch e.state {
	case StateFailed:
		op.ErrorType, op.Cause = ErrorOther, e.words()
	case StateCancelled:
		op.ErrorType, op.Cause = ErrorCancelled, e.cause
	}
	if before := l.entries[e.revision-1]; kind == KindRollback && before != nil && before.state == StateFailed && before.kind().Deploy() {
		if gap := e.start().Sub(before.end()); gap <= byItself && gap >= -byItself {
			op.Automatic, op.ParentID = true, ID(before.kind(), before.uid)
		}
	}
	op.Historic = l.memory.None && e.initial && e.ended.IsZero() && e.state.Done() && op.End.Before(l.memory.Since)
	return op
}

// previous fills in what was deployed when the operation began, where that can
// be known.
func (l *Ledger) previous(e *entry, op *Operation) {
	n, known := e.previous, e.previousKnown
	if e.initial {
		n = 0
		for _, x := range l.entries {
			if x.revision < e.revision && x.revision > n && (x.status == "deployed" || x.status == "superseded" && x.state == StateSucceeded) {
				n = x.revision
			}
		}
		known = n > 0
	}
	if op.Kind == KindInstall || e.revision == 1 {
		n, known = 0, true
	}
	if known || !e.initial {
		op.PreviousRevision = &n
	}
}

// words are Helm's own about the failure: what stands behind `Upgrade "web"
// failed: `.
func (e *entry) words() string {
	said := e.said()
	if _, rest, ok := strings.Cut(said, " failed: "); ok {
		return rest
	}
	if e.undone && !strings.Contains(said, "failed") {
		return "the install was undone by Helm itself"
	}
	return said
}

// uninstall returns the removal of a release at that record.
func (l *Ledger) uninstall(e *entry) Operation {
	op := Operation{
		ID: UninstallID(e.uid), Command: string(KindUninstall), Kind: KindUninstall, State: e.leavingState(), Observers: []Observer{ObserverAgent},
		Namespace: l.ref.Namespace, Release: l.ref.Name, Revision: e.revision, Start: e.leaving,
	}
	body := cmp.Or(e.body, l.lastBody)
	if body != nil {
		op.ChartName, op.ChartVersion, op.AppVersion = body.Chart, body.Version, body.AppVersion
	}
	if e.left {
		op.End = e.leaving
		if e.status == "uninstalled" && e.modified.After(op.End) {
			op.End = e.modified
		}
	}
	if e.state == StateSucceeded && e.revision > 0 {
		n := e.revision
		op.PreviousRevision = &n
	}
	if e.undone {
		op.Automatic, op.ParentID = true, ID(KindInstall, e.uid)
	}
	return op
}
