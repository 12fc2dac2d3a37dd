package server

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// toTraces puts ended spans of one provider, which share a resource, into the
// form that stores take.
func toTraces(spans []sdktrace.ReadOnlySpan) ptrace.Traces {
	td := ptrace.NewTraces()
	if len(spans) == 0 {
		return td
	}
	rs := td.ResourceSpans().AppendEmpty()
	put(rs.Resource().Attributes(), spans[0].Resource().Attributes())
	rs.SetSchemaUrl(spans[0].Resource().SchemaURL())
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(spans[0].InstrumentationScope().Name)
	for _, s := range spans {
		to := ss.Spans().AppendEmpty()
		to.SetTraceID(pcommon.TraceID(s.SpanContext().TraceID()))
		to.SetSpanID(pcommon.SpanID(s.SpanContext().SpanID()))
		to.SetParentSpanID(pcommon.SpanID(s.Parent().SpanID()))
		to.SetName(s.Name())
		to.SetKind(ptrace.SpanKind(s.SpanKind())) // the same numbers
		to.SetStartTimestamp(pcommon.NewTimestampFromTime(s.StartTime()))
		to.SetEndTimestamp(pcommon.NewTimestampFromTime(s.EndTime()))
		put(to.Attributes(), s.Attributes())
		if st := s.Status(); st.Code == codes.Error {
			to.Status().SetCode(ptrace.StatusCodeError)
			to.Status().SetMessage(st.Description)
		}
	}
	return td
}

func put(m pcommon.Map, attrs []attribute.KeyValue) {
	for _, kv := range attrs {
		switch kv.Value.Type() {
		case attribute.INT64:
			m.PutInt(string(kv.Key), kv.Value.AsInt64())
		default:
			m.PutStr(string(kv.Key), kv.Value.String())
		}
	}
}

// routeOf is a pattern of [http.ServeMux] without its method.
func routeOf(pattern string) string {
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return path
	}
	return pattern
}

// watchedAnswer remembers the status of an answer.
type watchedAnswer struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader remembers the first final status.
func (w *watchedAnswer) WriteHeader(status int) {
	if !w.wrote && status >= http.StatusOK {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush is for answers that are streamed.
func (w *watchedAnswer) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot is not asked
}

// Unwrap is for [http.ResponseController].
func (w *watchedAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
