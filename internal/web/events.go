package web

import (
	"context"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// event is a Kubernetes event as the server has it from a log record.
type event struct {
	At                    time.Time
	Type, Reason, Message string
	Kind, Name            string
	Cluster, Namespace    string
	Count                 int64
	Release               string
	Operation             string
	TraceID               string
	Others                int // further objects of the same workload with the same trouble
}

// troubles are the reasons of events that tell of a failure: spec A4's Failed
// and BackOff, and their kin.
var troubles = []string{
	"Failed", "BackOff", "FailedScheduling", "FailedMount", "FailedAttachVolume", "FailedCreate", "FailedCreatePodSandBox", "Unhealthy", "Evicted",
	"BackoffLimitExceeded", "DeadlineExceeded", "OOMKilling", "ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "FailedBinding", "ProvisioningFailed",
	"ProgressDeadlineExceeded", "FailedKillPod", "FailedPostStartHook", "FailedPreStopHook", "InspectFailed", "ErrImageNeverPull",
}

const (
	// maxEvents is how many events a panel shows.
	maxEvents = 40
	// panelTimeout bounds what one panel may take, so that others show.
	panelTimeout = 3 * time.Second
)

// heldEvents keeps the panel of failures: finding its events reads much of the
// store, and every browser that follows asks for the same.
type heldEvents struct {
	mu   sync.Mutex
	held map[string]eventsAnswer
}

type eventsAnswer struct {
	events []event
	state  State
	until  time.Time
}

const (
	eventsAge     = 10 * time.Second
	maxHeldEvents = 64
)

// failureEvents are the newest events that tell of a failure, not older than
// eventsAge.
func (s *site) failureEvents(ctx context.Context, f filter) ([]event, State) {
	h := &s.failureEventsHeld
	key := f.Cluster + "\x00" + f.Namespace + "\x00" + f.Range.Name
	h.mu.Lock()
	one, ok := h.held[key]
	h.mu.Unlock()
	if ok && time.Now().Before(one.until) {
		return one.events, one.state
	}
	one.events, one.state = s.findFailureEvents(ctx, f)
	one.until = time.Now().Add(eventsAge)
	if one.state.Kind == "error" || ctx.Err() != nil {
		return one.events, one.state
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil || len(h.held) >= maxHeldEvents {
		h.held = map[string]eventsAnswer{}
	}
	h.held[key] = one
	return one.events, one.state
}

func (s *site) findFailureEvents(ctx context.Context, f filter) ([]event, State) {
	out, any, err := s.searchEvents(ctx, telemetry.LogQuery{From: f.From, To: f.To.Add(time.Minute), Limit: 5 * maxEvents}, func(l *telemetry.StoredLog) bool {
		if !slices.Contains(troubles, attribute(l, "k8s.event.reason")) {
			return false
		}
		return (f.Namespace == "" || attribute(l, "k8s.namespace.name") == f.Namespace) &&
			(f.Cluster == "" || attribute(l, release.AttrCluster) == f.Cluster)
	})
	switch {
	case err != nil:
		return out, failed(err)
	case len(out) == 0 && !any:
		return nil, off("No Kubernetes event has come in within the last "+f.Range.Label+".", "The agent sends the events of a cluster; the wrapper those of its own release while it runs.", "")
	case len(out) == 0:
		return nil, calm("No event tells of a failure in the last " + f.Range.Label + ".")
	}
	out = gather(out)
	return out[:min(len(out), maxEvents)], State{}
}

// podHash is what a Deployment, DaemonSet or Job puts behind a pod's name.
var podHash = regexp.MustCompile(`(-[a-f0-9]{7,10})?-[a-z0-9]{5}$`)

// gather puts events of the same trouble of one workload's pods in one operation
// into one, the newest; events are newest first.
func gather(events []event) (out []event) {
	at, counted := map[string]int{}, map[string]bool{}
	for _, e := range events {
		workload := e.Name
		if e.Kind == "Pod" {
			workload = podHash.ReplaceAllString(e.Name, "")
		}
		key := strings.Join([]string{e.Reason, e.Kind, e.Cluster, e.Namespace, workload, e.Operation}, "\x00")
		object := key + "\x00" + e.Name
		i, ok := at[key]
		if !ok {
			at[key], counted[object] = len(out), true
			out = append(out, e)
			continue
		}
		if !counted[object] { // of one object the newest event has the whole count
			counted[object] = true
			out[i].Others++
			out[i].Count += e.Count
		}
	}
	return out
}

// searchEvents returns Kubernetes events that match, newest first, and whether
// there are any events at all.
func (s *site) searchEvents(ctx context.Context, q telemetry.LogQuery, match func(*telemetry.StoredLog) bool) (out []event, any bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, panelTimeout)
	defer cancel()
	q.MatchResource = func(r *segment.Resource) bool {
		_, ok := r.Attributes["k8s.object.kind"]
		any = any || ok
		return ok
	}
	q.Match = match
	found, _, err := s.o.Telemetry.SearchLogs(ctx, q)
	for _, l := range found {
		out = append(out, eventOf(l))
	}
	return out, any, err
}

func eventOf(l telemetry.Log) event {
	text := func(key string) string {
		if v, ok := l.Attributes().Get(key); ok {
			return v.AsString()
		}
		if v, ok := l.Resource.Attributes().Get(key); ok {
			return v.AsString()
		}
		return ""
	}
	e := event{
		At: l.Time(), Type: "Normal", Reason: text("k8s.event.reason"), Message: messageOf(l.Body()),
		Kind: text("k8s.object.kind"), Name: text("k8s.object.name"), Cluster: text(release.AttrCluster), Namespace: text("k8s.namespace.name"),
		Release: text(release.AttrRelease), Operation: text(release.AttrID), Count: 1,
	}
	if e.Namespace == "" {
		e.Namespace = text(release.AttrNamespace)
	}
	if strings.EqualFold(l.SeverityText(), "Warn") || strings.EqualFold(l.SeverityText(), "Warning") || l.SeverityNumber() >= 13 {
		e.Type = "Warning"
	}
	if v, ok := l.Attributes().Get("k8s.event.count"); ok && v.Int() > 0 {
		e.Count = v.Int()
	}
	if id := l.TraceID(); !id.IsEmpty() {
		e.TraceID = id.String()
	}
	return e
}

// messageOf returns what an event says: the body, or, where that is the event
// itself (the Collector's k8sobjects receiver), its message.
func messageOf(body pcommon.Value) string {
	if body.Type() != pcommon.ValueTypeMap {
		return body.AsString()
	}
	event := body.Map()
	if inner, ok := event.Get("object"); ok && inner.Type() == pcommon.ValueTypeMap {
		event = inner.Map()
	}
	for _, key := range []string{"message", "note"} {
		if v, ok := event.Get(key); ok {
			return v.AsString()
		}
	}
	return body.AsString()
}

// attribute is the record's own attribute, or else its resource's, as text; ""
// when it has none.
func attribute(l *telemetry.StoredLog, key string) string {
	if v, ok := l.Attribute(key); ok {
		return v.Text()
	}
	return l.Resource.Attributes[key]
}

// traceKey reads a trace id in hex.
func traceKey(hexID string) (id otlpwire.TraceID, ok bool) {
	b, err := hex.DecodeString(hexID)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, !id.IsEmpty()
}
