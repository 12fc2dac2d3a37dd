package otlpwire

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of opentelemetry.proto.logs.v1.LogRecord.
const (
	logTime           = 1
	logSeverityNumber = 2
	logSeverityText   = 3
	logBody           = 5
	logAttributes     = 6
	logTraceID        = 9
	logSpanID         = 10
	logObservedTime   = 11
	logEventName      = 12
)

// Log is a log record's own fields, without its attributes, which are read
// from Raw when asked for. Strings alias Raw.
type Log struct {
	Time         int64 // unix ns; the observed time where the record has none of its own
	Severity     int32 // number, 0 unspecified
	SeverityText string
	Body         Value
	EventName    string
	TraceID      TraceID
	SpanID       SpanID
	Raw          []byte
}

// ReadLog reads a log record's own fields.
func ReadLog(raw []byte) (l Log, err error) {
	l.Raw = raw
	observed := int64(0)
	err = fields(raw, func(num protowire.Number, typ protowire.Type, whole, value []byte) (bool, error) {
		switch num {
		case logTime:
			if typ == protowire.Fixed64Type {
				l.Time = int64(fixed64(whole))
			}
		case logObservedTime:
			if typ == protowire.Fixed64Type {
				observed = int64(fixed64(whole))
			}
		case logSeverityNumber:
			if typ == protowire.VarintType {
				l.Severity = int32(varint(whole))
			}
		case logSeverityText:
			l.SeverityText = text(value)
		case logBody:
			l.Body = decodeAny(value)
		case logEventName:
			l.EventName = text(value)
		case logTraceID:
			if len(value) == len(l.TraceID) {
				copy(l.TraceID[:], value)
			}
		case logSpanID:
			if len(value) == len(l.SpanID) {
				copy(l.SpanID[:], value)
			}
		}
		return true, nil
	})
	if l.Time == 0 {
		l.Time = observed
	}
	return l, err
}

// Attribute returns the record's own attribute of that key.
func (l *Log) Attribute(key string) (Value, bool) { return lookup(l.Raw, logAttributes, key) }

// Attributes calls visit for each attribute until it returns false.
func (l *Log) Attributes(visit func(key string, v Value) bool) {
	attributes(l.Raw, logAttributes, func(k string, v []byte) bool { return visit(k, decodeAny(v)) })
}
