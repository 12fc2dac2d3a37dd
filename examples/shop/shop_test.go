package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// answers serves n requests to each path and returns the counts of
// http.server.request.duration by route and status, and the plain counters.
func answers(t *testing.T, c Config, n int, paths ...string) map[string]int64 {
	t.Helper()
	reader := metric.NewManualReader()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	handler, err := NewShop(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		for range n {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, http.NoBody))
		}
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				if m.Name != "http.server.request.duration" {
					continue
				}
				for _, p := range d.DataPoints {
					route, _ := p.Attributes.Value("http.route")
					status, _ := p.Attributes.Value("http.response.status_code")
					got[route.AsString()+" "+strconv.FormatInt(status.AsInt64(), 10)] += int64(p.Count)
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					got[m.Name] += p.Value
				}
			}
		}
	}
	return got
}

func TestFaultIsOnOneRoute(t *testing.T) {
	got := answers(t, Config{Fault: Fault{Route: "/cart/items", ErrorRate: 1, LatencyFactor: 1, Exception: "X"}}, 5, "/", "/cart/items", "/products/7")
	for key, want := range map[string]int64{"/ 200": 5, "/cart/items 500": 5, "/products/{id} 200": 5, "checkout.orders": 0} {
		if n, ok := got[key]; n != want || !ok {
			t.Errorf("%s counted %d times, want %d (of %v)", key, n, want, got)
		}
	}
}

func TestLostOrdersAreNoErrors(t *testing.T) {
	got := answers(t, Config{Fault: Fault{OrderLoss: 1, LatencyFactor: 1}}, 3, "/checkout/session", "/checkout/order", "/healthz")
	for key, want := range map[string]int64{"/checkout/order 200": 3, "checkout.sessions": 3, "checkout.orders": 0} {
		if got[key] != want {
			t.Errorf("%s counted %d times, want %d (of %v)", key, got[key], want, got)
		}
	}
	for key := range got {
		if strings.Contains(key, "healthz") {
			t.Errorf("the probe is counted: %s", key)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]Config{
		"-error-rate":           {ErrorRate: 1.5, Fault: Fault{LatencyFactor: 1}},
		"-fault-route":          {Fault: Fault{Route: "/nowhere", LatencyFactor: 1}},
		"-fault-latency-factor": {Fault: Fault{LatencyFactor: 0}},
		"-latency":              {Latency: -1, Fault: Fault{LatencyFactor: 1}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want an error that names %s", c, err, name)
		}
	}
}
