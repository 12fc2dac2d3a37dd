package tempoapi

import (
	"context"
	"encoding/base64"
	"encoding/hex"
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

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"fairlead.dev/fairlead/internal/store/otlptest"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

var start = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func server(t *testing.T) (*telemetry.Store, *httptest.Server) {
	t.Helper()
	store, err := telemetry.Open(t.TempDir(), telemetry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.StripPrefix("/tempo", New(store, Options{Log: slog.New(slog.DiscardHandler)})))
	t.Cleanup(func() {
		srv.Close()
		_ = store.Close()
	})
	return store, srv
}

// shopServer serves 500 traces over 500 minutes.
func shopServer(t *testing.T) (*otlptest.Shop, *httptest.Server) {
	t.Helper()
	store, srv := server(t)
	sh := &otlptest.Shop{Seed: 7, Start: start, Step: time.Minute}
	sh.Batches(0, 500, 512, true, func(td ptrace.Traces) {
		if err := store.ConsumeTraces(context.Background(), td); err != nil {
			t.Fatal(err)
		}
	})
	return sh, srv
}

func get(t *testing.T, srv *httptest.Server, path string, query url.Values, accept string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/tempo/api"+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
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
	return resp.StatusCode, body
}

func getJSON(t *testing.T, srv *httptest.Server, path string, query url.Values, into any) {
	t.Helper()
	status, body := get(t, srv, path, query, "")
	if status != http.StatusOK {
		t.Fatalf("GET %s?%s: %d %s", path, query.Encode(), status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

func TestTraceByID(t *testing.T) {
	sh, srv := shopServer(t)
	id := sh.TraceID(42)
	path := hex.EncodeToString(id[:])

	status, body := get(t, srv, "/traces/"+path, nil, "application/protobuf")
	if status != http.StatusOK {
		t.Fatalf("v1: %d %s", status, body)
	}
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err != nil || td.SpanCount() != otlptest.SpansPerTrace {
		t.Fatalf("v1 protobuf: %d spans, %v", td.SpanCount(), err)
	}

	_, body = get(t, srv, "/v2/traces/"+path, nil, "application/protobuf")
	num, typ, n := protowire.ConsumeTag(body)
	inner, _ := protowire.ConsumeBytes(body[n:])
	td, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(inner)
	if num != 1 || typ != protowire.BytesType || err != nil || td.SpanCount() != otlptest.SpansPerTrace {
		t.Fatalf("v2 protobuf: field %d, %d spans, %v", num, td.SpanCount(), err)
	}

	type group struct {
		ScopeSpans []struct {
			Spans []struct {
				TraceID string `json:"traceId"`
				Kind    string `json:"kind"`
			} `json:"spans"`
		} `json:"scopeSpans"`
	}
	var v1 struct {
		Batches []group `json:"batches"`
	}
	getJSON(t, srv, "/traces/"+path, nil, &v1)
	var v2 struct {
		Trace struct {
			ResourceSpans []group `json:"resourceSpans"`
		} `json:"trace"`
	}
	getJSON(t, srv, "/v2/traces/"+path, nil, &v2)
	for name, groups := range map[string][]group{"v1": v1.Batches, "v2": v2.Trace.ResourceSpans} {
		n := 0
		for _, g := range groups {
			for _, ss := range g.ScopeSpans {
				for _, sp := range ss.Spans {
					n++
					if sp.TraceID != base64.StdEncoding.EncodeToString(id[:]) || !strings.HasPrefix(sp.Kind, "SPAN_KIND_") {
						t.Errorf("%s: span with id %q and kind %q", name, sp.TraceID, sp.Kind)
					}
				}
			}
		}
		if n != otlptest.SpansPerTrace {
			t.Errorf("%s JSON has %d spans", name, n)
		}
	}

	if status, body := get(t, srv, "/traces/"+strings.Repeat("0", 31)+"1", nil, ""); status != http.StatusNotFound || !strings.Contains(string(body), "trace not found") {
		t.Errorf("unknown trace: %d %s", status, body)
	}
	if status, body := get(t, srv, "/traces/xyz", nil, ""); status != http.StatusBadRequest || !strings.Contains(string(body), "invalid trace id") {
		t.Errorf("bad id: %d %s", status, body)
	}
}

// Both of a trace id's zeros and the spelling without them are understood.
func TestTraceIDWithLeadingZeros(t *testing.T) {
	store, srv := server(t)
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "old-tracer")
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID{8: 0xab, 15: 0x01})
	sp.SetSpanID(pcommon.SpanID{7: 5})
	sp.SetName("op")
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	if err := store.ConsumeTraces(t.Context(), td); err != nil {
		t.Fatal(err)
	}
	var found searchResponse
	getJSON(t, srv, "/search", url.Values{"q": {`{ .service.name = "old-tracer" }`}}, &found)
	if len(found.Traces) != 1 || found.Traces[0].TraceID != "ab00000000000001" || found.Traces[0].SpanSets[0].Spans[0].SpanID != "0000000000000005" {
		t.Fatalf("found %+v", found.Traces)
	}
	for _, id := range []string{"ab00000000000001", "0000000000000000ab00000000000001"} {
		if status, body := get(t, srv, "/v2/traces/"+id, nil, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", id, status, body)
		}
	}
}

func TestSearch(t *testing.T) {
	sh, srv := shopServer(t)
	unix := func(d time.Duration) string { return fmt.Sprint(start.Add(d).Unix()) }
	// count counts the traces with a span that meets the condition.
	count := func(cond func(pod int, sp ptrace.Span) bool) (n int) {
		for i := range 500 {
			for _, s := range sh.Trace(i) {
				sp := ptrace.NewSpan()
				s.Write(sp)
				if cond(s.Pod, sp) {
					n++
					break
				}
			}
		}
		return n
	}
	isError := func(sp ptrace.Span) bool { return sp.Status().Code() == ptrace.StatusCodeError }
	canary := func(pod int) bool { return pod%otlptest.Pods < otlptest.CanaryPods }
	for _, tc := range []struct {
		reason string
		query  url.Values
		want   int
	}{
		{"all", url.Values{"q": {"{}"}}, 500},
		{"failed traces of the canary", url.Values{"q": {`{ resource.service.version = "1.1.0" && resource.deployment.track = "canary" && status = error }`}},
			count(func(pod int, sp ptrace.Span) bool { return canary(pod) && isError(sp) })},
		{"the same by unscoped attributes", url.Values{"q": {`{ .service.version = "1.1.0" && .deployment.track = "canary" && status = error }`}},
			count(func(pod int, sp ptrace.Span) bool { return canary(pod) && isError(sp) })},
		{"by event", url.Values{"q": {`{ event.exception.message =~ ".*502 for order.*" && resource.service.name = "payment" }`}},
			count(func(pod int, sp ptrace.Span) bool { return pod/otlptest.Pods == 2 && isError(sp) })},
		{"by tags", url.Values{"tags": {"service.name=PAYM http.response.status_code=502"}},
			count(func(pod int, sp ptrace.Span) bool { return pod/otlptest.Pods == 2 && isError(sp) })},
		{"two spansets", url.Values{"q": {`{ resource.service.name = "payment" } && { status = error }`}}, func() (n int) {
			for i := range 500 {
				payment, failed := false, false
				for _, s := range sh.Trace(i) {
					sp := ptrace.NewSpan()
					s.Write(sp)
					payment, failed = payment || s.Pod/otlptest.Pods == 2, failed || isError(sp)
				}
				if payment && failed {
					n++
				}
			}
			return n
		}()},
		{"a range of time", url.Values{"q": {"{ nestedSetParent < 0 }"}, "start": {unix(time.Hour)}, "end": {unix(2 * time.Hour)}}, func() (n int) {
			for i := range 500 {
				sp := ptrace.NewSpan()
				sh.Trace(i)[0].Write(sp)
				if at := sp.StartTimestamp().AsTime(); !at.Before(start.Add(time.Hour)) && at.Before(start.Add(2*time.Hour+time.Second)) {
					n++
				}
			}
			return n
		}()},
		{"the root's service", url.Values{"q": {`{ rootServiceName = "cart" && status = error }`}}, func() (n int) {
			for i := range 500 {
				failed := false
				for _, s := range sh.Trace(i) {
					sp := ptrace.NewSpan()
					s.Write(sp)
					failed = failed || isError(sp)
				}
				if sh.Trace(i)[0].Pod/otlptest.Pods == 1 && failed {
					n++
				}
			}
			return n
		}()},
		{"nobody", url.Values{"q": {`{ resource.service.name = "nobody" }`}}, 0},
	} {
		tc.query.Set("limit", "1000")
		var got searchResponse
		getJSON(t, srv, "/search", tc.query, &got)
		if len(got.Traces) != tc.want {
			t.Errorf("%s: %d traces, want %d", tc.reason, len(got.Traces), tc.want)
		}
		seen := map[string]bool{}
		for _, m := range got.Traces {
			if seen[m.TraceID] {
				t.Errorf("%s: trace %s twice", tc.reason, m.TraceID)
			}
			seen[m.TraceID] = true
			if m.RootServiceName == "" || m.RootTraceName == "" || m.SpanSets[0].Matched == 0 || len(m.SpanSets[0].Spans) > defaultSpans {
				t.Errorf("%s: %+v", tc.reason, m)
			}
		}
	}
}

func TestSearchShape(t *testing.T) {
	sh, srv := shopServer(t)
	var got searchResponse
	getJSON(t, srv, "/search", url.Values{"q": {`{ status = error } | select(span.http.route, resource.service.version, kind)`}, "limit": {"3"}, "spss": {"1"}}, &got)
	if len(got.Traces) != 3 {
		t.Fatalf("limit 3 gave %d traces", len(got.Traces))
	}
	last := ""
	for _, m := range got.Traces {
		if last != "" && m.StartTimeUnixNano > last {
			t.Errorf("trace %s is newer than the one before it", m.TraceID)
		}
		last = m.StartTimeUnixNano
		attrs := map[string]string{}
		for _, a := range m.SpanSets[0].Spans[0].Attributes {
			attrs[a.Key] = *a.Value.String
		}
		if attrs["status"] != "error" || !strings.HasPrefix(attrs["http.route"], "/api/v1/") || attrs["service.version"] == "" || attrs["kind"] == "" {
			t.Errorf("attributes of the span: %v", attrs)
		}
	}
	_ = sh
	for _, tc := range []struct {
		reason string
		query  url.Values
		want   string
	}{
		{"a parse error has its place", url.Values{"q": {"{ foo }"}}, `invalid TraceQL query: parse error at line 1, col 3`},
		{"a bad limit", url.Values{"limit": {"-1"}}, `invalid limit "-1"`},
		{"a limit without bounds", url.Values{"limit": {"1000000"}}, `must be a number from 0 to 10000`},
		{"a bad time", url.Values{"start": {"yesterday"}}, `invalid start "yesterday"`},
		{"the end before the start", url.Values{"start": {"100"}, "end": {"50"}}, `must not be before start`},
		{"a bad duration", url.Values{"minDuration": {"5"}}, `invalid minDuration "5"`},
		{"bad tags", url.Values{"tags": {"nonsense"}}, `not of the form key=value`},
	} {
		status, body := get(t, srv, "/search", tc.query, "")
		if status != http.StatusBadRequest || !strings.Contains(string(body), tc.want) {
			t.Errorf("%s: %d %s", tc.reason, status, body)
		}
	}
}

func TestTags(t *testing.T) {
	_, srv := shopServer(t)
	var v1 struct {
		TagNames []string `json:"tagNames"`
	}
	getJSON(t, srv, "/search/tags", nil, &v1)
	var v2 struct {
		Scopes []tagScope `json:"scopes"`
	}
	getJSON(t, srv, "/v2/search/tags", nil, &v2)
	byScope := map[string]string{}
	for _, s := range v2.Scopes {
		byScope[s.Name] = " " + strings.Join(s.Tags, " ") + " "
	}
	for scope, tag := range map[string]string{"resource": "service.name", "span": "http.route", "event": "exception.message", "intrinsic": "rootServiceName"} {
		if !strings.Contains(byScope[scope], " "+tag+" ") {
			t.Errorf("scope %s lacks %s: %s", scope, tag, byScope[scope])
		}
		if has := strings.Contains(" "+strings.Join(v1.TagNames, " ")+" ", " "+tag+" "); has != (scope != "intrinsic") {
			t.Errorf("v1 has %s: %v", tag, has)
		}
	}
	var values struct {
		TagValues []tagValue `json:"tagValues"`
	}
	getJSON(t, srv, "/v2/search/tag/resource.service.name/values", nil, &values)
	if len(values.TagValues) != len(otlptest.Services) || values.TagValues[0] != (tagValue{"string", "auth"}) {
		t.Errorf("service names: %v", values.TagValues)
	}
	getJSON(t, srv, "/v2/search/tag/.service.version/values", url.Values{"q": {`{ resource.deployment.track = "canary" }`}}, &values)
	if len(values.TagValues) != 1 || values.TagValues[0].Value != otlptest.CanaryVersion {
		t.Errorf("versions of the canary: %v", values.TagValues)
	}
	getJSON(t, srv, "/v2/search/tag/span.http.response.status_code/values", nil, &values)
	if len(values.TagValues) != 2 || values.TagValues[1] != (tagValue{"int", "502"}) {
		t.Errorf("status codes: %v", values.TagValues)
	}
	getJSON(t, srv, "/v2/search/tag/status/values", nil, &values)
	if len(values.TagValues) != 3 || values.TagValues[0] != (tagValue{"keyword", "error"}) {
		t.Errorf("statuses: %v", values.TagValues)
	}
	var old struct {
		TagValues []string `json:"tagValues"`
	}
	getJSON(t, srv, "/search/tag/service.name/values", nil, &old)
	if len(old.TagValues) != len(otlptest.Services) {
		t.Errorf("v1 service names: %v", old.TagValues)
	}
}

func TestEchoAndBuildInfo(t *testing.T) {
	_, srv := server(t)
	if status, body := get(t, srv, "/echo", nil, ""); status != http.StatusOK || string(body) != "echo" {
		t.Errorf("echo: %d %s", status, body)
	}
	var info map[string]string
	getJSON(t, srv, "/status/buildinfo", nil, &info)
	if info["version"] == "" {
		t.Errorf("buildinfo: %v", info)
	}
	if status, body := get(t, srv, "/metrics/query_range", nil, ""); status != http.StatusNotImplemented || !strings.Contains(string(body), "not supported") {
		t.Errorf("metrics: %d %s", status, body)
	}
}
