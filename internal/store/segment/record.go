package segment

import (
	"encoding/binary"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// LevelKeys are the attributes that may stand on the resource or on the span
// itself. A resource remembers whether any of its spans carries one, so that a
// search by them can pass over the spans of other resources unread.
var LevelKeys = []string{"service.name", "service.version", "deployment.track"}

// Record is one span or log record on its way into a file.
type Record struct {
	otlpwire.Item
	Trace  otlpwire.TraceID
	Time   int64 // a span's start, a log record's time; unix ns
	Error  bool  // a span with status ERROR
	Tagged bool  // a span that carries one of LevelKeys itself
}

// Records splits an encoded TracesData or LogsData. The records alias data.
func Records(kind Kind, data []byte) (records []Record, err error) {
	walkErr := otlpwire.Walk(data, func(it otlpwire.Item) bool {
		r := Record{Item: it}
		if kind == Logs {
			var l otlpwire.Log
			l, err = otlpwire.ReadLog(it.Raw)
			r.Trace, r.Time = l.TraceID, l.Time
		} else {
			var s otlpwire.Span
			s, err = otlpwire.ReadSpan(it.Raw)
			r.Trace, r.Time = s.TraceID, s.Start
			r.Error = s.Status == otlpwire.StatusError
			r.Tagged = s.HasAttribute(LevelKeys...)
		}
		records = append(records, r)
		return err == nil
	})
	if err == nil {
		err = walkErr
	}
	return records, err
}

// keyBits is the length of a trace key: 40 bits give one false chunk in a
// million look-ups at a million traces, and cost 3 bytes a key in a sorted run.
const keyBits = 40

// traceKey maps a trace id to its key in the trace index; 0 is no trace. Both
// halves enter, because some tracers put a time or zeros into one of them.
func traceKey(t otlpwire.TraceID) uint64 {
	if t.IsEmpty() {
		return 0
	}
	x := binary.BigEndian.Uint64(t[:8])*0x9e3779b97f4a7c15 ^ binary.BigEndian.Uint64(t[8:])
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return max(1, x>>(64-keyBits))
}
