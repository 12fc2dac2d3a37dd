package release

import "time"

// StepKind is what a step of the timeline is.
type StepKind string

// The kinds of step.
const (
	StepHook     StepKind = "hook"         // a hook ran
	StepWorkload StepKind = "workload"     // a workload changed until it was ready
	StepRemoval  StepKind = "removal"      // an object was deleted until it was gone, and as far as seen its pods
	StepClaim    StepKind = "claim"        // a PersistentVolumeClaim was created until it was bound
	StepPod      StepKind = "pod"          // a pod was created until it was ready
	StepSchedule StepKind = "pod.schedule" // created until a node was chosen
	StepPull     StepKind = "pod.pull"     // an image was pulled
	StepInit     StepKind = "pod.init"     // its init containers ran
	StepStart    StepKind = "pod.start"    // its containers started until it was ready
	StepRun      StepKind = "pod.run"      // the containers of a Job's or hook's pod ran
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

// stepNames are the names of the spans.
var stepNames = map[StepKind]string{
	StepHook:     "helm.hook",
	StepWorkload: "k8s.workload.rollout",
	StepRemoval:  "k8s.object.removal",
	StepClaim:    "k8s.persistentvolumeclaim.bind",
	StepPod:      "k8s.pod",
	StepSchedule: "k8s.pod.schedule",
	StepPull:     "k8s.pod.pull",
	StepInit:     "k8s.pod.init",
	StepStart:    "k8s.pod.start",
	StepRun:      "k8s.pod.run",
	StepPods:     "k8s.pods",
}

// newStep returns a step of [start, end), clamped into [from, to]; a zero end
// means that it goes on.
func newStep(kind StepKind, object ObjectRef, start, end, from, to time.Time) Step {
	s := Step{Kind: kind, Name: stepNames[kind], Object: object, Start: start, End: end, Done: !end.IsZero() && !end.After(to)}
	if !s.Done {
		s.End = to
	}
	s.clamp(from, to)
	return s
}

// clamp moves the step and its children into [from, to].
func (s *Step) clamp(from, to time.Time) {
	s.Start = within(s.Start, from, to)
	s.End = within(s.End, s.Start, to)
	for i := range s.Children {
		s.Children[i].clamp(s.Start, s.End)
	}
}

func within(t, from, to time.Time) time.Time {
	if t.Before(from) {
		return from
	}
	if t.After(to) {
		return to
	}
	return t
}

func (s *Step) set(key string, value any) {
	if v, ok := value.(string); ok && v == "" {
		return
	}
	if s.Attributes == nil {
		s.Attributes = make(map[string]any)
	}
	s.Attributes[key] = value
}

// identify sets the semantic conventions' attributes of an object.
func (s *Step) identify(o ObjectRef) {
	s.set("k8s.namespace.name", o.Namespace)
	kind := map[string]string{
		KindDeployment: "deployment", KindStatefulSet: "statefulset", KindDaemonSet: "daemonset",
		KindReplicaSet: "replicaset", KindJob: "job", KindPod: "pod",
	}[o.Kind]
	if kind == "" {
		s.set("k8s.object.kind", o.Kind)
		s.set("k8s.object.name", o.Name)
		s.set("k8s.object.uid", o.UID)
		return
	}
	s.set("k8s."+kind+".name", o.Name)
	s.set("k8s."+kind+".uid", o.UID)
}
