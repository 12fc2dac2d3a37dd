package otlp

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpstreamsFromEnv(t *testing.T) {
	base := func(signal string) Upstream {
		return Upstream{Name: signal, Signals: []string{signal}, Compression: "gzip", Timeout: 10 * time.Second, HTTP: true, Headers: map[string]string{}}
	}
	for _, c := range []struct {
		reason string
		env    map[string]string
		want   func() map[string]Upstream
	}{
		{"nothing set", nil, func() map[string]Upstream { return map[string]Upstream{} }},
		{"one endpoint, one signal off", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example.com/", "OTEL_METRICS_EXPORTER": "none",
			"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, tenant=a"}, func() map[string]Upstream {
			out := map[string]Upstream{}
			for _, signal := range []string{"traces", "logs"} {
				u := base(signal)
				u.Endpoint, u.Headers = "https://otlp.example.com", map[string]string{"authorization": "Bearer x", "tenant": "a"}
				out[signal] = u
			}
			return out
		}},
		{"gRPC for one signal", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, func() map[string]Upstream {
			u := base("traces")
			u.HTTP, u.Endpoint, u.Insecure = false, "collector:4317", true
			return map[string]Upstream{"traces": u}
		}},
		{"the URL of a signal", map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://x:1/otlp/v1/logs", "OTEL_EXPORTER_OTLP_TIMEOUT": "2500"}, func() map[string]Upstream {
			u := base("logs")
			u.Endpoint, u.Insecure, u.Timeout = "http://x:1/otlp", true, 2500*time.Millisecond
			return map[string]Upstream{"logs": u}
		}},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1", "OTEL_SDK_DISABLED": "true"}, func() map[string]Upstream { return map[string]Upstream{} }},
	} {
		got, err := UpstreamsFromEnv(func(k string) string { return c.env[k] })
		if err != nil {
			t.Errorf("%s: %v", c.reason, err)
		}
		if diff := cmp.Diff(c.want(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
	for want, env := range map[string]map[string]string{
		"OTEL_TRACES_EXPORTER":               {"OTEL_TRACES_EXPORTER": "zipkin"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":        {"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"},
		"OTEL_EXPORTER_OTLP_ENDPOINT":        {"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://x"},
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT":   {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://x/logs"},
		"OTEL_EXPORTER_OTLP_TIMEOUT=\"10s\"": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"},
	} {
		if _, err := UpstreamsFromEnv(func(k string) string { return env[k] }); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v", env, err)
		}
	}
}
