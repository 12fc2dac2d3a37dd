package lokiapi

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/store/telemetry"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// events serves an event a minute of two services, the newest a minute ago:
// each third is a BackOff.
func events(t *testing.T) *httptest.Server {
	t.Helper()
	store, err := telemetry.Open(t.TempDir(), telemetry.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("service.name", []string{"cart", "auth"}[i%2])
		rl.Resource().Attributes().PutStr("k8s.object.kind", "Pod")
		l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		l.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(i+1) * time.Minute)))
		l.Body().SetStr(fmt.Sprintf("event %d", i))
		l.SetSeverityNumber(plog.SeverityNumberInfo)
		reason := "Scheduled"
		if i%3 == 0 {
			reason = "BackOff"
			l.SetSeverityNumber(plog.SeverityNumberWarn)
		}
		l.Attributes().PutStr("k8s.event.reason", reason)
		l.SetTraceID(pcommon.TraceID{byte(i + 1)})
		if err := store.ConsumeLogs(t.Context(), ld); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(http.StripPrefix("/loki", New(store, Options{Now: func() time.Time { return now }})))
	t.Cleanup(func() {
		srv.Close()
		_ = store.Close()
	})
	return srv
}

func get(t *testing.T, srv *httptest.Server, path string, query url.Values, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/loki/api/v1"+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

type answer struct {
	Status string `json:"status"`
	Data   struct {
		ResultType    string   `json:"resultType"`
		EncodingFlags []string `json:"encodingFlags"`
		Result        []struct {
			Stream map[string]string `json:"stream"`
			Metric map[string]string `json:"metric"`
			Values [][]any           `json:"values"`
			Value  []any             `json:"value"`
		} `json:"result"`
	} `json:"data"`
}

func ask(t *testing.T, srv *httptest.Server, path string, query url.Values, header ...string) (a answer) {
	t.Helper()
	status, body := get(t, srv, path, query, header...)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Status != "success" {
		t.Fatalf("%s: %v in %s", path, err, body)
	}
	return a
}

func TestLines(t *testing.T) {
	srv := events(t)
	q := url.Values{"query": {`{service_name="cart"} | k8s_event_reason=~"Failed|BackOff"`}}
	a := ask(t, srv, "/query_range", q, "X-Loki-Response-Encoding-Flags", "categorize-labels")
	if a.Data.ResultType != "streams" || len(a.Data.Result) != 1 || len(a.Data.EncodingFlags) != 1 {
		t.Fatalf("%+v", a.Data)
	}
	s := a.Data.Result[0]
	if diff := cmp.Diff(map[string]string{"service_name": "cart"}, s.Stream); diff != "" {
		t.Errorf("stream: %s", diff)
	}
	// Events 0, 6, 12, 18, 24; the newest first.
	if len(s.Values) != 5 || s.Values[0][1] != "event 0" || s.Values[4][1] != "event 24" {
		t.Fatalf("values: %v", s.Values)
	}
	meta := s.Values[0][2].(map[string]any)["structuredMetadata"].(map[string]any)
	want := map[string]any{"k8s_event_reason": "BackOff", "k8s_object_kind": "Pod", "detected_level": "warn", "severity_number": "13", "trace_id": "01" + strings.Repeat("0", 30)}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Errorf("structured metadata: %s", diff)
	}

	a = ask(t, srv, "/query_range", q)
	if len(a.Data.Result) != 5 || a.Data.Result[0].Stream["k8s_event_reason"] != "BackOff" || len(a.Data.Result[0].Values[0]) != 2 {
		t.Errorf("without the flag: %+v", a.Data.Result)
	}

	q = url.Values{"query": {`{service_name=~".+"}`}, "limit": {"2"}, "direction": {"forward"}}
	a = ask(t, srv, "/query_range", q, "X-Loki-Response-Encoding-Flags", "categorize-labels")
	lines := map[string]bool{}
	for _, s := range a.Data.Result {
		for _, v := range s.Values {
			lines[v[1].(string)] = true
		}
	}
	if !lines["event 29"] || !lines["event 28"] || len(lines) != 2 {
		t.Errorf("the oldest two: %v", lines)
	}
	if a := ask(t, srv, "/query_range", url.Values{"query": {`{service_name="nobody"}`}}); len(a.Data.Result) != 0 {
		t.Errorf("nobody: %+v", a.Data.Result)
	}
}

