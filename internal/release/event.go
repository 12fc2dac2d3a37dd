package release

import "time"

// Event is a Kubernetes event in the shape in which the OpenTelemetry
// Collector's k8s_events receiver logs it; see [Event.Attributes] and
// [Event.ResourceAttributes].
type Event struct {
	UID       string    `json:"uid,omitempty"`
	Name      string    `json:"name,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Type      string    `json:"type,omitempty"` // Normal, Warning
	Reason    string    `json:"reason"`
	Message   string    `json:"message,omitempty"`
	Action    string    `json:"action,omitempty"`
	Count     int32     `json:"count"` // at least 1
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Source    string    `json:"source,omitempty"` // component that reported it
	Host      string    `json:"host,omitempty"`

	Object     ObjectRef `json:"object"`
	FieldPath  string    `json:"field_path,omitempty"` // spec.containers{app}
	APIVersion string    `json:"-"`                    // of the object
	Resource   string    `json:"-"`                    // resourceVersion of the object

	// Release is the release that the object belongs to, zero when none.
	Release Ref `json:"-"`
	// Received is when this process saw it, on its own clock.
	Received time.Time `json:"-"`
}

// Warning reports whether the event is of type Warning.
func (e Event) Warning() bool { return e.Type == "Warning" }

// Severity returns the OTLP severity number and text: 9 Info, 13 Warn; the
// Collector's choice.
func (e Event) Severity() (number int, text string) {
	if e.Warning() {
		return 13, "Warn"
	}
	return 9, "Info"
}

// Attributes returns the log record's attributes by the Collector's names.
// Values are string or int64.
func (e Event) Attributes() map[string]any {
	m := map[string]any{
		"k8s.event.reason": e.Reason,
		"k8s.event.action": e.Action,
		"k8s.event.name":   e.Name,
		"k8s.event.uid":    e.UID,
		"k8s.event.count":  int64(max(e.Count, 1)),
	}
	if !e.First.IsZero() {
		m["k8s.event.start_time"] = e.First.UTC().Format(time.RFC3339)
	}
	if e.Namespace != "" {
		m["k8s.namespace.name"] = e.Namespace
	}
	return m
}

// ResourceAttributes returns the attributes of the resource, the event's
// object, by the Collector's names.
func (e Event) ResourceAttributes() map[string]any {
	m := map[string]any{
		"k8s.object.kind": e.Object.Kind,
		"k8s.object.name": e.Object.Name,
		"k8s.object.uid":  e.Object.UID,
	}
	set := func(k, v string) {
		if v != "" {
			m[k] = v
		}
	}
	set("k8s.object.fieldpath", e.FieldPath)
	set("k8s.object.api_version", e.APIVersion)
	set("k8s.object.resource_version", e.Resource)
	set("k8s.node.name", e.Host)
	return m
}
