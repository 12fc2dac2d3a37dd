package operations

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// describeObjects gives the events among the records of the Collector's
// k8sobjects receiver the attributes, the time, the severity and the resource
// with which its k8s_events receiver describes one. The body stays what it was,
// the event itself. An event that has expired (DELETED) did not happen again and
// stays as it is.
func describeObjects(ld plog.Logs) {
	for i := range ld.ResourceLogs().Len() { // those that are added behind are described
		rl := ld.ResourceLogs().At(i)
		if text(rl.Resource().Attributes(), "k8s.object.kind") != "" {
			continue
		}
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			had := sl.LogRecords().Len()
			sl.LogRecords().RemoveIf(func(rec plog.LogRecord) bool {
				event, ok := eventBody(rec)
				if !ok {
					return false
				}
				of := ld.ResourceLogs().AppendEmpty()
				rl.Resource().CopyTo(of.Resource())
				of.SetSchemaUrl(rl.SchemaUrl())
				to := of.ScopeLogs().AppendEmpty()
				sl.Scope().CopyTo(to.Scope())
				to.SetSchemaUrl(sl.SchemaUrl())
				describe(event, of.Resource().Attributes(), rec)
				rec.CopyTo(to.LogRecords().AppendEmpty())
				return true
			})
			return had > 0 && sl.LogRecords().Len() == 0
		})
	}
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool { return rl.ScopeLogs().Len() == 0 })
}

// eventBody returns the event that a record's body is, in a watch's envelope or
// as it is; ok is false for other bodies.
func eventBody(rec plog.LogRecord) (event pcommon.Map, ok bool) {
	if rec.Body().Type() != pcommon.ValueTypeMap {
		return event, false
	}
	event = rec.Body().Map()
	if inner, wrapped := event.Get("object"); wrapped && inner.Type() == pcommon.ValueTypeMap {
		if text(event, "type") == "DELETED" {
			return event, false
		}
		event = inner.Map()
	}
	api := text(event, "apiVersion")
	return event, text(event, "kind") == "Event" && (api == "" || api == "v1" || strings.HasPrefix(api, "events.k8s.io/"))
}

// describe takes an event of "" or events.k8s.io apart.
func describe(event, resource pcommon.Map, rec plog.LogRecord) {
	meta, series, source := child(event, "metadata"), child(event, "series"), child(event, "source")
	source = either(source, child(event, "deprecatedSource"))
	object := either(child(event, "involvedObject"), child(event, "regarding"))
	put := func(m pcommon.Map, key, value string) {
		if value != "" {
			m.PutStr(key, value)
		}
	}
	put(resource, "k8s.object.kind", text(object, "kind"))
	put(resource, "k8s.object.name", text(object, "name"))
	put(resource, "k8s.object.uid", text(object, "uid"))
	put(resource, "k8s.object.fieldpath", text(object, "fieldPath"))
	put(resource, "k8s.object.api_version", text(object, "apiVersion"))
	put(resource, "k8s.object.resource_version", text(object, "resourceVersion"))
	put(resource, "k8s.node.name", text(source, "host"))
	attrs := rec.Attributes()
	put(attrs, "k8s.event.reason", text(event, "reason"))
	put(attrs, "k8s.event.action", text(event, "action"))
	put(attrs, "k8s.event.name", text(meta, "name"))
	put(attrs, "k8s.event.uid", text(meta, "uid"))
	put(attrs, "k8s.event.start_time", cmp.Or(text(event, "firstTimestamp"), text(event, "deprecatedFirstTimestamp"), text(event, "eventTime"), text(meta, "creationTimestamp")))
	put(attrs, "k8s.namespace.name", cmp.Or(text(object, "namespace"), text(meta, "namespace")))
	n, err := strconv.ParseInt(cmp.Or(text(event, "count"), text(event, "deprecatedCount"), text(series, "count")), 10, 64)
	if err != nil || n < 1 {
		n = 1
	}
	attrs.PutInt("k8s.event.count", n)
	if rec.SeverityNumber() == plog.SeverityNumberUnspecified {
		switch kind := text(event, "type"); kind {
		case "Normal":
			rec.SetSeverityNumber(plog.SeverityNumberInfo)
			rec.SetSeverityText(kind)
		case "Warning":
			rec.SetSeverityNumber(plog.SeverityNumberWarn)
			rec.SetSeverityText(kind)
		}
	}
	last := cmp.Or(text(event, "lastTimestamp"), text(event, "deprecatedLastTimestamp"), text(series, "lastObservedTime"), text(event, "eventTime"), text(meta, "creationTimestamp"))
	if at, err := time.Parse(time.RFC3339, last); err == nil && rec.Timestamp() == 0 {
		rec.SetTimestamp(pcommon.NewTimestampFromTime(at))
	}
}

// child returns a map within a map, an empty one where there is none.
func child(m pcommon.Map, key string) pcommon.Map {
	if v, ok := m.Get(key); ok && v.Type() == pcommon.ValueTypeMap {
		return v.Map()
	}
	return pcommon.NewMap()
}

func either(a, b pcommon.Map) pcommon.Map {
	if a.Len() > 0 {
		return a
	}
	return b
}
