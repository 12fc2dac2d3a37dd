package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"fairlead.dev/fairlead/internal/judge"
)

// A rollback over HTTP comes with what the canary's failed traces share.
func TestJudgeExplainsARollback(t *testing.T) {
	s := startServer(t, testConfig(t))
	began := time.Now().Add(-5 * time.Minute).Truncate(time.Second)
	for at := began.Add(-10 * time.Minute); at.Before(time.Now()); at = at.Add(15 * time.Second) {
		n := uint64(at.Sub(began.Add(-10*time.Minute)).Seconds()) * 20
		sendRequests(t, s, "1.0.0", "stable", at, n, 0)
		if canary := uint64(max(0, at.Sub(began).Seconds())) * 5; canary > 0 {
			sendRequests(t, s, "2.0.0", "canary", at, canary, canary/2)
		}
	}
	td := ptrace.NewTraces()
	for i := range 40 {
		addRequest(td, i, "2.0.0", "canary", time.Now().Add(-time.Duration(i)*time.Second), i%2 == 0)
		addRequest(td, 100+i, "1.0.0", "stable", time.Now().Add(-time.Duration(i)*time.Second), false)
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, s, "/v1/traces", body); status != http.StatusOK {
		t.Fatalf("send traces: %d %s", status, text)
	}

	resp, err := http.Get("http://" + s.HTTPAddr() + "/api/v1/judge?service=shop&canaryVersion=2.0.0&stableVersion=1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var r judge.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if r.Decision != "rollback" || r.Explanation == nil {
		t.Fatalf("%s (%s), explanation %v %s, want a rollback that is explained", r.Decision, r.Reason, r.Explanation, r.ExplanationError)
	}
	if !strings.Contains(r.Explanation.Summary, "http.route=/pay") || len(r.Explanation.Traces) == 0 {
		t.Errorf("%q with traces %v, want /pay named, and traces", r.Explanation.Summary, r.Explanation.Traces)
	}
}

// sendRequests sends the cumulative histogram of one track at a time.
func sendRequests(t *testing.T, s *Server, version, track string, at time.Time, requests, failed uint64) {
	t.Helper()
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	tag(rm.Resource(), version, track)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.request.duration")
	m.SetUnit("s")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for status, n := range map[string]uint64{"200": requests - failed, "500": failed} {
		p := h.DataPoints().AppendEmpty()
		p.Attributes().PutStr("http.route", "/pay")
		p.Attributes().PutStr("http.response.status_code", status)
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Hour)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.ExplicitBounds().FromRaw([]float64{0.1, 1})
		p.BucketCounts().FromRaw([]uint64{n, 0, 0})
		p.SetCount(n)
	}
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, s, "/v1/metrics", body); status != http.StatusOK {
		t.Fatalf("send metrics: %d %s", status, text)
	}
}

func tag(r pcommon.Resource, version, track string) {
	r.Attributes().PutStr("service.name", "shop")
	r.Attributes().PutStr("service.version", version)
	r.Attributes().PutStr("deployment.track", track)
	r.Attributes().PutStr("k8s.pod.name", "shop-"+track)
}

// addRequest adds a trace of one span; those that fail are of /pay.
func addRequest(td ptrace.Traces, i int, version, track string, at time.Time, failed bool) {
	rs := td.ResourceSpans().AppendEmpty()
	tag(rs.Resource(), version, track)
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID{15: byte(i + 1)})
	sp.SetSpanID(pcommon.SpanID{7: byte(i + 1)})
	sp.SetName("request")
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
	sp.SetEndTimestamp(sp.StartTimestamp() + 5_000_000)
	sp.Attributes().PutStr("http.route", fmt.Sprintf("/r%d", i%5))
	if failed {
		sp.Attributes().PutStr("http.route", "/pay")
		sp.Status().SetCode(ptrace.StatusCodeError)
	}
}
