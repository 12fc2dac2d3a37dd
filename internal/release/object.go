package release

import (
	"strings"
	"time"
)

// Ref names a Helm release. Helm's names are unique in a namespace.
type Ref struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// IsZero reports whether the ref names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// String returns namespace/name.
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// ObjectRef names one Kubernetes object. UID is empty where only a manifest or
// a person named it.
type ObjectRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
}

// IsZero reports whether the ref names nothing.
func (r ObjectRef) IsZero() bool { return r == ObjectRef{} }

// String returns the object as people say it: "Deployment web".
func (r ObjectRef) String() string {
	if r.Name == "" {
		return r.Kind
	}
	return strings.TrimSpace(r.Kind + " " + r.Name)
}

// Meta is what every observed object carries.
type Meta struct {
	ObjectRef

	// Owner is the controlling owner, or the first owner where none controls.
	Owner ObjectRef `json:"owner,omitzero"`
	// Release is the release that the object itself claims to belong to by
	// Helm's annotations; zero for what controllers made (pods, ReplicaSets).
	Release Ref `json:"-"`
	// Hook are the events of the annotation helm.sh/hook ("pre-install"); empty
	// for what is not a hook.
	Hook []string `json:"hook,omitempty"`
	// Instance is the label app.kubernetes.io/instance, the only hint to a
	// hook's release where records cannot be read.
	Instance string `json:"-"`

	Generation int64     `json:"generation,omitempty"`
	Created    time.Time `json:"created"`
	Deleting   time.Time `json:"deleting,omitzero"` // deletionTimestamp
}

// Condition is a condition of an object that is worth showing.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"` // True, False, Unknown
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// FindCondition returns the condition of that type; ok is false without one.
func FindCondition(conditions []Condition, kind string) (c Condition, ok bool) {
	for _, c := range conditions {
		if c.Type == kind {
			return c, true
		}
	}
	return Condition{}, false
}

// The kinds of workload.
const (
	KindDeployment  = "Deployment"
	KindStatefulSet = "StatefulSet"
	KindDaemonSet   = "DaemonSet"
	KindReplicaSet  = "ReplicaSet"
	KindJob         = "Job"
	KindPod         = "Pod"
	KindClaim       = "PersistentVolumeClaim"
)

// Workload is a Deployment, StatefulSet, DaemonSet, ReplicaSet or Job, with
// what tells how far it has come. Which counts mean something depends on Kind.
type Workload struct {
	Meta

	ObservedGeneration int64 `json:"observed_generation,omitempty"`

	// Desired is how many pods are wanted (a Job: completions).
	Desired int32 `json:"desired"`
	// Total counts all pods that exist, old and new.
	Total int32 `json:"total"`
	// Updated counts pods of the newest template.
	Updated int32 `json:"updated"`
	// Ready counts pods that are ready (a Job: succeeded ones).
	Ready int32 `json:"ready"`
	// Available counts pods that have been ready for minReadySeconds.
	Available int32 `json:"available"`
	// Failed counts failed pods of a Job.
	Failed int32 `json:"failed,omitempty"`

	// MaxUnavailable is how many pods may be missing while it still counts as
	// ready, resolved to a number.
	MaxUnavailable int32 `json:"max_unavailable,omitempty"`
	// Partition is a StatefulSet's rolling-update partition.
	Partition int32 `json:"partition,omitempty"`
	// OnDelete marks StatefulSets and DaemonSets that replace pods only when
	// somebody deletes them: Helm does not wait for those.
	OnDelete bool `json:"on_delete,omitempty"`
	Paused   bool `json:"paused,omitempty"`

	// Revision orders the ReplicaSets of one Deployment (the annotation
	// deployment.kubernetes.io/revision); 0 elsewhere.
	Revision int64 `json:"revision,omitempty"`
	// Template identifies the newest pod template: a ReplicaSet's
	// pod-template-hash, a StatefulSet's update revision, a DaemonSet's template
	// generation. Pods of the newest template carry the same in Pod.Template.
	Template string `json:"template,omitempty"`
	// CurrentTemplate is a StatefulSet's current revision.
	CurrentTemplate string `json:"current_template,omitempty"`

	Conditions []Condition `json:"conditions,omitempty"`
	Started    time.Time   `json:"started,omitzero"`   // a Job's startTime
	Completed  time.Time   `json:"completed,omitzero"` // a Job's completionTime
}

// Pod is a pod with what tells why it is not ready.
type Pod struct {
	Meta

	Phase    string `json:"phase"` // Pending, Running, Succeeded, Failed, Unknown
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
	Node     string `json:"node,omitempty"`
	Template string `json:"template,omitempty"` // see Workload.Template
	// Claims are the names of the PersistentVolumeClaims it mounts.
	Claims     []string    `json:"claims,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Init       []Container `json:"init_containers,omitempty"`
	Containers []Container `json:"containers,omitempty"`
}

// Ready reports whether the pod's Ready condition is true.
func (p Pod) Ready() bool {
	c, ok := FindCondition(p.Conditions, "Ready")
	return ok && c.Status == "True"
}

// ContainerState is what a container does.
type ContainerState string

// The states of a container.
const (
	ContainerWaiting    ContainerState = "waiting"
	ContainerRunning    ContainerState = "running"
	ContainerTerminated ContainerState = "terminated"
)

// Container is the state of one container of a pod.
type Container struct {
	Name     string         `json:"name"`
	Image    string         `json:"image,omitempty"`
	State    ContainerState `json:"state,omitempty"`
	Reason   string         `json:"reason,omitempty"`  // of waiting
	Message  string         `json:"message,omitempty"` // of waiting
	Ready    bool           `json:"ready"`
	Started  bool           `json:"started,omitempty"` // its startup probe passed
	Sidecar  bool           `json:"sidecar,omitempty"`
	Restarts int32          `json:"restarts"`
	Running  time.Time      `json:"running_since,omitzero"`
	// Exit is how it ended, when its state is terminated; LastExit is how the
	// run before the present one ended.
	Exit     *Termination `json:"exit,omitempty"`
	LastExit *Termination `json:"last_exit,omitempty"`
}

// Termination is how a container's run ended.
type Termination struct {
	ExitCode int32     `json:"exit_code"`
	Signal   int32     `json:"signal,omitempty"`
	Reason   string    `json:"reason,omitempty"`  // Error, OOMKilled, Completed, ...
	Message  string    `json:"message,omitempty"` // the termination message
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

// Claim is a PersistentVolumeClaim.
type Claim struct {
	Meta

	Phase        string `json:"phase"` // Pending, Bound, Lost
	StorageClass string `json:"storage_class,omitempty"`
}
