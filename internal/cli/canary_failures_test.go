package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// tempoWith answers Tempo's search and trace-by-id with n failed traces.
func tempoWith(t *testing.T, n int) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/search" {
			var ids []string
			for i := range n {
				ids = append(ids, fmt.Sprintf(`{"traceID":"%032x"}`, i+1))
			}
			fmt.Fprintf(w, `{"traces":[%s]}`, strings.Join(ids, ","))
			return
		}
		var id byte
		if _, err := fmt.Sscanf(r.URL.Path[len(r.URL.Path)-2:], "%x", &id); err != nil {
			t.Error(err)
		}
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "shop")
		rs.Resource().Attributes().PutStr("service.version", "2.0")
		rs.Resource().Attributes().PutStr("deployment.track", "canary")
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{15: id})
		sp.SetSpanID(pcommon.SpanID{7: 1})
		sp.SetName("POST /pay")
		sp.Attributes().PutStr("http.route", "/pay")
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Duration(id) * time.Second)))
		sp.SetEndTimestamp(sp.StartTimestamp() + 5_250_000)
		sp.Status().SetCode(ptrace.StatusCodeError)
		ev := sp.Events().AppendEmpty()
		ev.SetName("exception")
		ev.Attributes().PutStr("exception.type", "PoolExhausted")
		ev.Attributes().PutStr("exception.message", "no connection for jane@example.com")
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestCanaryFailures(t *testing.T) {
	base := []string{"canary", "failures", "--service", "shop", "--version", "2.0", "--tempo", tempoWith(t, 3)}
	stdout, stderr, code := run(append(base, "--trace-url", "https://traces.example/{traceId}")...)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"/pay", "5.2 ms", "POST /pay", "PoolExhausted: no connection for <email>", "https://traces.example/00000000000000000000000000000001"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Index(stdout, "00000001") > strings.Index(stdout, "00000003") {
		t.Errorf("not newest first:\n%s", stdout)
	}
	stdout, _, _ = run(append(base, "-o", "json", "--limit", "1")...)
	for _, want := range []string{`"statusMessage": "no connection for <email>"`, `"durationMs": 5.25`, `"route": "/pay"`, `"truncated": true`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
}

func TestCanaryFailuresNoneSaysWhatWasSearched(t *testing.T) {
	_, stderr, code := run("canary", "failures", "--service", "shop", "--version", "2.0", "--tempo", tempoWith(t, 0))
	for _, want := range []string{"No failed traces", `resource.service.name = "shop"`, "not sampled", "deployment.track"} {
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, stderr)
		}
	}
}

func TestCanaryTraceFlagsNameFieldAndValue(t *testing.T) {
	for want, args := range map[string][]string{
		"--service is required":                       {},
		"--since -1m0s: want a duration above 0":      {"--service", "s", "--since", "-1m"},
		"--limit 0: want 1 to 1000":                   {"--service", "s", "--limit", "0"},
		"--tempo and --jaeger: name one":              {"--service", "s", "--tempo", "http://a", "--jaeger", "http://b"},
		`--trace-url "http://x": want {traceId}`:      {"--service", "s", "--trace-url", "http://x"},
		`Jaeger URL "localhost": want http(s)://host`: {"--service", "s", "--jaeger", "localhost"},
		"ask Tempo": {"--service", "s", "--tempo", "http://127.0.0.1:1"},
		`--output "xml": want one of table, json, yaml`: {"--service", "s", "-o", "xml"},
	} {
		_, stderr, code := run(append([]string{"canary", "failures"}, args...)...)
		if code != ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d, stderr %q, want %q", args, code, stderr, want)
		}
	}
}
