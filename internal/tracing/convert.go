package tracing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/explain"
)

// toTraces groups spans by trace. Spans that came twice are kept once.
func toTraces(td ptrace.Traces) map[string]*explain.Trace {
	out := map[string]*explain.Trace{}
	seen := map[[2]string]bool{}
	for _, rs := range td.ResourceSpans().All() {
		resource := texts(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				id, span := sp.TraceID().String(), toSpan(sp, resource)
				t, ok := out[id]
				if !ok {
					t = &explain.Trace{ID: id}
					out[id] = t
				}
				if key := [2]string{id, span.ID}; !seen[key] && len(t.Spans) < maxSpans {
					seen[key] = true
					t.Spans = append(t.Spans, span)
				}
			}
		}
	}
	return out
}

func toSpan(sp ptrace.Span, resource map[string]string) explain.Span {
	s := explain.Span{
		ID: sp.SpanID().String(), ParentID: sp.ParentSpanID().String(), Service: resource["service.name"], Name: sp.Name(),
		Start: sp.StartTimestamp().AsTime(), Duration: max(0, sp.EndTimestamp().AsTime().Sub(sp.StartTimestamp().AsTime())),
		Error: sp.Status().Code() == ptrace.StatusCodeError, Message: sp.Status().Message(),
		Attributes: texts(sp.Attributes()), Resource: resource,
	}
	for _, ev := range sp.Events().All() {
		if ev.Name() != "exception" {
			continue
		}
		attrs := texts(ev.Attributes())
		s.Exceptions = append(s.Exceptions, explain.Exception{Type: attrs["exception.type"], Message: attrs["exception.message"]})
	}
	return s
}

func texts(m pcommon.Map) map[string]string {
	out := make(map[string]string, m.Len())
	for k, v := range m.All() {
		out[k] = v.AsString()
	}
	return out
}

// matches reports whether the trace has a span of the query's service, version
// and track, and whether one of those failed as the query wants it. Attributes
// count on the span and on its resource.
func matches(t explain.Trace, q Query) bool {
	found, failed, slow := false, false, q.MinDuration == 0
	for _, s := range t.Spans {
		if s.Service != q.Service || !is(s, "service.version", q.Version) || !isTrack(s, q.Track, q.Version) || !isAll(s, q.Match) {
			continue
		}
		found = true
		failed = failed || s.Error
		slow = slow || s.Duration >= q.MinDuration
	}
	if !found || !slow {
		return false
	}
	return q.Status == StatusAny || failed == (q.Status == StatusError)
}

func is(s explain.Span, key, want string) bool {
	return want == "" || s.Attributes[key] == want || s.Resource[key] == want
}

// isAll checks the equalities of a query, whose names may be those of labels.
func isAll(s explain.Span, match map[string]string) bool {
	for label, want := range match {
		if !has(s.Attributes, label, want) && !has(s.Resource, label, want) {
			return false
		}
	}
	return true
}

func has(attributes map[string]string, label, want string) bool {
	if v, ok := attributes[label]; ok {
		return v == want
	}
	for k, v := range attributes {
		if v == want && labelName(k) == label {
			return true
		}
	}
	return false
}

// labelName is the metric label that an attribute becomes.
func labelName(attribute string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, attribute)
}

// attributeName is the attribute that a label was, for those of the semantic
// conventions whose parts are words without underscores.
func attributeName(label string) (string, bool) {
	if strings.Contains(label, ".") {
		return label, !strings.ContainsAny(label, " \"{}=")
	}
	for _, namespace := range []string{"k8s_", "service_", "deployment_", "cloud_", "host_"} {
		if strings.HasPrefix(label, namespace) {
			return strings.ReplaceAll(label, "_", "."), true
		}
	}
	return "", false
}

// isTrack takes spans without a track for the one asked for when the version
// already tells.
func isTrack(s explain.Span, track, version string) bool {
	if is(s, "deployment.track", track) {
		return true
	}
	return version != "" && s.Attributes["deployment.track"] == "" && s.Resource["deployment.track"] == ""
}

// newestFirst orders traces by the start of their first span of the service.
func newestFirst(traces []explain.Trace, service string) {
	starts := make(map[string]time.Time, len(traces))
	for _, t := range traces {
		if e, ok := t.Entry(service); ok {
			starts[t.ID] = e.Start
		}
	}
	slices.SortFunc(traces, func(a, b explain.Trace) int {
		return cmp.Or(starts[b.ID].Compare(starts[a.ID]), strings.Compare(a.ID, b.ID))
	})
}

// limit cuts the newest n.
func limit(r *Result, n int) {
	if len(r.Traces) > n {
		r.Traces, r.Truncated = r.Traces[:n], true
	}
}

// fullID restores the leading zeros that some backends strip.
func fullID(id string) string {
	if len(id) >= 32 {
		return strings.ToLower(id)
	}
	return strings.Repeat("0", 32-len(id)) + strings.ToLower(id)
}
