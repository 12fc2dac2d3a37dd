package release

// past are the records of a release whose operations were told long ago and
// succeeded, by revision: their UIDs. Most records of a cluster are such, and
// all that can still happen to them is that they are removed, or written again.
type past map[int]string

// settle moves what needs no more telling from the entries to the past.
func (l *Ledger) settle() {
	newest := l.newest()
	settled := func(e *entry) bool {
		return e != newest && e != l.last && e.status == "superseded" && e.state == StateSucceeded && e.told == e.state && e.leaving.IsZero() && !e.left
	}
	n := 0
	for _, e := range l.entries {
		if settled(e) {
			n++
		}
	}
	if n == 0 {
		return
	}
	if l.past == nil {
		l.past = make(past, n)
	}
	kept := make(map[int]*entry, len(l.entries)-n) // a map does not shrink
	for revision, e := range l.entries {
		if settled(e) {
			l.past[revision] = e.uid
		} else {
			kept[revision] = e
		}
	}
	l.entries = kept
}

// entry returns the entry of a revision, also of one in the past, which comes
// back for that; nil for none.
func (l *Ledger) entry(revision int) *entry {
	if uid, ok := l.past[revision]; ok {
		delete(l.past, revision)
		l.entries[revision] = &entry{revision: revision, uid: uid, first: "superseded", status: "superseded", initial: true, state: StateSucceeded, told: StateSucceeded}
	}
	return l.entries[revision]
}

// none reports whether the release has no record.
func (l *Ledger) none() bool { return len(l.entries)+len(l.past) == 0 }
