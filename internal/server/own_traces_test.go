package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// ownSpans returns how many traces of the server itself a TraceQL filter finds.
func ownSpans(t *testing.T, s *Server, filter string) int {
	t.Helper()
	code, body := do(t, "GET", "http://"+s.HTTPAddr()+"/tempo/api/search?limit=100&q="+strings.NewReplacer(" ", "%20", `"`, "%22", "{", "%7B", "}", "%7D", "&", "%26").Replace(
		`{ resource.service.name = "fairlead-server" `+filter+` }`), "")
	var found struct{ Traces []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &found); code != 200 || err != nil {
		t.Fatalf("%d %s %v", code, body, err)
	}
	return len(found.Traces)
}

func TestOwnTraces(t *testing.T) {
	s := startServer(t, testConfig(t))
	base := "http://" + s.HTTPAddr()
	for range 3 {
		sendCounter(t, s, 1)
	}
	do(t, "GET", base+"/api/v1/releases/shop/nothing", "", "Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	do(t, "GET", base+"/healthz", "")
	do(t, "GET", base+"/metrics", "")
	if err := s.own.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]int{
		`&& span.http.route = "/api/v1/releases/{namespace}/{name}" && span.http.response.status_code = 404`: 1,
		`&& name = "ingest metrics"`:    1, // of three batches
		`&& name = "metrics"`:           1, // its step
		`&& span.url.path = "/healthz"`: 0,
		`&& span.url.path = "/metrics"`: 0,
	} {
		if got := ownSpans(t, s, filter); got != want {
			t.Errorf("%s: %d, want %d", filter, got, want)
		}
	}
	if code, body := do(t, "GET", base+"/tempo/api/traces/0123456789abcdef0123456789abcdef", ""); code != 200 || !strings.Contains(body, "fairlead-server") {
		t.Errorf("the caller's trace: %d %s", code, body)
	}

	// Nothing comes of nothing: what was written about the requests above is
	// not itself traced.
	if err := s.own.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := ownSpans(t, s, `&& name = "ingest traces"`)
	time.Sleep(50 * time.Millisecond)
	if err := s.own.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := ownSpans(t, s, `&& name = "ingest traces"`); before != 0 || after != 0 {
		t.Errorf("writing own spans was traced: %d, then %d", before, after)
	}
}

func TestOwnTracesOff(t *testing.T) {
	cfg := testConfig(t)
	cfg.Store.Telemetry.OwnTraces = false
	if s := startServer(t, cfg); s.own != nil {
		t.Error("store.telemetry.ownTraces: false, and there are own traces")
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if s := startServer(t, testConfig(t)); s.own != nil {
		t.Error("OTEL_SDK_DISABLED=true, and there are own traces")
	}
}
