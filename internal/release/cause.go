package release

// Cause is why an operation failed.
type Cause struct {
	ErrorType ErrorType `json:"error_type"`
	// Sentence is the cause in one sentence: which object, which reason, the
	// last event, how the container ended. Never empty for a failure.
	Sentence string `json:"sentence"`
	// Object is the release's object that failed (a workload, hook or claim);
	// zero when the cluster showed nothing.
	Object ObjectRef `json:"object,omitzero"`
	// Pod and Container are where it failed; empty when no pod did.
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	// Reason is one word of Kubernetes' own (CrashLoopBackOff, FailedScheduling).
	Reason      string       `json:"reason,omitempty"`
	LastEvent   *Event       `json:"last_event,omitempty"`
	Termination *Termination `json:"termination,omitempty"`
	Log         *LogTail     `json:"log,omitempty"`
}

// FindCause returns why an operation failed, from the state of the cluster
// (class and said are Helm's: the class of its error and its own last words,
// redacted). The root of the trouble goes before its symptoms: a crash loop
// before a Deployment that is not ready. Where the cluster shows nothing the
// sentence is Helm's own.
func FindCause(s Snapshot, class ErrorType, said string) Cause {
	return Cause{ErrorType: class, Sentence: said}
}
