package server

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cacheDir is where programs and packages of these tests are kept.
func cacheDir(t *testing.T) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("SKIPPED: no cache directory: %v", err)
	}
	return filepath.Join(dir, "fairlead", "tools")
}

// promtoolVersion is the version of the library in go.mod: `make promtool`
// builds the program from the same module.
const promtoolVersion = "v0.315.0"

func TestPromtool(t *testing.T) {
	tool := filepath.Join(cacheDir(t), "promtool-"+promtoolVersion)
	if _, err := os.Stat(tool); err != nil {
		t.Skipf("SKIPPED: %s is missing; `make promtool` builds it", tool)
	}
	s := startServer(t, testConfig(t))
	if code, body := sendCounter(t, s, 60); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	url := "http://" + s.HTTPAddr() + "/prometheus"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"check", "healthy", "--url=" + url}, "SUCCESS"},
		{[]string{"check", "ready", "--url=" + url}, "SUCCESS"},
		{[]string{"query", "instant", url, "http_server_request_total"}, "=> 60"},
		{[]string{"query", "range", url, "http_server_request_total"}, "60 @"},
		{[]string{"query", "series", "--match=http_server_request_total", url}, `service_name="checkout"`},
		{[]string{"query", "labels", url, "service_name"}, "checkout"},
	} {
		out, err := exec.CommandContext(t.Context(), tool, c.args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("promtool %s: %v\n%s", strings.Join(c.args, " "), err, out)
		}
	}
}

// nodePackages are the OpenTelemetry SDK that the Node program uses.
var nodePackages = []string{
	"@opentelemetry/api@1.9.0", "@opentelemetry/api-logs@0.207.0", "@opentelemetry/resources@2.2.0",
	"@opentelemetry/sdk-trace-base@2.2.0", "@opentelemetry/sdk-metrics@2.2.0", "@opentelemetry/sdk-logs@0.207.0",
	"@opentelemetry/exporter-trace-otlp-proto@0.207.0", "@opentelemetry/exporter-metrics-otlp-http@0.207.0", "@opentelemetry/exporter-logs-otlp-http@0.207.0",
}

// An OpenTelemetry SDK in another language sends all three signals: traces as
// protobuf, metrics and logs as JSON, metrics with delta temporality.
func TestNodeSDK(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("SKIPPED: npm is not installed")
	}
	dir := filepath.Join(cacheDir(t), "node-otel-0.207.0")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@opentelemetry", "sdk-logs")); err != nil {
		if testing.Short() {
			t.Skip("SKIPPED: the packages are not cached, and -short fetches nothing")
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		install := exec.CommandContext(t.Context(), npm, append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir}, nodePackages...)...)
		if out, err := install.CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: npm install: %v\n%s", err, out)
		}
	}
	program, err := os.ReadFile("testdata/send.js")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "send.js")
	if err := os.WriteFile(script, program, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, testConfig(t))
	_, otlp := s.OTLPAddrs()
	for range 2 { // two processes, each counting once
		out, err := exec.CommandContext(t.Context(), "node", script, "http://"+otlp).CombinedOutput()
		if err != nil {
			t.Fatalf("node: %v\n%s", err, out)
		}
		time.Sleep(10 * time.Millisecond) // points of two processes have two times
	}
	base := "http://" + s.HTTPAddr()
	for path, want := range map[string]string{
		"/prometheus/api/v1/query?query=orders_total":                               `"2"`,
		`/prometheus/api/v1/query?query=latency_seconds_count{track="canary"}`:      `"2"`,
		"/tempo/api/search?q=%7Bresource.service.name%3D%22node-shop%22%7D&limit=5": "POST /order",
	} {
		if code, body := do(t, "GET", base+path, ""); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
	loki := base + "/loki/api/v1/query_range?query=" + url.QueryEscape(`{service_name="node-shop"}`)
	if code, body := do(t, "GET", loki, ""); code != 200 || strings.Count(body, "order placed") != 2 {
		t.Errorf("loki: %d %s, want two records", code, body)
	}
	_, body := do(t, "GET", base+"/metrics", "")
	if want := `fairlead_otlp_accepted_items_total{signal="logs"} 2`; !strings.Contains(body, want) {
		t.Errorf("/metrics lacks %s", want)
	}
}
