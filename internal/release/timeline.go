package release

import "time"

// StepKind is what a step of the timeline is.
type StepKind string

// The kinds of step.
const (
	StepHook     StepKind = "hook"         // a hook ran
	StepWorkload StepKind = "workload"     // a workload changed until it was ready
	StepRemoval  StepKind = "removal"      // an object was deleted until it and its pods were gone
	StepClaim    StepKind = "claim"        // a PersistentVolumeClaim was created until it was bound
	StepPod      StepKind = "pod"          // a pod was created until it was ready
	StepSchedule StepKind = "pod.schedule" // created until a node was chosen
	StepPull     StepKind = "pod.pull"     // an image was pulled
	StepInit     StepKind = "pod.init"     // its init containers ran
	StepStart    StepKind = "pod.start"    // its containers started until it was ready
	StepPods     StepKind = "pods"         // the pods beyond the cap, summed up
)

// Step is a part of an operation that the cluster did: a span to be. Children
// lie within their parent, no step ends before it starts.
type Step struct {
	Kind StepKind
	// Name is the span's name, without variable parts that would multiply:
	// "helm.hook", "k8s.workload.rollout", "k8s.pod.start", ...
	Name   string
	Object ObjectRef
	Start  time.Time
	End    time.Time
	// Done is false when the step had not ended when the timeline was asked:
	// End is then that moment.
	Done   bool
	Failed bool
	// Reason is why it failed or has not ended ("CrashLoopBackOff").
	Reason  string
	Message string
	// Attributes are semantic-convention attributes: string, int64 or bool.
	Attributes map[string]any
	Children   []Step
}

// MaxPods is the default of TimelineOptions.MaxPods: beyond fifty, single pods
// tell nothing that their counts don't, and a trace becomes unreadable.
const MaxPods = 50

// TimelineOptions are the options of [NewTimeline].
type TimelineOptions struct {
	Release Ref
	// MaxPods is how many pods of one operation get steps of their own; default
	// [MaxPods].
	MaxPods int
	// Ready is the rule by which a workload is ready; default [ReadyWatcher].
	Ready ReadyRule
}

// Timeline folds observations of one release into the steps of its operations.
// The same observations give the same steps. It is not safe for concurrent use.
type Timeline struct {
	opts TimelineOptions
}

// NewTimeline returns an empty timeline.
func NewTimeline(opts TimelineOptions) *Timeline {
	if opts.MaxPods == 0 {
		opts.MaxPods = MaxPods
	}
	return &Timeline{opts: opts}
}

// Observe adds an observation of the timeline's release. It reports whether
// what [Timeline.Waiting] returns may have changed.
func (t *Timeline) Observe(o Observation) bool { return false }

// Steps returns the steps that began in [from, to), oldest first, clamped into
// it. A step that has not ended by to ends there, not Done.
func (t *Timeline) Steps(from, to time.Time) []Step { return nil }

// Facts returns the states of what belongs to the release now.
func (t *Timeline) Facts() Facts { return Facts{Release: t.opts.Release} }

// Forget drops the steps that ended before that moment, and objects that are
// gone. A long-lived observer calls it when an operation has been told.
func (t *Timeline) Forget(before time.Time) {}

// Wait is one thing that Helm waits for.
type Wait struct {
	Object ObjectRef
	// Text is the state: "1/3 ready", "job running", "being deleted".
	Text string
	// Since is when it began to wait.
	Since time.Time
	// Pod, Reason and Detail tell of its worst pod, empty when none is in
	// trouble; Detail is short and redacted by who prints it.
	Pod, Reason, Detail string
	PodSince            time.Time
}

// Waiting returns what Helm waits for, the most troubled first.
func (t *Timeline) Waiting() []Wait { return nil }
