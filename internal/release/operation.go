// Package release says what a Helm operation is: its identity, kind, state,
// outcome and cause, and the names under which telemetry carries it.
//
// It is pure: no clock, no client, no I/O. The wrapper and the agent fill an
// [Operation] and put it on the wire with [Operation.Attributes]; the server
// reads it back with [FromAttributes], keeps each observer's [Latest] sighting
// and joins those with [Fold].
package release

import "time"

// Kind is what an operation does to a release, whatever command was typed:
// `helm upgrade --install` of a new release is an install.
type Kind string

// The kinds of operation.
const (
	KindInstall   Kind = "install"   // creates the first revision of a release
	KindUpgrade   Kind = "upgrade"   // creates the next revision from a chart
	KindRollback  Kind = "rollback"  // creates the next revision from an earlier one
	KindUninstall Kind = "uninstall" // removes the release
	KindTest      Kind = "test"      // runs the release's test hooks
)

// Deploy reports whether operations of this kind count in helm.deploy.count:
// only installs and upgrades do.
func (k Kind) Deploy() bool { return k == KindInstall || k == KindUpgrade }

// State is how far an operation has come.
type State string

// The states of an operation. A later state replaces an earlier one, never the
// other way round; see [Latest].
const (
	StateRunning   State = "running"
	StateSucceeded State = "succeeded"
	StateFailed    State = "failed"
	StateCancelled State = "cancelled" // ended by a signal; counts as a failure
)

// Done reports whether the state is final.
func (s State) Done() bool { return s != "" && s != StateRunning }

// Observer is who saw an operation.
type Observer string

// The observers of operations.
const (
	ObserverWrapper Observer = "wrapper" // fairlead helm
	ObserverAgent   Observer = "agent"   // fairlead agent
	ObserverSpans   Observer = "spans"   // spans of the spec's names from elsewhere
)

// Operation is one Helm operation as its observers saw it. The zero value of a
// field means "not known": an observer leaves out what it cannot know.
type Operation struct {
	// ID is the identity, see [DeployID] and [UnboundID]. Empty while only the
	// root span is known.
	ID string
	// TraceID and SpanID are the operation's root span in lower-case hex.
	TraceID, SpanID string

	Command   string // the verb that was typed: install, upgrade, rollback, uninstall, test
	Kind      Kind
	State     State
	Observers []Observer // in alphabetical order, without doubles

	Cluster   string // k8s.cluster.name, "" when nobody named it
	Namespace string
	Release   string

	// PreviousRevision is the revision that was deployed when the operation
	// began; 0 = none. nil = not known.
	PreviousRevision *int
	Revision         int // the revision that the operation created; 0 = none
	RollbackTo       int // rollback only: the revision it returned to

	ChartName, ChartVersion, AppVersion string

	ExitCode *int   // helm's; nil where nobody saw the process
	Wait     string // helm.wait: "true", "false", "watcher", "hookOnly", "legacy"; "" = not known

	Start, End time.Time // End is zero while running

	ErrorType ErrorType // class of the failure, "" on success
	Cause     string    // the failure in one sentence, redacted; "" on success

	// Automatic marks a rollback (or the uninstall of a failed first install)
	// that fairlead or Helm's own --atomic began by itself.
	Automatic bool
	// ParentID is the ID of the deployment that caused an automatic rollback.
	ParentID string

	// Historic marks an operation that ended before any observer was there: it is
	// shown, and counted nowhere.
	Historic bool

	// Extra are attributes beside the ones above: CI, VCS, environment.
	Extra map[string]string
}

// Duration returns how long the operation took; 0 while it runs or when either
// end is unknown.
func (o Operation) Duration() time.Duration {
	if o.Start.IsZero() || o.End.IsZero() || o.End.Before(o.Start) {
		return 0
	}
	return o.End.Sub(o.Start)
}

// Succeeded reports whether the operation ended well.
func (o Operation) Succeeded() bool { return o.State == StateSucceeded }

// DeployID returns the identity of an install or upgrade from the UID of the
// release Secret that it created.
func DeployID(secretUID string) string { return secretUID + "/deploy" }

// RollbackID returns the identity of a rollback from the UID of the release
// Secret that it created.
func RollbackID(secretUID string) string { return secretUID + "/rollback" }

// UninstallID returns the identity of an uninstall from the UID of the release
// Secret that was current when it began.
func UninstallID(secretUID string) string { return secretUID + "/uninstall" }

// UnboundID returns the identity of an operation that never got a Secret
// (template error, lock, chart fetch, no access), and of `helm test`, which
// makes none.
func UnboundID(traceID, rootSpanID string) string { return traceID + "/" + rootSpanID }

// ID returns the identity of an operation of kind k whose release Secret has
// the UID secretUID, or "" for a kind that has no Secret of its own.
func ID(k Kind, secretUID string) string {
	switch k {
	case KindInstall, KindUpgrade:
		return DeployID(secretUID)
	case KindRollback:
		return RollbackID(secretUID)
	case KindUninstall:
		return UninstallID(secretUID)
	default:
		return ""
	}
}
