package telemetry_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"fairlead.dev/fairlead/telemetry"
)

// backend is an OTLP/HTTP receiver that keeps what it was sent.
type backend struct {
	mu      sync.Mutex
	traces  []*coltrace.ExportTraceServiceRequest
	metrics []*colmetrics.ExportMetricsServiceRequest
	logs    []*collogs.ExportLogsServiceRequest
}

// newBackend starts a receiver and points the standard variables to it; all
// other variables that Start reads are unset for the length of the test.
func newBackend(t *testing.T) *backend {
	t.Helper()
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "OTEL_") {
			unset(t, name)
		}
	}
	for _, name := range []string{"APP_VERSION", "DEPLOYMENT_TRACK", "DEPLOYMENT_ENVIRONMENT", "POD_NAME", "POD_NAMESPACE"} {
		unset(t, name)
	}
	b := &backend{}
	receive := func(m proto.Message, keep func()) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			proto.Reset(m)
			if err := proto.Unmarshal(body, m); err != nil {
				t.Error(err)
			}
			keep()
		}
	}
	mux := http.NewServeMux()
	var tr coltrace.ExportTraceServiceRequest
	mux.Handle("POST /v1/traces", receive(&tr, func() {
		b.traces = append(b.traces, proto.Clone(&tr).(*coltrace.ExportTraceServiceRequest))
	}))
	var me colmetrics.ExportMetricsServiceRequest
	mux.Handle("POST /v1/metrics", receive(&me, func() {
		b.metrics = append(b.metrics, proto.Clone(&me).(*colmetrics.ExportMetricsServiceRequest))
	}))
	var lo collogs.ExportLogsServiceRequest
	mux.Handle("POST /v1/logs", receive(&lo, func() {
		b.logs = append(b.logs, proto.Clone(&lo).(*collogs.ExportLogsServiceRequest))
	}))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	return b
}

func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "") // restores the value at the end
	os.Unsetenv(name)
}

func (b *backend) resources() map[string]map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]map[string]string{}
	for _, r := range b.traces {
		all["traces"] = attributes(r.ResourceSpans[0].Resource)
	}
	for _, r := range b.metrics {
		all["metrics"] = attributes(r.ResourceMetrics[0].Resource)
	}
	for _, r := range b.logs {
		all["logs"] = attributes(r.ResourceLogs[0].Resource)
	}
	return all
}

func attributes(r *resource.Resource) map[string]string { return keyValues(r.Attributes) }

func keyValues(kvs []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range kvs {
		m[kv.Key] = kv.Value.GetStringValue()
	}
	return m
}

