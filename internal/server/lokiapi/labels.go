package lokiapi

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"fairlead.dev/fairlead/internal/store/logql"
	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// promoted are the resource attributes that are labels of a stream; the same
// that metrics have as labels. All other attributes are structured metadata.
var promoted = []string{
	"service.name", "service.version", "service.instance.id", "deployment.track", "deployment.environment", "deployment.environment.name",
	"k8s.namespace.name", "k8s.pod.name", "k8s.cluster.name",
}

// unknownService is the service_name of resources without one, as in Loki.
const unknownService = "unknown_service"

// labelName makes an attribute's name a label's: other characters than letters,
// digits and _ become _.
func labelName(key string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, key)
}

// streamLabels are the labels of a resource's stream.
func streamLabels(r *segment.Resource) map[string]string {
	labels := map[string]string{"service_name": unknownService}
	for _, key := range promoted {
		if v := r.Attributes[key]; v != "" {
			labels[labelName(key)] = v
		}
	}
	return labels
}

// metadata are the attributes of a record that are no stream labels: its own,
// its resource's and scope's, its ids and severity.
func metadata(l *telemetry.StoredLog, stream map[string]string) map[string]string {
	m := map[string]string{}
	set := func(key, value string) {
		if _, isLabel := stream[key]; value != "" && !isLabel {
			m[key] = value
		}
	}
	for key, v := range l.Resource.Attributes {
		set(labelName(key), v)
	}
	name, version := l.Scope()
	set("scope_name", name)
	set("scope_version", version)
	l.Attributes(func(key string, v otlpwire.Value) bool {
		set(labelName(key), v.Text())
		return true
	})
	set("event_name", l.EventName)
	set("severity_text", l.SeverityText)
	if l.Severity > 0 {
		set("severity_number", strconv.Itoa(int(l.Severity)))
	}
	set("detected_level", level(l))
	if !l.TraceID.IsEmpty() {
		set("trace_id", l.TraceID.String())
	}
	if !l.SpanID.IsEmpty() {
		set("span_id", l.SpanID.String())
	}
	return m
}

// level is the record's severity in Loki's words.
func level(l *telemetry.StoredLog) string {
	names := []string{"trace", "debug", "info", "warn", "error", "fatal"}
	if l.Severity > 0 {
		return names[min(int(l.Severity-1)/4, len(names)-1)]
	}
	if text := strings.ToLower(l.SeverityText); slices.Contains(names, text) {
		return text
	}
	return "unknown"
}

// line is the record's body: text as it is, anything else as JSON.
func line(l *telemetry.StoredLog) string {
	if l.Body.Kind != otlpwire.KindOther {
		return l.Body.Text()
	}
	record, err := l.Decode()
	if err != nil {
		return ""
	}
	body := pcommon.NewValueEmpty()
	record.Body().CopyTo(body)
	return body.AsString()
}

// streams returns the label sets of the resources with log records in the
// range that meet one of the selectors; all without selectors.
func (a *api) streams(r *http.Request, selectors []string) (streams []map[string]string, sc telemetry.Scanned, err error) {
	start, end, err := a.timeRange(r.Form)
	if err != nil {
		return nil, sc, err
	}
	var queries []*logql.Query
	for _, s := range selectors {
		q, err := parse(s)
		if err != nil {
			return nil, sc, err
		}
		queries = append(queries, q)
	}
	resources, sc, err := a.store.LogResources(r.Context(), start, end)
	if err != nil {
		return nil, sc, err
	}
	seen := map[string]bool{}
	for _, res := range resources {
		labels := streamLabels(res)
		key := labelKey(labels)
		matches := func(q *logql.Query) bool { return q.MatchStream(func(n string) string { return labels[n] }) }
		if !seen[key] && (len(queries) == 0 || slices.ContainsFunc(queries, matches)) {
			seen[key] = true
			streams = append(streams, labels)
		}
	}
	slices.SortFunc(streams, func(a, b map[string]string) int { return cmp.Compare(labelKey(a), labelKey(b)) })
	return streams, sc, nil
}

// labelKey is the same text for equal label sets.
func labelKey(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for n := range labels {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(labels[n]))
		b.WriteByte(',')
	}
	return b.String()
}

func selector(r *http.Request) []string {
	if q := r.Form.Get("query"); q != "" {
		return []string{q}
	}
	return nil
}

func (a *api) labels(w http.ResponseWriter, r *http.Request) error {
	return a.listLabels(w, r, func(add func(string), stream map[string]string) {
		for name := range stream {
			add(name)
		}
	})
}

func (a *api) labelValues(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	return a.listLabels(w, r, func(add func(string), stream map[string]string) {
		if v, ok := stream[name]; ok {
			add(v)
		}
	})
}

func (a *api) listLabels(w http.ResponseWriter, r *http.Request, list func(add func(string), stream map[string]string)) error {
	streams, sc, err := a.streams(r, selector(r))
	if err != nil {
		return err
	}
	values := []string{}
	for _, s := range streams {
		list(func(v string) { values = append(values, v) }, s)
	}
	slices.Sort(values)
	a.note(w, sc)
	return writeJSON(w, success(slices.Compact(values)))
}

func (a *api) series(w http.ResponseWriter, r *http.Request) error {
	streams, sc, err := a.streams(r, append(r.Form["match[]"], r.Form["match"]...))
	if err != nil {
		return err
	}
	if streams == nil {
		streams = []map[string]string{}
	}
	a.note(w, sc)
	return writeJSON(w, success(streams))
}

// stats tells how much a query would read: records and their bytes.
func (a *api) stats(w http.ResponseWriter, r *http.Request) error {
	q, err := parse(r.Form.Get("query"))
	if err != nil {
		return err
	}
	start, end, err := a.timeRange(r.Form)
	if err != nil {
		return err
	}
	entries, bytes, seen := 0, 0, map[string]bool{}
	sc, err := a.scan(r.Context(), q, start, end, false, func(e entry) bool {
		entries++
		bytes += len(e.line)
		seen[e.streamKey] = true
		return true
	})
	if err != nil {
		return err
	}
	a.note(w, sc)
	return writeJSON(w, map[string]int{"streams": len(seen), "chunks": len(seen), "entries": entries, "bytes": bytes})
}
