package release

import (
	"strings"
	"time"
)

// Record is what a release record in Helm's storage says, as far as fairlead
// needs it. Values and manifests stay out: they may hold secrets.
type Record struct {
	Ref
	Revision int
	// Status is Helm's word: deployed, failed, superseded, uninstalling,
	// uninstalled, pending-install, pending-upgrade, pending-rollback.
	Status      string
	Description string
	Chart       string
	Version     string // the chart's
	AppVersion  string
	RollbackTo  int // the revision that this one returned to; 0 = no rollback, or not told
	// FirstDeployed and LastDeployed are the record's own times; LastDeployed is
	// when the operation that made this revision began.
	FirstDeployed, LastDeployed time.Time

	// UID, Created and Manager describe the Secret or ConfigMap that holds the
	// record; Manager is the newest writer in managedFields, Modified its time.
	UID      string
	Created  time.Time
	Manager  string
	Modified time.Time

	// Unreadable tells that the body was asked for and says nothing: it does not
	// decode, or may not be read. What the metadata tells is all there is.
	Unreadable bool

	Hooks []Hook
	// Objects are the objects of the manifest.
	Objects []ObjectRef
}

// Pending reports whether an operation holds the release, or was left behind.
func (r Record) Pending() bool {
	switch r.Status {
	case "pending-install", "pending-upgrade", "pending-rollback", "uninstalling":
		return true
	}
	return false
}

// Hook is a hook as the record knows it.
type Hook struct {
	ObjectRef
	Events []string `json:"events,omitempty"` // pre-install, post-upgrade, test, ...
	// Phase, Started and Completed are of the last run: Unknown, Running,
	// Succeeded, Failed; empty when it never ran.
	Phase     string    `json:"phase,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	Completed time.Time `json:"completed,omitzero"`
}

// Lock says that a release is held by an operation, or was left so.
type Lock struct {
	Ref
	Revision int
	Status   string // pending-*, or uninstalling
	Since    time.Time
	// Holder is who holds or left it: the Lease's holder where there is a
	// Lease, else the program that wrote the record (managedFields).
	Holder string
	// Alive reports that a Lease shows the holder at work; without a Lease
	// nobody can tell, and it is false.
	Alive bool
	// LastDeployed is the newest revision that was deployed; 0 = none.
	LastDeployed int
}

// maxObjectNames bounds [Record.ObjectNames]: the events that matter are of
// workloads, and few releases have more objects.
const maxObjectNames = 200

// ObjectNames returns the objects of the manifest and the hooks in the release's
// own namespace as the value of [AttrObjects].
func (r Record) ObjectNames() string {
	var names []string
	add := func(o ObjectRef) {
		if (o.Namespace == "" || o.Namespace == r.Namespace) && len(names) < maxObjectNames {
			names = append(names, o.Kind+"/"+o.Name)
		}
	}
	for _, o := range r.Objects {
		add(o)
	}
	for _, h := range r.Hooks {
		add(h.ObjectRef)
	}
	return strings.Join(names, ",")
}
