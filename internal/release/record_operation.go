package release

import (
	"strings"
	"time"
)

// Operation returns the operation that made the record, as the record alone
// tells it: without trace, command, exit code and what it replaced. newest says
// that no later revision of the release has a record.
//
// The end is known only where nothing wrote the record again: a later revision
// marks this one superseded, and a later failure writes it once more. The cause
// of a failure is Helm's description of it, on one line and not redacted.
func (r Record) Operation(newest bool) Operation {
	op := Operation{
		Kind: r.kind(), State: r.state(), Namespace: r.Namespace, Release: r.Name, Revision: r.Revision,
		ChartName: r.Chart, ChartVersion: r.Version, AppVersion: r.AppVersion, RollbackTo: r.RollbackTo, Start: r.started(),
	}
	op.ID = ID(op.Kind, r.UID)
	if op.State.Done() && (newest || op.State == StateFailed) && !r.Modified.Before(op.Start) {
		op.End = r.Modified
	}
	if op.State == StateFailed {
		op.Cause = strings.Join(strings.Fields(r.Description), " ")
	}
	return op
}

// kind says what made the record; of a first revision only an install can be.
func (r Record) kind() Kind {
	switch {
	case r.Status == "uninstalled" || r.Status == "uninstalling":
		return KindUninstall
	case r.RollbackTo > 0 || r.Status == "pending-rollback" || strings.HasPrefix(r.Description, "Rollback "):
		return KindRollback
	case r.Revision == 1 || r.Status == "pending-install":
		return KindInstall
	default:
		return KindUpgrade
	}
}

func (r Record) state() State {
	switch {
	case r.Pending():
		return StateRunning
	case r.Status == "failed":
		return StateFailed
	default:
		return StateSucceeded
	}
}

// started is when the operation that the status speaks of began. An uninstall
// leaves no time of its own in the metadata but its last write.
func (r Record) started() (t time.Time) {
	switch {
	case r.Status == "uninstalled" || r.Status == "uninstalling":
		return r.Modified
	case !r.LastDeployed.IsZero():
		return r.LastDeployed
	default:
		return r.Created
	}
}
