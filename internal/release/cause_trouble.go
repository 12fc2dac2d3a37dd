package release

// Reasons that Kubernetes says in more than one word or not at all. All others
// are Kubernetes' own.
const (
	ReasonCrashLoop     = "CrashLoopBackOff"
	ReasonOOMKilled     = "OOMKilled"
	ReasonUnschedulable = "FailedScheduling"
	ReasonFailedMount   = "FailedMount"
	ReasonFailedCreate  = "FailedCreate"
	ReasonLiveness      = "LivenessProbeFailed"
	ReasonStartup       = "StartupProbeFailed"
	ReasonReadiness     = "ReadinessProbeFailed"
	ReasonNotReady      = "NotReady"
	ReasonClaimPending  = "ClaimPending"
	ReasonEvicted       = "Evicted"
	ReasonJobBackoff    = "BackoffLimitExceeded"
	ReasonJobDeadline   = "DeadlineExceeded"
	ReasonProgress      = "ProgressDeadlineExceeded"
)

// rank orders troubles from the root to the symptom. What keeps a pod from
// starting is nobody else's fault; a crash can be the consequence of another
// pod that never started; a probe that fails, of one that crashes.
type rank int

const (
	rankNone      rank = iota
	rankCreate         // pods cannot be created: quota, admission
	rankClaim          // a volume cannot be had
	rankImage          // an image cannot be had
	rankConfig         // a container cannot be made of its configuration
	rankMount          // a volume cannot be mounted
	rankSchedule       // no node takes the pod
	rankEvicted        // the node threw it out
	rankOOM            // killed for its memory
	rankCrash          // the program ends by itself
	rankLiveness       // killed as a probe failed
	rankStartup        // a startup probe has not passed yet
	rankDeadline       // a deadline of its own passed
	rankReadiness      // runs, but the readiness probe fails
	rankWaiting        // nothing is wrong that can be seen; not ready
	rankProgress       // the workload's own words about the same
)

// Trouble is what is wrong with one object. The zero Trouble is none.
type Trouble struct {
	Reason    string
	Container string
	Init      bool // the container is an init container
	// Text is a clause that can follow "Deployment web is not ready: ".
	Text string
	// Detail is a few words for a progress line: "exit code 1".
	Detail      string
	Termination *Termination
	Event       *Event
	rank        rank
}

// order is the rank with none last.
func (t Trouble) order() int {
	if t.rank == rankNone {
		return int(rankProgress) + 1
	}
	return int(t.rank)
}

// hard reports whether this is a failure rather than something that takes time.
func (t Trouble) hard() bool {
	return t.rank != rankNone && t.rank < rankReadiness && t.rank != rankStartup
}
