package release

import "time"

// SnapshotVersion is the version of the JSON shape of [Snapshot]. Fields are
// added without a new version; a field that changes its meaning or goes raises it.
const SnapshotVersion = 1

// Facts are the states of everything that belongs to one release, at one
// moment. Pods that are gone are kept while they explain a failure.
type Facts struct {
	Release   Ref        `json:"release"`
	Revision  int        `json:"revision,omitempty"`
	Status    string     `json:"status,omitempty"` // of the newest record
	Workloads []Workload `json:"workloads"`
	Pods      []Pod      `json:"pods"`
	Claims    []Claim    `json:"claims,omitempty"` // PersistentVolumeClaims
	// Hooks are the hooks of the record with their last runs.
	Hooks []Hook `json:"hooks,omitempty"`
	// Since is when the newest record was made, by the API server's clock; zero
	// when that is not known.
	Since time.Time `json:"since,omitzero"`
	// Events are the newest events of these objects, oldest first.
	Events []Event `json:"events,omitempty"`
}

// Snapshot is what the cluster looked like when an operation failed. Its JSON
// is part of the interface: the body of the log record [EventSnapshot].
type Snapshot struct {
	Version int       `json:"version"` // SnapshotVersion
	Taken   time.Time `json:"taken"`
	Cluster string    `json:"cluster,omitempty"`
	Facts

	Nodes  []Node    `json:"nodes,omitempty"`
	Quotas []Quota   `json:"quotas,omitempty"`
	Logs   []LogTail `json:"logs,omitempty"`

	// Missing names what could not be read ("pods/log: forbidden").
	Missing []string `json:"missing,omitempty"`
	// Omitted says what the limits left out ("37 of 87 pods").
	Omitted []string `json:"omitted,omitempty"`
}

// Node is a node on which pods of the release run, or that is unhealthy.
type Node struct {
	Name          string `json:"name"`
	Ready         bool   `json:"ready"`
	Unschedulable bool   `json:"unschedulable,omitempty"`
	// Conditions are Ready and those that tell of trouble (pressure).
	Conditions []Condition `json:"conditions,omitempty"`
	Taints     []string    `json:"taints,omitempty"` // key=value:effect
}

// Quota is a ResourceQuota of the release's namespace.
type Quota struct {
	Name string `json:"name"`
	// Hard and Used are by resource, in Kubernetes' quantity notation.
	Hard map[string]string `json:"hard"`
	Used map[string]string `json:"used"`
}

// LogTail is the redacted end of what a container wrote.
type LogTail struct {
	Pod       string `json:"pod"`
	Container string `json:"container"`
	// Previous marks the log of the run before the present one.
	Previous bool `json:"previous,omitempty"`
	// Lines are oldest first; Truncated marks that earlier ones were left out.
	Lines     []string `json:"lines"`
	Truncated bool     `json:"truncated,omitempty"`
}

// LogOf returns the log tail of a container, the one of the run before first:
// that is the run that ended; ok is false when there is none.
func (s Snapshot) LogOf(pod, container string) (tail LogTail, ok bool) {
	for _, l := range s.Logs {
		if l.Pod == pod && l.Container == container && len(l.Lines) > 0 && (!ok || l.Previous) {
			tail, ok = l, true
		}
	}
	return tail, ok
}
