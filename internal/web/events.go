package web

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

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
	out, any, err := s.searchEvents(ctx, telemetry.LogQuery{From: f.From, To: f.To.Add(time.Minute), Limit: maxEvents}, func(l *telemetry.StoredLog) bool {
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
		return nil, empty("No event tells of a failure in the last "+f.Range.Label+".", "")
	}
	return out, State{}
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
		At: l.Time(), Type: "Normal", Reason: text("k8s.event.reason"), Message: l.Body().AsString(),
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