func TestMetrics(t *testing.T) {
	srv := events(t)
	a := ask(t, srv, "/query", url.Values{"query": {`sum by (detected_level) (count_over_time({service_name=~".+"}[10m]))`}})
	got := map[string]any{}
	for _, r := range a.Data.Result {
		got[r.Metric["detected_level"]] = r.Value[1]
	}
	// Events 0 to 8 are newer than ten minutes: 0, 3 and 6 are warnings. The
	// one of exactly ten minutes ago is not.
	if diff := cmp.Diff(map[string]any{"warn": "3", "info": "6"}, got); diff != "" || a.Data.ResultType != "vector" {
		t.Errorf("counts: %s", diff)
	}
	a = ask(t, srv, "/query_range", url.Values{"query": {`sum(count_over_time({service_name="cart"}[10m]))`}, "start": {fmt.Sprint(now.Add(-20 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}, "step": {"10m"}})
	if len(a.Data.Result) != 1 || len(a.Data.Result[0].Values) != 3 || a.Data.ResultType != "matrix" {
		t.Fatalf("matrix: %+v", a.Data)
	}
	for i, v := range a.Data.Result[0].Values {
		if v[0].(float64) != float64(now.Add(time.Duration(i-2)*10*time.Minute).Unix()) || v[1] != "5" {
			t.Errorf("point %d: %v", i, v)
		}
	}
	a = ask(t, srv, "/query", url.Values{"query": {`rate({service_name="cart"}[5m])`}})
	if len(a.Data.Result) != 1 || a.Data.Result[0].Value[1] != "0.006666666666666667" || a.Data.Result[0].Metric["service_name"] != "cart" {
		t.Errorf("rate: %+v", a.Data.Result)
	}
	// Grafana's test of a data source.
	a = ask(t, srv, "/query", url.Values{"query": {"vector(1)+vector(1)"}})
	if len(a.Data.Result) != 1 || a.Data.Result[0].Value[1] != "2" {
		t.Errorf("vector: %+v", a.Data.Result)
	}
}

func TestLabels(t *testing.T) {
	srv := events(t)
	for path, want := range map[string]string{
		"/labels":                    `["service_name"]`,
		"/label/service_name/values": `["auth","cart"]`,
		"/label/absent/values":       `[]`,
		"/series":                    `[{"service_name":"auth"},{"service_name":"cart"}]`,
		"/series?match[]=" + url.QueryEscape(`{service_name="cart"}`): `[{"service_name":"cart"}]`,
	} {
		p, rawQuery, _ := strings.Cut(path, "?")
		v, err := url.ParseQuery(rawQuery)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := get(t, srv, p, v); status != http.StatusOK || !strings.Contains(body, `"data":`+want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	if status, body := get(t, srv, "/index/stats", url.Values{"query": {`{service_name="cart"}`}}); status != http.StatusOK || !strings.Contains(body, `"entries":15`) {
		t.Errorf("stats: %d %s", status, body)
	}
	if status, body := get(t, srv, "/status/buildinfo", nil); status != http.StatusOK || !strings.Contains(body, `"version"`) {
		t.Errorf("buildinfo: %d %s", status, body)
	}
}

func TestBadRequests(t *testing.T) {
	srv := events(t)
	for _, tc := range []struct {
		query url.Values
		want  string
	}{
		{url.Values{}, "query is empty"},
		{url.Values{"query": {"{a="}}, "parse error at line 1, col 4"},
		{url.Values{"query": {`{a="b"}`}, "limit": {"0"}}, `invalid limit "0"`},
		{url.Values{"query": {`{a="b"}`}, "start": {"tomorrow"}}, `invalid start "tomorrow"`},
		{url.Values{"query": {`{a="b"}`}, "direction": {"up"}}, `invalid direction "up"`},
		{url.Values{"query": {`rate({a="b"}[1m])`}, "step": {"1ms"}}, `invalid step "1ms"`},
	} {
		if status, body := get(t, srv, "/query_range", tc.query); status != http.StatusBadRequest || !strings.Contains(body, tc.want) {
			t.Errorf("%v: %d %s", tc.query, status, body)
		}
	}
}
