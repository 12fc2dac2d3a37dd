//go:build integration

package prom_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/prom/promtest"
)

// TestIntegrationExemplars sends a histogram with an exemplar to a real
// Prometheus over OTLP, as an SDK does, and asks for it.
func TestIntegrationExemplars(t *testing.T) {
	url := promtest.Start(t, promtest.Options{Config: promtest.OTLPConfig, Args: []string{"--web.enable-otlp-receiver", "--enable-feature=exemplar-storage"}})
	at := time.Now().Truncate(time.Millisecond)
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	rm.Resource().Attributes().PutStr("deployment.track", "canary")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.request.duration")
	m.SetUnit("s")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.Histogram().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.Attributes().PutStr("http.route", "/pay")
	p.Attributes().PutInt("http.response.status_code", 500)
	p.ExplicitBounds().FromRaw([]float64{0.1, 1})
	p.BucketCounts().FromRaw([]uint64{0, 1, 0})
	p.SetCount(1)
	p.SetSum(0.7)
	e := p.Exemplars().AppendEmpty()
	e.SetDoubleValue(0.7)
	e.SetTimestamp(pcommon.NewTimestampFromTime(at))
	e.SetTraceID(pcommon.TraceID{0x0a, 1})
	e.SetSpanID(pcommon.SpanID{0x0b, 2})
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/api/v1/otlp/v1/metrics", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}

	client, err := prom.NewClient(prom.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	config := analysis.Default()
	got, err := prom.NewSource(client).Exemplars(t.Context(), exemplarQuery(at, &config))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("got %+v, want one exemplar", got)
	}
	want := analysis.Exemplar{TraceID: "0a010000000000000000000000000000", SpanID: "0b02000000000000", Route: "/pay", Failed: true, Seconds: 0.7, Time: at}
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}
