package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/rollout"
)

func testConfig(t *testing.T) *config.Server {
	cfg := config.Default()
	cfg.Store.Dir = t.TempDir()
	cfg.Store.MinFree = 1 << 20
	cfg.Listen.HTTP, cfg.Listen.OTLPGRPC, cfg.Listen.OTLPHTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

func startServer(t *testing.T, cfg *config.Server) *Server {
	t.Helper()
	s, err := Open(t.Context(), cfg, Options{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// sendCounter sends http.server.request{service.name=checkout} = v, started a
// minute ago, and returns the status.
func sendCounter(t *testing.T, s *Server, v int64, headers ...string) (int, string) {
	t.Helper()
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "checkout")
	rm.Resource().Attributes().PutStr("service.instance.id", "i1")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.request")
	m.SetDescription("Requests served.")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := sum.DataPoints().AppendEmpty()
	p.SetIntValue(v)
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Minute)))
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	e := p.Exemplars().AppendEmpty()
	e.SetTraceID(pcommon.TraceID{1})
	e.SetDoubleValue(1)
	e.SetTimestamp(p.Timestamp())
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return post(t, s, "/v1/metrics", body, headers...)
}

func post(t *testing.T, s *Server, path string, body []byte, headers ...string) (int, string) {
	t.Helper()
	_, addr := s.OTLPAddrs()
	return do(t, http.MethodPost, "http://"+addr+path, string(body), append(headers, "Content-Type", "application/x-protobuf")...)
}

