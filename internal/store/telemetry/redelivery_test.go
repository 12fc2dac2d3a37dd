package telemetry

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// someLogs has four records: two that differ in an attribute only, one of
// another time, and one of another pod.
func someLogs() plog.Logs {
	ld := plog.NewLogs()
	for pod, times := range map[string][]time.Duration{"a": {0, 0, time.Second}, "b": {0}} {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("k8s.pod.name", pod)
		records := rl.ScopeLogs().AppendEmpty().LogRecords()
		for i, at := range times {
			l := records.AppendEmpty()
			l.SetTimestamp(pcommon.NewTimestampFromTime(day.Add(time.Hour + at)))
			l.SetTraceID(pcommon.TraceID{1})
			l.Body().SetStr("connection refused")
			l.Attributes().PutInt("attempt", int64(i))
		}
	}
	return ld
}

// TestRedeliveredLogsComeOnce sends the same records three times, once over
// into the file of the next day.
func TestRedeliveredLogsComeOnce(t *testing.T) {
	var now atomic.Int64 // the store's own goroutine looks at it too
	now.Store(day.Add(12 * time.Hour).UnixNano())
	s := testStore(t, t.TempDir(), Options{Now: func() time.Time { return time.Unix(0, now.Load()).UTC() }})
	ld := someLogs()
	for range 3 {
		if err := s.ConsumeLogs(context.Background(), ld); err != nil {
			t.Fatal(err)
		}
		now.Add(int64(12 * time.Hour))
	}
	for reason, q := range map[string]LogQuery{
		"newest first": {}, "oldest first": {OldestFirst: true}, "by trace": {TraceID: otlpwire.TraceID{1}},
	} {
		logs, sc, err := s.SearchLogs(context.Background(), q)
		if err != nil || len(logs) != 4 || len(sc.Skipped) > 0 {
			t.Errorf("%s: %d records, %v, skipped %v; want 4", reason, len(logs), err, sc.Skipped)
		}
	}
}
