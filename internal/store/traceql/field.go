package traceql

import (
	"slices"
	"strings"
)

// Scope is where a field is looked for.
type Scope uint8

// The scopes of fields. ScopeAny is a span's own attribute or else its
// resource's.
const (
	ScopeAny Scope = iota
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeInstrumentation
	ScopeIntrinsic
)

// Field is an attribute or an intrinsic of a span.
type Field struct {
	Scope Scope
	Name  string // an intrinsic's in its short form, as name or rootServiceName
}

var scopePrefixes = []struct {
	prefix string
	scope  Scope
}{
	{"span.", ScopeSpan}, {"resource.", ScopeResource}, {"event.", ScopeEvent}, {"instrumentation.", ScopeInstrumentation}, {".", ScopeAny},
}

// String is the field as it stands in a query.
func (f Field) String() string {
	for _, p := range scopePrefixes {
		if p.scope == f.Scope {
			return p.prefix + f.Name
		}
	}
	return f.Name
}

// Intrinsics are the names of what every span or trace has; the long form
// where there is one, and the short.
var intrinsics = map[string]string{
	"name": "name", "span:name": "name",
	"duration": "duration", "span:duration": "duration",
	"status": "status", "span:status": "status",
	"statusMessage": "statusMessage", "span:statusMessage": "statusMessage",
	"kind": "kind", "span:kind": "kind",
	"span:id": "span:id", "span:parentID": "span:parentID",
	"trace:id":      "trace:id",
	"traceDuration": "traceDuration", "trace:duration": "traceDuration",
	"rootName": "rootName", "trace:rootName": "rootName",
	"rootServiceName": "rootServiceName", "trace:rootService": "rootServiceName",
	"nestedSetParent":      "nestedSetParent",
	"event:name":           "event:name",
	"instrumentation:name": "instrumentation:name", "instrumentation:version": "instrumentation:version",
}

// Intrinsics lists the intrinsics that queries may name.
func Intrinsics() []string {
	var names []string
	for name := range intrinsics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ParseField reads a field as the tag-value requests name it: .x, span.x,
// resource.x, an intrinsic; without a scope when it is neither.
func ParseField(s string) Field {
	if name, ok := intrinsics[s]; ok {
		return Field{ScopeIntrinsic, name}
	}
	for _, p := range scopePrefixes {
		if name, ok := strings.CutPrefix(s, p.prefix); ok && name != "" {
			return Field{p.scope, unquote(name)}
		}
	}
	return Field{ScopeAny, s}
}

func unquote(name string) string {
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		return name[1 : len(name)-1]
	}
	return name
}