func do(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// Prometheus' own client library against every endpoint that Grafana's data
// source calls.
func TestPrometheusClientLibrary(t *testing.T) {
	s := startServer(t, testConfig(t))
	if code, body := sendCounter(t, s, 60); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	c, err := api.NewClient(api.Config{Address: "http://" + s.HTTPAddr() + "/prometheus"})
	if err != nil {
		t.Fatal(err)
	}
	p, ctx, now := promv1.NewAPI(c), t.Context(), time.Now()
	hour := promv1.Range{Start: now.Add(-time.Hour), End: now, Step: time.Minute}
	v, _, err := p.Query(ctx, `http_server_request_total{service_name="checkout"}`, now)
	if vec, ok := v.(model.Vector); err != nil || !ok || len(vec) != 1 || vec[0].Value != 60 {
		t.Errorf("query: %v %v", v, err)
	}
	if v, _, err := p.QueryRange(ctx, "rate(http_server_request_total[5m])", hour); err != nil || v.(model.Matrix).Len() != 1 {
		t.Errorf("query_range: %v %v", v, err)
	}
	if v, _, err := p.Series(ctx, []string{"http_server_request_total"}, hour.Start, hour.End); err != nil || len(v) != 1 || v[0]["service_instance_id"] != "i1" {
		t.Errorf("series: %v %v", v, err)
	}
	if v, _, err := p.LabelNames(ctx, nil, hour.Start, hour.End); err != nil || len(v) < 3 {
		t.Errorf("labels: %v %v", v, err)
	}
	if v, _, err := p.LabelValues(ctx, "service_name", nil, hour.Start, hour.End); err != nil || len(v) != 1 || v[0] != "checkout" {
		t.Errorf("label values: %v %v", v, err)
	}
	if v, err := p.Metadata(ctx, "http_server_request_total", "1"); err != nil || v["http_server_request_total"][0].Type != "counter" || v["http_server_request_total"][0].Help != "Requests served." {
		t.Errorf("metadata: %v %v", v, err)
	}
	if v, err := p.QueryExemplars(ctx, "http_server_request_total", hour.Start, now.Add(time.Minute)); err != nil || len(v) != 1 {
		t.Errorf("query_exemplars: %v %v", v, err)
	}
	if v, err := p.Buildinfo(ctx); err != nil || v.Version == "" {
		t.Errorf("buildinfo: %v %v", v, err)
	}
	if _, err := p.Runtimeinfo(ctx); err != nil {
		t.Errorf("runtimeinfo: %v", err)
	}
	if _, err := p.Flags(ctx); err != nil {
		t.Errorf("flags: %v", err)
	}
	if v, err := p.TSDB(ctx); err != nil || v.HeadStats.NumSeries == 0 {
		t.Errorf("tsdb: %v %v", v, err)
	}
	if v, err := p.Rules(ctx, nil); err != nil || len(v.Groups) != 0 {
		t.Errorf("rules: %v %v", v, err)
	}
	if _, err := p.Alerts(ctx); err != nil {
		t.Errorf("alerts: %v", err)
	}
	if code, body := do(t, "GET", "http://"+s.HTTPAddr()+"/prometheus/api/v1/format_query?query=sum(a)by(b)", ""); code != 200 || !strings.Contains(body, "sum by (b) (a)") {
		t.Errorf("format_query: %d %s", code, body)
	}
	for _, path := range []string{"/prometheus/api/v1/write", "/prometheus/api/v1/otlp/v1/metrics", "/prometheus/api/v1/admin/tsdb/delete_series?match[]=a"} {
		if code, body := do(t, "POST", "http://"+s.HTTPAddr()+path, ""); code/100 == 2 {
			t.Errorf("%s: %d %s, want a refusal", path, code, body)
		}
	}
}

func TestTraceByIDOverTempo(t *testing.T) {
	s := startServer(t, testConfig(t))
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetName("GET /pay")
	sp.SetTraceID(pcommon.TraceID{0xab, 15: 1})
	sp.SetSpanID(pcommon.SpanID{1})
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	body, _ := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if code, answer := post(t, s, "/v1/traces", body); code != 200 {
		t.Fatalf("%d %s", code, answer)
	}
	code, answer := do(t, "GET", "http://"+s.HTTPAddr()+"/tempo/api/traces/ab000000000000000000000000000001", "", "Accept", "application/json")
	if code != 200 || !strings.Contains(answer, "GET /pay") {
		t.Errorf("%d %s", code, answer)
	}
}

func TestHealthReadinessAndOwnMetrics(t *testing.T) {
	s := startServer(t, testConfig(t))
	sendCounter(t, s, 1)
	base := "http://" + s.HTTPAddr()
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := do(t, "GET", base+path, ""); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, body := do(t, "GET", base+"/metrics", "")
	for _, want := range []string{`fairlead_otlp_accepted_items_total{signal="metrics"} 1`, "fairlead_store_free_bytes", "prometheus_tsdb_head_series"} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestForeignHostNamesAreRefusedOnLoopback(t *testing.T) {
	s := startServer(t, testConfig(t))
	if code, _ := do(t, "GET", "http://"+s.HTTPAddr()+"/api/v1/releases", "", "Host", "attacker.example"); code != http.StatusMisdirectedRequest {
		t.Errorf("got %d, want %d", code, http.StatusMisdirectedRequest)
	}
}

func TestTokensGuardEveryAddress(t *testing.T) {
	cfg := testConfig(t)
	t.Setenv("INGEST", "ingest-0123456789")
	t.Setenv("READ", "reading-0123456789")
	cfg.Auth.Tokens = []config.Token{{Name: "ci", Env: "INGEST", Access: []string{config.AccessIngest}}, {Name: "grafana", Env: "READ", Access: []string{config.AccessRead}}}
	s := startServer(t, cfg)
	url := "http://" + s.HTTPAddr() + "/prometheus/api/v1/labels"
	for _, c := range []struct {
		token      string
		send, read int
	}{
		{"", 401, 401}, {"Bearer wrong-0123456789", 401, 401},
		{"Bearer ingest-0123456789", 200, 403}, {"Bearer reading-0123456789", 401, 200},
	} {
		if code, body := sendCounter(t, s, 1, "Authorization", c.token); code != c.send {
			t.Errorf("%q sends: %d %s, want %d", c.token, code, body, c.send)
		}
		if code, body := do(t, "GET", url, "", "Authorization", c.token); code != c.read {
			t.Errorf("%q reads: %d %s, want %d", c.token, code, body, c.read)
		}
	}
	if code, _ := do(t, "GET", "http://"+s.HTTPAddr()+"/healthz", ""); code != 200 {
		t.Errorf("health without a token: %d", code)
	}
}

func TestSecondServerOnTheDirectoryIsRefused(t *testing.T) {
	cfg := testConfig(t)
	startServer(t, cfg)
	_, err := Open(t.Context(), cfg, Options{})
	if err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Fatalf("got %v, want an error that names the other process", err)
	}
}

func TestTakenAddressIsAnErrorAtStart(t *testing.T) {
	first := startServer(t, testConfig(t))
	cfg := testConfig(t)
	cfg.Listen.HTTP = first.HTTPAddr()
	s, err := Open(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "listen.http") {
		t.Errorf("got %v, want an error about listen.http", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// What was acknowledged is there after a restart, and so is what a client
// resends.
func TestRestart(t *testing.T) {
	cfg := testConfig(t)
	s := startServer(t, cfg)
	sendCounter(t, s, 60)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, cfg)
	if code, body := do(t, "GET", "http://"+s.HTTPAddr()+"/prometheus/api/v1/query?query=http_server_request_total", ""); code != 200 || !strings.Contains(body, `"60"`) {
		t.Errorf("%d %s", code, body)
	}
}

// A disk that is too full refuses writes, serves reads, and recovers.
func TestFullDisk(t *testing.T) {
	cfg := testConfig(t)
	s := startServer(t, cfg)
	sendCounter(t, s, 60)
	s.space.min.Store(1 << 60) // as if nothing were free
	code, body := sendCounter(t, s, 61)
	if code != 503 || !strings.Contains(body, "is full") {
		t.Errorf("write: %d %q, want 503 and the reason", code, body)
	}
	if code, body := do(t, "GET", "http://"+s.HTTPAddr()+"/readyz", ""); code != 503 || !strings.Contains(body, "store.minFree") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := do(t, "GET", "http://"+s.HTTPAddr()+"/prometheus/api/v1/query?query=http_server_request_total", ""); code != 200 || !strings.Contains(body, `"60"`) {
		t.Errorf("read: %d %s", code, body)
	}
	s.space.min.Store(1 << 20)
	if code, body := sendCounter(t, s, 62); code != 200 {
		t.Errorf("write after there is room again: %d %s", code, body)
	}
}

func TestBadConfigurationOpensNothing(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen.HTTP = "0.0.0.0:0"
	if _, err := Open(t.Context(), cfg, Options{}); err == nil || !strings.Contains(err.Error(), "listen.http") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(cfg.Store.Dir); err != nil || len(entries) != 0 {
		t.Errorf("%d files were made, %v", len(entries), err)
	}
}

// A server that starts on a backup answers what the first one did.
func TestBackupIsAWholeServer(t *testing.T) {
	cfg := testConfig(t)
	t.Setenv("ADMIN", "admin-0123456789")
	cfg.Auth.Tokens = []config.Token{{Name: "admin", Env: "ADMIN", Access: []string{config.AccessIngest, config.AccessRead, config.AccessWrite}}}
	s := startServer(t, cfg)
	auth := []string{"Authorization", "Bearer admin-0123456789"}
	if code, body := sendCounter(t, s, 60, auth...); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := sendRollout(t, s, auth...); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if code, _ := do(t, "POST", "http://"+s.HTTPAddr()+"/api/v1/backup", ""); code != 401 {
		t.Errorf("a backup without a token: %d, want 401", code)
	}
	code, body := do(t, "POST", "http://"+s.HTTPAddr()+"/api/v1/backup", "", auth...)
	var answer struct{ Dir string }
	if err := json.Unmarshal([]byte(body), &answer); code != 200 || err != nil {
		t.Fatalf("%d %s %v", code, body, err)
	}
	restored := testConfig(t)
	restored.Store.Dir = answer.Dir
	base := "http://" + startServer(t, restored).HTTPAddr()
	for path, want := range map[string]string{
		"/prometheus/api/v1/query?query=http_server_request_total": `"60"`,
		"/api/v1/rollouts/uid-abc-1":                               `"phase":"Progressing"`,
	} {
		if code, body := do(t, "GET", base+path, ""); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// sendRollout sends one record of a rollout as a driver does.
func sendRollout(t *testing.T, s *Server, headers ...string) (int, string) {
	t.Helper()
	record, err := rollout.Record{ID: "uid-abc-1", At: time.Now(), Namespace: "shop", Name: "checkout", Service: "checkout", Phase: rollout.PhaseProgressing}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName(rollout.RecordEvent)
	rec.Body().SetStr(string(record))
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return post(t, s, "/v1/logs", body, headers...)
}
