package telemetry

import (
	"context"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"fairlead.dev/fairlead/internal/store/otlptest"
)

// Every field that OTLP defines comes back as it was sent: the message is
// filled by reflection over the protocol, so that a field which a later version
// adds is in the test at once.
func TestEveryFieldOfASpanComesBack(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		sent := &tracepb.TracesData{}
		otlptest.Fill(sent, 1)
		if names := otlptest.Unfilled(sent); len(names) > 0 {
			t.Fatalf("the message leaves fields out: %v", names)
		}
		wire, err := proto.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
		if err != nil {
			t.Fatal(err)
		}
		s := testStore(t, t.TempDir(), Options{})
		if err := s.ConsumeTraces(context.Background(), td); err != nil {
			t.Fatal(err)
		}
		if sealed {
			if err := s.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		id := sent.ResourceSpans[0].ScopeSpans[0].Spans[0].TraceId
		data, _, err := s.TraceData(context.Background(), [16]byte(id))
		if err != nil {
			t.Fatal(err)
		}
		got := &tracepb.TracesData{}
		if err := proto.Unmarshal(data, got); err != nil {
			t.Fatal(err)
		}
		if missing := otlptest.Difference(sent, got); len(missing) > 0 {
			t.Errorf("sealed %v: fields that did not come back: %v", sealed, missing)
		}
	}
}

func TestEveryFieldOfALogRecordComesBack(t *testing.T) {
	sent := &logspb.LogsData{}
	otlptest.Fill(sent, 1)
	if names := otlptest.Unfilled(sent); len(names) > 0 {
		t.Fatalf("the message leaves fields out: %v", names)
	}
	wire, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(wire)
	if err != nil {
		t.Fatal(err)
	}
	s := testStore(t, t.TempDir(), Options{})
	if err := s.ConsumeLogs(context.Background(), ld); err != nil {
		t.Fatal(err)
	}
	logs, _, err := s.SearchLogs(context.Background(), LogQuery{})
	if err != nil || len(logs) == 0 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	// Put them back together as they came: one resource, one scope.
	back := plog.NewLogs()
	rl := back.ResourceLogs().AppendEmpty()
	logs[0].Resource.CopyTo(rl.Resource())
	rl.SetSchemaUrl(sent.ResourceLogs[0].SchemaUrl)
	sl := rl.ScopeLogs().AppendEmpty()
	logs[0].Scope.CopyTo(sl.Scope())
	sl.SetSchemaUrl(sent.ResourceLogs[0].ScopeLogs[0].SchemaUrl)
	for _, l := range logs {
		l.CopyTo(sl.LogRecords().AppendEmpty())
	}
	wire, err = (&plog.ProtoMarshaler{}).MarshalLogs(back)
	if err != nil {
		t.Fatal(err)
	}
	got := &logspb.LogsData{}
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatal(err)
	}
	if missing := otlptest.Difference(sent, got); len(missing) > 0 {
		t.Errorf("fields that did not come back: %v", missing)
	}
}

// Spans with odd ids and times are kept as they are.
func TestOddSpansComeBack(t *testing.T) {
	s := testStore(t, t.TempDir(), Options{})
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i, at := range []pcommon.Timestamp{0, 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		sp := spans.AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{0: 1})
		sp.SetSpanID(pcommon.SpanID{byte(i)}) // the first has no id
		sp.SetStartTimestamp(at)
		sp.SetEndTimestamp(1<<64 - 1 - at)
	}
	if err := s.ConsumeTraces(context.Background(), td); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Trace(context.Background(), pcommon.TraceID{0: 1})
	if err != nil || got.SpanCount() != spans.Len() {
		t.Fatalf("%d spans, %v", got.SpanCount(), err)
	}
	want := map[pcommon.SpanID]ptrace.Span{}
	for _, sp := range spans.All() {
		want[sp.SpanID()] = sp
	}
	for _, sp := range flat([]ptrace.Traces{got}) {
		w := want[sp.SpanID()]
		if w.StartTimestamp() != sp.StartTimestamp() || w.EndTimestamp() != sp.EndTimestamp() {
			t.Errorf("span %s from %d to %d, want %d to %d", sp.SpanID(), sp.StartTimestamp(), sp.EndTimestamp(), w.StartTimestamp(), w.EndTimestamp())
		}
	}
}
