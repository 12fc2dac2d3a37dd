package release

import "fmt"

// RollbackMode is what users chose by --auto-rollback.
type RollbackMode string

// The modes of the automatic rollback.
const (
	RollbackOff       RollbackMode = "off"       // nothing is ever changed
	RollbackOn        RollbackMode = "on"        // as RollbackUninstall, the default
	RollbackUninstall RollbackMode = "uninstall" // a first install that failed is uninstalled
	RollbackKeep      RollbackMode = "keep"      // a first install that failed is left for inspection
)

// RollbackFacts is what [AutoRollback] decides from. All of it was read after
// Helm ended, but for Deployed.
type RollbackFacts struct {
	Mode RollbackMode
	Kind Kind // of the operation that failed
	// Failed is whether Helm exited with anything but 0.
	Failed bool
	// Cancelled is set when a signal ended Helm or asked it to end.
	Cancelled bool
	// DryRun is set when nothing was changed.
	DryRun bool
	// Atomic is set when Helm was told to roll back itself.
	Atomic bool
	// ErrorType is the class of the failure; ErrorLock matters here.
	ErrorType ErrorType
	// Known is false when the release's records could not be read.
	Known bool
	// Revision is the revision that this operation created; 0 = none.
	Revision int
	// Status is Helm's status of that revision, such as "failed".
	Status string
	// Deployed is the revision that was deployed when the operation began; 0 = none.
	Deployed int
	// DeployedExists is whether that revision's record is still there.
	DeployedExists bool
	// Latest is the newest revision there is now; another than Revision means
	// that somebody else went on.
	Latest int
}

// RollbackAction is what to do about a failed operation.
type RollbackAction string

// The actions.
const (
	RollbackNone      RollbackAction = "none"
	RollbackToTarget  RollbackAction = "rollback"
	RollbackByRemoval RollbackAction = "uninstall"
)

// RollbackDecision is an action with its reason.
type RollbackDecision struct {
	Action RollbackAction
	// Revision is the target of a rollback; 0 for the other actions.
	Revision int
	// Reason is a sentence for users.
	Reason string
}

// AutoRollback decides what to do after an operation: nothing, return to the
// revision that was deployed when it began, or remove a first install that
// failed. It changes a release only when all it must know is known: a rollback
// that guesses its target downgrades a healthy release.
func AutoRollback(f RollbackFacts) RollbackDecision {
	none := func(reason string) RollbackDecision {
		return RollbackDecision{Action: RollbackNone, Reason: reason}
	}
	switch {
	case f.Mode == RollbackOff || f.Mode == "":
		return none("automatic rollback is off")
	case f.Mode != RollbackOn && f.Mode != RollbackUninstall && f.Mode != RollbackKeep:
		return none(fmt.Sprintf("the mode %q is not known", f.Mode))
	case !f.Failed:
		return none("the operation succeeded")
	case f.DryRun:
		return none("a dry run changes nothing")
	case !f.Kind.Deploy():
		return none("only a failed install or upgrade is rolled back, this is " + withArticle(f.Kind))
	case f.Cancelled || f.ErrorType == ErrorCancelled:
		return none("the operation was cancelled; whoever did that decides what comes next")
	case f.ErrorType == ErrorLock:
		return none("another operation holds the release")
	case f.Atomic || f.ErrorType == ErrorRolledBack:
		return none("Helm rolls back itself (--atomic or --rollback-on-failure)")
	case !f.Known:
		return none("the release's history could not be read")
	case f.Revision == 0:
		return none("Helm failed before it made a new revision, so nothing has changed")
	case f.Latest > f.Revision:
		return none(fmt.Sprintf("revision %d is newer than the failed revision %d: another operation has taken over", f.Latest, f.Revision))
	case f.Status != "failed":
		return none(fmt.Sprintf("revision %d is %s, not failed", f.Revision, f.Status))
	case f.Deployed >= f.Revision:
		return none(fmt.Sprintf("revision %d, which was deployed before, is not older than the failed revision %d", f.Deployed, f.Revision))
	case f.Deployed > 0 && !f.DeployedExists:
		return none(fmt.Sprintf("revision %d, which was deployed before, is no longer in the history", f.Deployed))
	case f.Deployed > 0:
		return RollbackDecision{Action: RollbackToTarget, Revision: f.Deployed,
			Reason: fmt.Sprintf("revision %d failed, revision %d was deployed before it", f.Revision, f.Deployed)}
	case f.Kind != KindInstall:
		return none("no revision was deployed before, so there is nothing to roll back to")
	case f.Mode == RollbackKeep:
		return none(fmt.Sprintf("the first install failed and is kept for inspection (revision %d)", f.Revision))
	case f.Revision > 1:
		return none(fmt.Sprintf("revision %d failed, but the release has a history from before it was uninstalled, which removing it would take along", f.Revision))
	default:
		return RollbackDecision{Action: RollbackByRemoval,
			Reason: fmt.Sprintf("the first install failed (revision %d), there is nothing to roll back to", f.Revision)}
	}
}

func withArticle(k Kind) string {
	switch k {
	case "":
		return "an operation of unknown kind"
	case KindUninstall:
		return "an uninstall"
	default:
		return "a " + string(k)
	}
}
