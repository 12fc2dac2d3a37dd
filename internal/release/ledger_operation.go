package release

import "cmp"

// AttrLeftPending is, on an operation that ended without a word, the status in
// which it left the release: nothing else can begin until somebody acts.
const AttrLeftPending = "fairlead.left_pending"

// AttrRemoval tells, on an uninstall, that nobody saw Helm do it.
const AttrRemoval = "fairlead.uninstall.observed"

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
		for revision := range l.past {
			if revision < e.revision {
				n = max(n, revision)
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
		if wrote := apiTime(e.modified, e.leftSeen); e.status == "uninstalled" && wrote.After(op.End) {
			op.End = wrote
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
