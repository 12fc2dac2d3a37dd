package tempoapi

import (
	"slices"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/store/traceql"
)

// resourceEnv knows what holds for all spans of a resource.
type resourceEnv struct{ *segment.Resource }

// Values knows the resource's attributes, and unscoped ones that no span of
// the resource has itself.
func (r resourceEnv) Values(f traceql.Field, visit func(traceql.Value) bool) bool {
	switch f.Scope {
	case traceql.ScopeResource:
	case traceql.ScopeAny:
		if r.Tagged || !slices.Contains(segment.LevelKeys, f.Name) {
			return false
		}
	default:
		return false
	}
	resourceValue(r.Resource, f.Name, visit)
	return true
}

func resourceValue(r *segment.Resource, key string, visit func(traceql.Value) bool) {
	if v, ok := convert(r.Values[key]); ok {
		visit(v)
	}
}

func convert(v otlpwire.Value) (traceql.Value, bool) {
	switch v.Kind {
	case otlpwire.KindString:
		return traceql.Value{Type: traceql.TypeString, Str: v.Str}, true
	case otlpwire.KindBool:
		return traceql.Value{Type: traceql.TypeBool, Bool: v.Bool}, true
	case otlpwire.KindInt:
		return traceql.Value{Type: traceql.TypeInt, Int: v.Int}, true
	case otlpwire.KindFloat:
		return traceql.Value{Type: traceql.TypeFloat, Float: v.Float}, true
	}
	return traceql.Value{}, false
}

// spanEnv knows a span and its resource, but not its trace.
type spanEnv struct{ *telemetry.StoredSpan }

func (s spanEnv) Values(f traceql.Field, visit func(traceql.Value) bool) bool {
	one := func(v otlpwire.Value) {
		if v, ok := convert(v); ok {
			visit(v)
		}
	}
	switch f.Scope {
	case traceql.ScopeSpan:
		v, _ := s.Span.Attribute(f.Name)
		one(v)
	case traceql.ScopeResource:
		resourceValue(s.Resource, f.Name, visit)
	case traceql.ScopeAny:
		if v, ok := s.Span.Attribute(f.Name); ok {
			one(v)
		} else {
			resourceValue(s.Resource, f.Name, visit)
		}
	case traceql.ScopeEvent:
		s.Events(func(_ string, attribute func(string) (otlpwire.Value, bool)) bool {
			if v, ok := attribute(f.Name); ok {
				if v, ok := convert(v); ok {
					return visit(v)
				}
			}
			return true
		})
	case traceql.ScopeInstrumentation: // attributes of scopes are rare: not read
	case traceql.ScopeIntrinsic:
		return s.intrinsic(f.Name, visit)
	}
	return true
}

func (s spanEnv) intrinsic(name string, visit func(traceql.Value) bool) bool {
	switch name {
	case "name":
		visit(traceql.StringValue(s.Name))
	case "duration":
		visit(traceql.Value{Type: traceql.TypeDuration, Int: s.Duration()})
	case "status":
		visit(traceql.Value{Type: traceql.TypeStatus, Int: int64(s.Status)})
	case "statusMessage":
		visit(traceql.StringValue(s.StatusMessage))
	case "kind":
		visit(traceql.Value{Type: traceql.TypeKind, Int: int64(s.Kind)})
	case "span:id":
		visit(traceql.StringValue(s.SpanID.String()))
	case "span:parentID":
		if !s.ParentID.IsEmpty() {
			visit(traceql.StringValue(s.ParentID.String()))
		}
	case "trace:id":
		visit(traceql.StringValue(s.TraceID.String()))
	case "nestedSetParent":
		// Negative for a root is all that queries use of it.
		n := int64(1)
		if s.ParentID.IsEmpty() {
			n = -1
		}
		visit(traceql.IntValue(n))
	case "event:name":
		s.Events(func(name string, _ func(string) (otlpwire.Value, bool)) bool { return visit(traceql.StringValue(name)) })
	case "instrumentation:name", "instrumentation:version":
		n, v := s.Scope()
		if name == "instrumentation:version" {
			n = v
		}
		visit(traceql.StringValue(n))
	default:
		return false
	}
	return true
}

// rootUnknown stands for the root of a trace whose root span is not there, as
// in Tempo.
const rootUnknown = "<root span not yet received>"

// trace is a whole trace, for evaluation and for the result.
type trace struct {
	id                    otlpwire.TraceID
	spans                 []*telemetry.StoredSpan
	parents               []int
	rootService, rootName string
	start, end            int64
}

func newTrace(id otlpwire.TraceID, spans []*telemetry.StoredSpan) *trace {
	t := &trace{id: id, spans: spans, parents: make([]int, len(spans)), rootService: rootUnknown, start: spans[0].Start, end: spans[0].End}
	byID := make(map[otlpwire.SpanID]int, len(spans))
	for i, sp := range spans {
		byID[sp.SpanID] = i
		t.start, t.end = min(t.start, sp.Start), max(t.end, sp.End)
	}
	foundRoot := false
	for i, sp := range spans {
		t.parents[i] = -1
		if p, ok := byID[sp.ParentID]; ok && p != i && !sp.ParentID.IsEmpty() {
			t.parents[i] = p
		}
		if sp.ParentID.IsEmpty() && !foundRoot {
			foundRoot = true
			t.rootService, t.rootName = sp.Resource.Attributes["service.name"], sp.Name
		}
	}
	return t
}

func (t *trace) duration() int64 { return max(0, t.end-t.start) }

// node is a span of a trace.
type node struct {
	spanEnv
	trace *trace
	index int
}

func (n node) Parent() int { return n.trace.parents[n.index] }

func (n node) Values(f traceql.Field, visit func(traceql.Value) bool) bool {
	if n.spanEnv.Values(f, visit) {
		return true
	}
	switch f.Name {
	case "traceDuration":
		visit(traceql.Value{Type: traceql.TypeDuration, Int: n.trace.duration()})
	case "rootName":
		visit(traceql.StringValue(n.trace.rootName))
	case "rootServiceName":
		visit(traceql.StringValue(n.trace.rootService))
	default:
		return false
	}
	return true
}

func (t *trace) nodes() []traceql.Node {
	nodes := make([]traceql.Node, len(t.spans))
	for i, sp := range t.spans {
		nodes[i] = node{spanEnv{sp}, t, i}
	}
	return nodes
}
