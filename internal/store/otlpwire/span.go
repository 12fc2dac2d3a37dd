package otlpwire

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of opentelemetry.proto.trace.v1.Span and Status.
const (
	spanTraceID    = 1
	spanSpanID     = 2
	spanParentID   = 4
	spanName       = 5
	spanKind       = 6
	spanStart      = 7
	spanEnd        = 8
	spanAttributes = 9
	spanEvents     = 11
	spanStatus     = 15

	statusMessage = 2
	statusCode    = 3

	eventName       = 2
	eventAttributes = 3

	resourceField      = 1 // Resource in a resource group
	resourceAttributes = 1 // in Resource

	scopeField = 1 // InstrumentationScope in a scope group
	scopeName  = 1
	scopeVer   = 2
)

// Status codes of a span.
const (
	StatusUnset = 0
	StatusOK    = 1
	StatusError = 2
)

// Span is a span's own fields, without its attributes, events and links, which
// are read from Raw when asked for. Strings alias Raw.
type Span struct {
	TraceID       TraceID
	SpanID        SpanID
	ParentID      SpanID
	Name          string
	Kind          int32 // as OTLP: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer
	Start, End    int64 // unix ns
	Status        int32
	StatusMessage string
	Raw           []byte
}

// Duration is End - Start in nanoseconds, never negative.
func (s *Span) Duration() int64 { return max(0, s.End-s.Start) }

// SpanTraceID reads a span's trace id alone: of a chunk's spans, a look-up by
// trace wants few. It is zero where there is none.
func SpanTraceID(raw []byte) (id TraceID) {
	_ = fields(raw, func(num protowire.Number, typ protowire.Type, _, value []byte) (bool, error) {
		if num == spanTraceID && len(value) == len(id) {
			copy(id[:], value)
		}
		return num != spanTraceID, nil
	})
	return id
}

// ReadSpan reads a span's own fields.
func ReadSpan(raw []byte) (s Span, err error) {
	s.Raw = raw
	err = fields(raw, func(num protowire.Number, typ protowire.Type, whole, value []byte) (bool, error) {
		switch num {
		case spanTraceID:
			if len(value) == len(s.TraceID) {
				copy(s.TraceID[:], value)
			}
		case spanSpanID:
			if len(value) == len(s.SpanID) {
				copy(s.SpanID[:], value)
			}
		case spanParentID:
			if len(value) == len(s.ParentID) {
				copy(s.ParentID[:], value)
			}
		case spanName:
			s.Name = text(value)
		case spanKind:
			if typ == protowire.VarintType {
				s.Kind = int32(varint(whole))
			}
		case spanStart:
			if typ == protowire.Fixed64Type {
				s.Start = int64(fixed64(whole))
			}
		case spanEnd:
			if typ == protowire.Fixed64Type {
				s.End = int64(fixed64(whole))
			}
		case spanStatus:
			return true, fields(value, func(num protowire.Number, typ protowire.Type, whole, value []byte) (bool, error) {
				switch {
				case num == statusMessage && typ == protowire.BytesType:
					s.StatusMessage = text(value)
				case num == statusCode && typ == protowire.VarintType:
					s.Status = int32(varint(whole))
				}
				return true, nil
			})
		}
		return true, nil
	})
	return s, err
}

// Attribute returns the span's own attribute of that key.
func (s *Span) Attribute(key string) (Value, bool) { return lookup(s.Raw, spanAttributes, key) }

// Attributes calls visit for each attribute until it returns false.
func (s *Span) Attributes(visit func(key string, v Value) bool) {
	attributes(s.Raw, spanAttributes, func(k string, v []byte) bool { return visit(k, decodeAny(v)) })
}

// Events calls visit with name and attribute lookup of each event until it
// returns false.
func (s *Span) Events(visit func(name string, attribute func(key string) (Value, bool)) bool) {
	_ = fields(s.Raw, func(num protowire.Number, typ protowire.Type, _, event []byte) (bool, error) {
		if num != spanEvents || typ != protowire.BytesType {
			return true, nil
		}
		name := ""
		_ = fields(event, func(num protowire.Number, typ protowire.Type, _, value []byte) (bool, error) {
			if num == eventName && typ == protowire.BytesType {
				name = text(value)
			}
			return true, nil
		})
		return visit(name, func(key string) (Value, bool) { return lookup(event, eventAttributes, key) }), nil
	})
}

// HasAttribute reports whether the span itself carries one of the keys.
func (s *Span) HasAttribute(keys ...string) (found bool) {
	attributes(s.Raw, spanAttributes, func(k string, _ []byte) bool {
		for _, key := range keys {
			if k == key {
				found = true
			}
		}
		return !found
	})
	return found
}

func lookup(msg []byte, field protowire.Number, key string) (v Value, ok bool) {
	attributes(msg, field, func(k string, raw []byte) bool {
		if k != key {
			return true
		}
		v, ok = decodeAny(raw), true
		return false
	})
	return v, ok
}

// ResourceAttributes calls visit for each attribute of a resource group's
// header until it returns false.
func ResourceAttributes(header []byte, visit func(key string, v Value) bool) {
	_ = fields(header, func(num protowire.Number, typ protowire.Type, _, resource []byte) (bool, error) {
		if num == resourceField && typ == protowire.BytesType {
			attributes(resource, resourceAttributes, func(k string, v []byte) bool { return visit(k, decodeAny(v)) })
		}
		return true, nil
	})
}

// ScopeNameVersion returns name and version of a scope group's header.
func ScopeNameVersion(header []byte) (name, version string) {
	_ = fields(header, func(num protowire.Number, typ protowire.Type, _, scope []byte) (bool, error) {
		if num != scopeField || typ != protowire.BytesType {
			return true, nil
		}
		return true, fields(scope, func(num protowire.Number, typ protowire.Type, _, value []byte) (bool, error) {
			switch {
			case num == scopeName && typ == protowire.BytesType:
				name = text(value)
			case num == scopeVer && typ == protowire.BytesType:
				version = text(value)
			}
			return true, nil
		})
	})
	return name, version
}

// EventAttributes calls visit for each attribute of each event until it
// returns false.
func (s *Span) EventAttributes(visit func(key string, v Value) bool) {
	goOn := true
	_ = fields(s.Raw, func(num protowire.Number, typ protowire.Type, _, event []byte) (bool, error) {
		if num == spanEvents && typ == protowire.BytesType {
			attributes(event, eventAttributes, func(k string, v []byte) bool {
				goOn = visit(k, decodeAny(v))
				return goOn
			})
		}
		return goOn, nil
	})
}
