package release

// ErrorType is the class of a failed operation, the value of `error.type`.
type ErrorType string

// The classes of failure. They say what to look at next, not which text Helm
// printed.
const (
	ErrorLock        ErrorType = "lock"        // another operation is in progress, or was left behind
	ErrorTimeout     ErrorType = "timeout"     // --timeout passed
	ErrorHook        ErrorType = "hook"        // a hook failed
	ErrorNotReady    ErrorType = "not_ready"   // a workload did not become ready
	ErrorTemplate    ErrorType = "template"    // the chart does not render, or its values do not fit its schema
	ErrorOwnership   ErrorType = "ownership"   // an object exists and belongs to something else
	ErrorUnreachable ErrorType = "unreachable" // the Kubernetes API could not be reached
	ErrorForbidden   ErrorType = "forbidden"   // RBAC or admission refused
	ErrorInvalid     ErrorType = "invalid"     // the API server rejected an object
	ErrorNotFound    ErrorType = "not_found"   // no such release, or revision
	ErrorExists      ErrorType = "exists"      // the release's name is in use
	ErrorChartFetch  ErrorType = "chart_fetch" // the chart could not be had
	ErrorUsage       ErrorType = "usage"       // Helm did not accept the command line
	ErrorCancelled   ErrorType = "cancelled"   // a signal ended it
	ErrorRolledBack  ErrorType = "rolled_back" // failed, and Helm rolled it back; see the cause
	ErrorOther       ErrorType = "_OTHER"      // none of the above (semantic conventions' fallback value)
)