// emit makes one span, one metric and one log record and flushes them.
func emit(t *testing.T, opts ...telemetry.Option) {
	t.Helper()
	ctx := context.Background()
	shutdown, err := telemetry.Start(ctx, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := otel.Tracer("test").Start(ctx, "work")
	orders, err := otel.Meter("test").Int64Counter("orders")
	if err != nil {
		t.Fatal(err)
	}
	orders.Add(ctx, 1)
	telemetry.Logger("test").InfoContext(ctx, "worked")
	span.End()
	if err := shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := shutdown(context.Background()); err != nil {
		t.Errorf("second shutdown: %v", err)
	}
}

func TestResource(t *testing.T) {
	tests := map[string]struct {
		reason string
		env    map[string]string
		opts   []telemetry.Option
		want   map[string]string
		absent []string
	}{
		"defaults": {
			reason: "an instance that nobody told anything is a stable one of unknown version",
			want:   map[string]string{"service.version": "unknown", "deployment.track": "stable", "k8s.pod.name": "unknown"},
			absent: []string{"deployment.environment", "deployment.environment.name", "k8s.namespace.name"},
		},
		"manifest": {
			reason: "the manifest names all of it; both names of the environment are set",
			env: map[string]string{"APP_VERSION": "2.4.0", "DEPLOYMENT_TRACK": "canary", "DEPLOYMENT_ENVIRONMENT": "production",
				"POD_NAME": "shop-canary-1", "POD_NAMESPACE": "shop", "OTEL_SERVICE_NAME": "shop"},
			want: map[string]string{"service.name": "shop", "service.version": "2.4.0", "deployment.track": "canary",
				"deployment.environment": "production", "deployment.environment.name": "production",
				"k8s.pod.name": "shop-canary-1", "k8s.namespace.name": "shop"},
		},
		"code is the fallback": {
			reason: "the environment of the deployment overrides what the code says",
			env:    map[string]string{"OTEL_SERVICE_NAME": "from-env"},
			opts:   []telemetry.Option{telemetry.WithServiceName("from-code"), telemetry.WithServiceVersion("1.0.0")},
			want:   map[string]string{"service.name": "from-env", "service.version": "1.0.0"},
		},
		"own variable before the general one": {
			reason: "APP_VERSION is more specific than OTEL_RESOURCE_ATTRIBUTES, which is more specific than a default",
			env: map[string]string{"APP_VERSION": "3", "OTEL_RESOURCE_ATTRIBUTES": "service.version=2,deployment.track=canary,team=web",
				"POD_NAME": " "},
			opts: []telemetry.Option{telemetry.WithAttributes(attribute.String("team", "code"))},
			want: map[string]string{"service.version": "3", "deployment.track": "canary", "team": "web", "k8s.pod.name": "unknown"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			emit(t, tc.opts...)
			resources := b.resources()
			for _, signal := range []string{"traces", "metrics", "logs"} {
				got, ok := resources[signal]
				if !ok {
					t.Errorf("no %s arrived", signal)
					continue
				}
				for k, v := range tc.want {
					if got[k] != v {
						t.Errorf("%s\n%s: %s = %q, want %q", tc.reason, signal, k, got[k], v)
					}
				}
				for _, k := range tc.absent {
					if v, ok := got[k]; ok {
						t.Errorf("%s\n%s: %s = %q, want it left out", tc.reason, signal, k, v)
					}
				}
				if got["service.instance.id"] == "" {
					t.Errorf("%s: service.instance.id is missing: two processes would share a series", signal)
				}
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	tests := map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL":         "carrier-pigeon",
		"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json",
		"OTEL_TRACES_EXPORTER":                "abacus",
		"OTEL_METRICS_EXPORTER":               "abacus",
		"OTEL_LOGS_EXPORTER":                  "abacus",
		"OTEL_METRICS_PRODUCERS":              "abacus",
		"OTEL_PROPAGATORS":                    "smoke",
		"OTEL_RESOURCE_ATTRIBUTES":            "not-a-pair",
	}
	for name, value := range tests {
		t.Run(name, func(t *testing.T) {
			newBackend(t)
			t.Setenv(name, value)
			before := otel.GetMeterProvider()
			shutdown, err := telemetry.Start(context.Background())
			if err == nil {
				t.Fatalf("%s=%s was accepted", name, value)
			}
			if otel.GetMeterProvider() != before {
				t.Error("the global meter provider was replaced although Start failed")
			}
			if err := shutdown(context.Background()); err != nil {
				t.Errorf("the shutdown of a failed start: %v", err)
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	b := newBackend(t)
	t.Setenv("OTEL_SDK_DISABLED", "true")
	before := otel.GetMeterProvider()
	shutdown, err := telemetry.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if otel.GetMeterProvider() != before {
		t.Error("OTEL_SDK_DISABLED=true, yet the meter provider was set")
	}
	if err := shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(b.resources()); n != 0 {
		t.Errorf("%d signals were exported", n)
	}
}

// requestPoints serves requests through Middleware and returns the exported
// points of http.server.request.duration by route and status.
func requestPoints(t *testing.T, serve func(url string)) map[string]uint64 {
	t.Helper()
	b := newBackend(t)
	shutdown, err := telemetry.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cart/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("GET /broken", func(http.ResponseWriter, *http.Request) { panic("wires crossed") })
	mux.HandleFunc("GET /router/", func(_ http.ResponseWriter, r *http.Request) { telemetry.SetRoute(r, "/router/{any}") })
	srv := httptest.NewUnstartedServer(telemetry.Middleware(mux))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the panic below is meant
	srv.Start()
	serve(srv.URL)
	srv.Close()
	if err := shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	points := map[string]uint64{}
	for _, r := range b.metrics {
		for _, sm := range r.ResourceMetrics[0].ScopeMetrics {
			for _, m := range sm.Metrics {
				if m.Name != "http.server.request.duration" {
					continue
				}
				for _, p := range m.Data.(*metrics.Metric_Histogram).Histogram.DataPoints {
					var route, status, method string
					for _, kv := range p.Attributes {
						switch kv.Key {
						case "http.route":
							route = kv.Value.GetStringValue()
						case "http.request.method":
							method = kv.Value.GetStringValue()
						case "http.response.status_code":
							status = http.StatusText(int(kv.Value.GetIntValue()))
						case "server.address", "server.port":
							t.Errorf("%s is a label: a request's Host header makes series", kv.Key)
						}
					}
					if len(p.ExplicitBounds) != 14 {
						t.Errorf("%d bucket bounds, want the 14 of the conventions", len(p.ExplicitBounds))
					}
					points[method+" "+route+" "+status] += p.Count
				}
			}
		}
	}
	return points
}

func TestMiddleware(t *testing.T) {
	// Of a kept connection that breaks, the client would send the request twice.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(url string) {
		if resp, err := client.Get(url); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	points := requestPoints(t, func(url string) {
		get(url + "/cart/1")
		get(url + "/cart/2")
		get(url + "/broken")
		get(url + "/router/7")
		get(url + "/nowhere")
	})
	want := map[string]uint64{
		"GET /cart/{id} OK":                 2,
		"GET /broken Internal Server Error": 1,
		"GET /router/{any} OK":              1,
		"GET  Not Found":                    1,
	}
	for k, n := range want {
		if points[k] != n {
			t.Errorf("%q counted %d times, want %d", k, points[k], n)
		}
	}
	if len(points) != len(want) {
		t.Errorf("points %v, want those of %v", points, want)
	}
}

func TestMiddlewareForwardsThePanic(t *testing.T) {
	newBackend(t)
	h := telemetry.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("wires crossed") }))
	defer func() {
		if got := recover(); got != "wires crossed" {
			t.Errorf("recovered %v, want the handler's own panic: the server must see it", got)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
}
