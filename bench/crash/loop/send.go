package loop

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// ledger holds the numbers that were acknowledged, by signal.
type ledger struct {
	next                  atomic.Uint64
	mu                    sync.Mutex
	metrics, traces, logs map[uint64]bool
}

func newLedger() *ledger {
	return &ledger{metrics: map[uint64]bool{}, traces: map[uint64]bool{}, logs: map[uint64]bool{}}
}

func (l *ledger) sizes() (metrics, traces, logs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.metrics), len(l.traces), len(l.logs)
}

func (l *ledger) note(m map[uint64]bool, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m[n] = true
}

const service = "crash-loop"

// sender sends numbers until ctx ends or the server is gone.
func sender(ctx context.Context, base string, l *ledger) {
	for ctx.Err() == nil {
		n := l.next.Add(1)
		now := pcommon.NewTimestampFromTime(time.Now())
		for _, s := range []struct {
			path string
			body func() ([]byte, error)
			in   map[uint64]bool
		}{
			{"metrics", func() ([]byte, error) { return metric(n, now) }, l.metrics},
			{"traces", func() ([]byte, error) { return span(n, now) }, l.traces},
			{"logs", func() ([]byte, error) { return logRecord(n, now) }, l.logs},
		} {
			body, err := s.body()
			if err != nil {
				panic(err) // our own messages can be encoded
			}
			if post(ctx, base+"/v1/"+s.path, body) {
				l.note(s.in, n)
			}
		}
	}
}

// post reports whether the request was acknowledged in full.
func post(ctx context.Context, url string, body []byte) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	// An empty partial_success, whatever its encoding, has no text in it.
	return err == nil && resp.StatusCode == http.StatusOK && len(answer) <= 2
}

// metric is one point of a series of its own: the label carries the number,
// so that two numbers never meet in one sample.
func metric(n uint64, now pcommon.Timestamp) ([]byte, error) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", service)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("crash.number")
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(now)
	p.SetIntValue(int64(n))
	p.Attributes().PutStr("number", fmt.Sprint(n))
	return pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
}

func traceID(n uint64) pcommon.TraceID {
	var id pcommon.TraceID
	copy(id[:], "crashlop")
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func traceHex(n uint64) string { id := traceID(n); return hex.EncodeToString(id[:]) }

func span(n uint64, now pcommon.Timestamp) ([]byte, error) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("crash")
	s.SetTraceID(traceID(n))
	s.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8})
	s.SetStartTimestamp(now)
	s.SetEndTimestamp(now + 1e6)
	return ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
}

func logRecord(n uint64, now pcommon.Timestamp) ([]byte, error) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", service)
	r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetTimestamp(now)
	r.SetObservedTimestamp(now)
	r.Body().SetStr(fmt.Sprintf("number %d", n))
	return plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
}
