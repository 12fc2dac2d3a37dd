package emit

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"

	"fairlead.dev/fairlead/internal/release"
)

// maxObjectLoggers bounds the loggers kept for objects seen lately: one is
// cheap to make again, and a long-lived observer sees objects without end.
const maxObjectLoggers = 256

type record struct {
	event        string
	at           time.Time
	severity     log.Severity
	severityText string
	body         attribute.Value
	attrs        []attribute.KeyValue
}

func (e *Emitter) emit(ctx context.Context, to log.Logger, r record) {
	var out log.Record
	out.SetEventName(r.event)
	out.SetTimestamp(r.at)
	out.SetObservedTimestamp(time.Now())
	out.SetSeverity(r.severity)
	out.SetSeverityText(r.severityText)
	out.SetBody(r.body)
	out.AddAttributes(r.attrs...)
	to.Emit(ctx, out)
}

// Snapshot sends the state of the cluster at a failure as a log record whose
// body is the snapshot's JSON, in the trace of ctx's span.
func (e *Emitter) Snapshot(ctx context.Context, op release.Operation, s release.Snapshot) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode snapshot: %w", err)
	}
	e.emit(ctx, e.logger, record{
		event: release.EventSnapshot, at: s.Taken, severity: log.SeverityError, severityText: "ERROR",
		body:  attribute.StringValue(string(body)),
		attrs: Values(joinAttributes(op), nil),
	})
	return nil
}

// Event sends a Kubernetes event as a log record of its object, as the
// Collector's k8s_events receiver does, in the trace of ctx's span and with the
// operation that it belongs to. The message goes through redact.
func (e *Emitter) Event(ctx context.Context, op release.Operation, ev release.Event, redact func(string) string) {
	at := ev.Received
	if at.IsZero() {
		at = ev.Last
	}
	number, text := ev.Severity()
	attrs := append(Values(ev.Attributes(), redact), Values(joinAttributes(op), nil)...)
	e.emit(ctx, e.objectLogger(ev), record{
		at: at, severity: log.Severity(number), severityText: text,
		body: attribute.StringValue(redact(ev.Message)), attrs: attrs,
	})
}

// joinAttributes are what joins a record to its operation.
func joinAttributes(op release.Operation) map[string]any {
	m := map[string]any{}
	if op.Release != "" {
		m[release.AttrRelease], m[release.AttrNamespace] = op.Release, op.Namespace
	}
	if op.Revision > 0 {
		m[release.AttrRevision] = int64(op.Revision)
	}
	if op.ID != "" {
		m[release.AttrID] = op.ID
	}
	if op.Cluster != "" {
		m[release.AttrCluster] = op.Cluster
	}
	return m
}

// objectLogger returns a logger whose resource is the event's object: the
// conventions put k8s.object.* there.
func (e *Emitter) objectLogger(ev release.Event) log.Logger {
	attrs := ev.ResourceAttributes()
	key := fmt.Sprint(attrs["k8s.object.uid"], "/", attrs["k8s.object.fieldpath"], "/", attrs["k8s.object.resource_version"], "/", ev.Host)
	e.mu.Lock()
	defer e.mu.Unlock()
	if l, ok := e.objectLoggers[key]; ok {
		return l
	}
	res, err := resource.Merge(e.resource, resource.NewSchemaless(Values(attrs, nil)...))
	if err != nil {
		res = e.resource
	}
	opts := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	for _, p := range e.logProcessors {
		opts = append(opts, sdklog.WithProcessor(p))
	}
	l := sdklog.NewLoggerProvider(opts...).Logger(release.Scope)
	if e.objectLoggers == nil || len(e.objectLoggers) >= maxObjectLoggers {
		e.objectLoggers = map[string]log.Logger{}
	}
	e.objectLoggers[key] = l
	return l
}

// Values turns attributes of package release into OpenTelemetry's, sorted by
// key. Texts go through redact where it is not nil.
func Values(attrs map[string]any, redact func(string) string) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(attrs))
	for k, v := range attrs {
		switch v := v.(type) {
		case string:
			if redact != nil {
				v = redact(v)
			}
			out = append(out, attribute.String(k, v))
		case int64:
			out = append(out, attribute.Int64(k, v))
		case int:
			out = append(out, attribute.Int(k, v))
		case bool:
			out = append(out, attribute.Bool(k, v))
		case float64:
			out = append(out, attribute.Float64(k, v))
		default:
			out = append(out, attribute.String(k, fmt.Sprint(v)))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}
