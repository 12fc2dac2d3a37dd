package telemetry

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlptest"
	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// Writers, readers, sealing, and days that end, all at once: what was
// acknowledged is found from then on.
func TestConcurrentUse(t *testing.T) {
	var now atomic.Int64
	s := testStore(t, t.TempDir(), Options{Now: func() time.Time { return day.Add(time.Duration(now.Load()) * time.Hour) }, interval: time.Hour})
	const writers, each = 4, 40
	var wg, background sync.WaitGroup
	done := make(chan struct{})
	var stored [writers]atomic.Int64
	for w := range writers {
		wg.Go(func() {
			sh := &otlptest.Shop{Seed: uint64(w), Start: day, Step: time.Minute}
			for i := range each {
				sh.Batches(i, i+1, 3, false, func(td ptrace.Traces) {
					if err := s.ConsumeTraces(t.Context(), td); err != nil {
						t.Errorf("ConsumeTraces: %v", err)
					}
				})
				ld := plog.NewLogs()
				l := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				l.SetTraceID(sh.TraceID(i))
				l.SetTimestamp(pcommon.NewTimestampFromTime(day))
				if err := s.ConsumeLogs(t.Context(), ld); err != nil {
					t.Errorf("ConsumeLogs: %v", err)
				}
				stored[w].Store(int64(i) + 1)
				now.Add(1)
			}
		})
	}
	for w := range writers {
		background.Go(func() {
			sh := &otlptest.Shop{Seed: uint64(w)}
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				n := int(stored[w].Load())
				if n == 0 {
					continue
				}
				id := sh.TraceID(i % n)
				if td, err := s.Trace(t.Context(), id); err != nil || td.SpanCount() != otlptest.SpansPerTrace {
					t.Errorf("trace %d of writer %d: %d spans, %v", i%n, w, td.SpanCount(), err)
				}
				if logs, _, err := s.SearchLogs(t.Context(), LogQuery{TraceID: otlpwire.TraceID(id)}); err != nil || len(logs) != 1 {
					t.Errorf("logs of trace %d of writer %d: %d, %v", i%n, w, len(logs), err)
				}
				least := n * otlptest.SpansPerTrace
				spans, _, err := s.SearchSpans(t.Context(), SpanQuery{Limit: MaxLimit})
				if err != nil || len(spans) < least {
					t.Errorf("search: %d spans, at least %d were stored; %v", len(spans), least, err)
				}
			}
		})
	}
	background.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := s.Seal(t.Context()); err != nil {
					t.Errorf("Seal: %v", err)
				}
				s.Stats()
			}
		}
	})
	wg.Wait()
	close(done)
	background.Wait()
	if err := s.Maintain(t.Context()); err != nil {
		t.Error(err)
	}
	spans, sc, err := s.SearchSpans(t.Context(), SpanQuery{Limit: MaxLimit})
	if err != nil || len(spans) != writers*each*otlptest.SpansPerTrace || len(sc.Skipped) > 0 {
		t.Errorf("%d spans in the end, want %d; skipped %v, %v", len(spans), writers*each*otlptest.SpansPerTrace, sc.Skipped, err)
	}
	if n := len(s.Stats().Files); n < 2 {
		t.Errorf("%d files: no day ended", n)
	}
}
