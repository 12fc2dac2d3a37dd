//go:build integration

package dashboards_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"go.opentelemetry.io/otel/sdk/instrumentation"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/dashboards/dashboardtest"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/server"
)

// TestIntegrationEveryQueryHasAnAnswer fills a real server through OTLP and asks
// it every query of every dashboard as Grafana would.
func TestIntegrationEveryQueryHasAnAnswer(t *testing.T) {
	s := startServer(t)
	_, address := s.OTLPAddrs()
	otlp, base := "http://"+address, "http://"+s.HTTPAddr()
	now := time.Now()
	sendRecords(t, otlp, now)
	sendRequests(t, otlp, now)
	sendVerdict(t, address, now)

	// Derived metrics appear within a second or two.
	var answers []dashboardtest.Answer
	var empty []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		var err error
		if answers, err = dashboardtest.Ask(t.Context(), base, ""); err != nil {
			t.Fatal(err)
		}
		empty = nil
		for _, a := range answers {
			if a.Empty {
				empty = append(empty, a.Where+": "+a.Query)
			}
		}
		if len(empty) == 0 {
			break
		}
	}
	if len(empty) > 0 || len(answers) < 40 {
		t.Errorf("of %d queries these have no answer:\n%s", len(answers), strings.Join(empty, "\n"))
	}
	t.Logf("%d queries", len(answers))
}

func startServer(t *testing.T) *server.Server {
	t.Helper()
	cfg := config.Default()
	cfg.Store.Dir, cfg.Store.MinFree = t.TempDir(), 1<<20
	cfg.Listen.HTTP, cfg.Listen.OTLPGRPC, cfg.Listen.OTLPHTTP = "127.0.0.1:0", "off", "127.0.0.1:0"
	s, err := server.Open(t.Context(), cfg, server.Options{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func post(t *testing.T, url string, body []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", url, resp.Status, answer)
	}
}

// sendRecords sends deployments, a rollback and Kubernetes events.
func sendRecords(t *testing.T, otlp string, now time.Time) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", release.ServiceName)
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i, state := range []release.State{release.StateSucceeded, release.StateSucceeded, release.StateFailed} {
		addOperation(t, records, release.Operation{ID: fmt.Sprintf("u%d/deploy", i), TraceID: fmt.Sprintf("%032x", i+1), SpanID: fmt.Sprintf("%016x", i+1),
			Kind: release.KindUpgrade, State: state, Cluster: "prod", Namespace: "shop", Release: "checkout", Revision: i + 1,
			Start: now.Add(time.Duration(i-5) * time.Minute), End: now.Add(time.Duration(i-5)*time.Minute + 12*time.Second), Observers: []release.Observer{release.ObserverAgent}})
	}
	addOperation(t, records, release.Operation{ID: "u3/rollback", TraceID: fmt.Sprintf("%032x", 9), SpanID: fmt.Sprintf("%016x", 9), Kind: release.KindRollback,
		State: release.StateSucceeded, Cluster: "prod", Namespace: "shop", Release: "checkout", Revision: 4, RollbackTo: 2, Start: now.Add(-time.Minute), End: now.Add(-50 * time.Second),
		Observers: []release.Observer{release.ObserverAgent}})
	event := records.AppendEmpty()
	event.SetTimestamp(pcommon.NewTimestampFromTime(now))
	event.Body().SetStr("Back-off restarting failed container")
	event.Attributes().PutStr("k8s.event.reason", "BackOff")
	event.Attributes().PutStr("helm.release", "checkout")
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	post(t, otlp+"/v1/logs", body, err)
}

func addOperation(t *testing.T, records plog.LogRecordSlice, op release.Operation) {
	t.Helper()
	r := records.AppendEmpty()
	r.SetEventName(release.EventName)
	for k, v := range op.Attributes() {
		if err := r.Attributes().PutEmpty(k).FromRaw(v); err != nil {
			t.Fatal(err)
		}
	}
}

// sendRequests sends what two tracks of a service served, by the names of both
// presets.
func sendRequests(t *testing.T, otlp string, now time.Time) {
	for _, track := range []string{"stable", "canary"} {
		for i := range 20 {
			at := now.Add(time.Duration(i-20) * 15 * time.Second)
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			for k, v := range map[string]string{"service.name": "checkout", "deployment.track": track, "deployment.environment": "production", "service.instance.id": track} {
				rm.Resource().Attributes().PutStr(k, v)
			}
			metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
			total := int64(100 * (i + 1))
			histogram := func(name, unit string, errors bool) {
				m := metrics.AppendEmpty()
				m.SetName(name)
				m.SetUnit(unit)
				h := m.SetEmptyHistogram()
				h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				for _, status := range []string{"200", "500"} {
					if status == "500" && !errors {
						continue
					}
					p := h.DataPoints().AppendEmpty()
					p.SetTimestamp(pcommon.NewTimestampFromTime(at))
					p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-10 * time.Minute)))
					p.SetCount(uint64(total))
					p.SetSum(float64(total) / 10)
					p.ExplicitBounds().FromRaw([]float64{0.1, 1})
					p.BucketCounts().FromRaw([]uint64{uint64(total) / 2, uint64(total) - uint64(total)/2, 0})
					p.Attributes().PutStr("http.route", "/pay")
					if errors {
						p.Attributes().PutStr("http.response.status_code", status)
					}
				}
			}
			counter := func(name string, value int64) {
				m := metrics.AppendEmpty()
				m.SetName(name)
				s := m.SetEmptySum()
				s.SetIsMonotonic(true)
				s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				p := s.DataPoints().AppendEmpty()
				p.SetTimestamp(pcommon.NewTimestampFromTime(at))
				p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-10 * time.Minute)))
				p.SetIntValue(value)
			}
			histogram("http.server.request.duration", "s", true)
			histogram("http.server.request.duration", "", false)
			counter("http.server.request", total)
			counter("http.server.request.errors", total/50)
			body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
			post(t, otlp+"/v1/metrics", body, err)
		}
	}
}

// sendVerdict sends the gauges of an analysis, as the judge exports them.
func sendVerdict(t *testing.T, address string, now time.Time) {
	t.Helper()
	exporter, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpoint(address), otlpmetrichttp.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = exporter.Shutdown(context.Background()) }()
	v := analysis.Verdict{Decision: analysis.Continue, Evidence: &analysis.Evidence{E: 2, TrafficShare: 0.05}}
	metrics := judge.Metrics(judge.Subject{Service: "checkout", CanaryVersion: "2"}, v, now)
	err = exporter.Export(t.Context(), &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: judge.Scope}, Metrics: metrics}}})
	if err != nil {
		t.Fatal(err)
	}
}
