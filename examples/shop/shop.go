package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/telemetry"
)

// Routes are the shop's twenty, the busiest of real shops first. Load
// generators may choose them with falling weights.
var Routes = []string{
	"/", "/products", "/products/{id}", "/search", "/categories", "/categories/{name}", "/cart", "/cart/items",
	"/checkout/session", "/checkout/order", "/account", "/account/orders", "/account/addresses", "/login", "/logout",
	"/reviews/{id}", "/recommendations", "/shipping/quote", "/coupons/{code}", "/stores",
}

// Config is how the shop behaves.
type Config struct {
	ErrorRate float64       // share of requests that fail on every route
	Latency   time.Duration // median time of the fastest route
	Fault     Fault
}

// Fault is what is wrong with one route, or with every route when Route is
// empty.
type Fault struct {
	Route         string
	ErrorRate     float64
	LatencyFactor float64
	Exception     string
	OrderLoss     float64
}

// Validate names the first field that cannot be.
func (c Config) Validate() error {
	for name, share := range map[string]float64{
		"error-rate": c.ErrorRate, "fault-error-rate": c.Fault.ErrorRate, "fault-order-loss": c.Fault.OrderLoss,
	} {
		if math.IsNaN(share) || share < 0 || share > 1 {
			return fmt.Errorf("-%s %v: want a share from 0 to 1", name, share)
		}
	}
	if c.Fault.Route != "" && !slices.Contains(Routes, c.Fault.Route) {
		return fmt.Errorf("-fault-route %q: no such route; the routes are %s", c.Fault.Route, strings.Join(Routes, " "))
	}
	if !(c.Fault.LatencyFactor > 0) || c.Fault.LatencyFactor > 1000 {
		return fmt.Errorf("-fault-latency-factor %v: want more than 0 and at most 1000", c.Fault.LatencyFactor)
	}
	if c.Latency < 0 || c.Latency > time.Minute {
		return fmt.Errorf("-latency %v: want 0 to 1m", c.Latency)
	}
	return nil
}

// shop serves the routes and counts checkouts.
type shop struct {
	config           Config
	tracer           trace.Tracer
	sessions, orders metric.Int64Counter
}

// NewShop returns the shop's handler, instrumented.
func NewShop(c Config) (http.Handler, error) {
	meter := otel.Meter("fairlead.dev/fairlead/examples/shop")
	s := &shop{config: c, tracer: otel.Tracer("fairlead.dev/fairlead/examples/shop")}
	var err error
	// In Prometheus: checkout_sessions_total and checkout_orders_total.
	if s.sessions, err = meter.Int64Counter("checkout.sessions", metric.WithDescription("Checkouts that were begun")); err != nil {
		return nil, err
	}
	if s.orders, err = meter.Int64Counter("checkout.orders", metric.WithDescription("Checkouts that became orders")); err != nil {
		return nil, err
	}
	// A counter that is first seen at 1 hides its first event from increase().
	s.sessions.Add(context.Background(), 0)
	s.orders.Add(context.Background(), 0)

	routes := http.NewServeMux()
	for i, route := range Routes {
		pattern := route
		if route == "/" {
			pattern = "/{$}"
		}
		// Slower routes further down the list: 1 to about 4 times the first.
		median := time.Duration(float64(c.Latency) * (1 + float64(i)/6))
		routes.Handle(pattern, s.handle(route, median))
	}
	instrumented := telemetry.Middleware(routes)
	mux := http.NewServeMux()
	mux.Handle("/", instrumented)
	// Probes are no users: they stay out of the metrics that a canary is judged by.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	return mux, nil
}

// handle answers one route: some work, and sometimes a failure.
func (s *shop) handle(route string, median time.Duration) http.Handler {
	faulty := s.config.Fault.Route == "" || s.config.Fault.Route == route
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		factor := 1.0
		if faulty && s.config.Fault.LatencyFactor > 0 {
			factor = s.config.Fault.LatencyFactor
		}
		if err := s.work(ctx, time.Duration(factor*float64(latency(median)))); err != nil {
			return // the client has gone
		}
		if faulty && rand.Float64() < s.config.Fault.ErrorRate {
			s.fail(ctx, w, s.config.Fault.Exception, "the payment provider did not answer in time")
			return
		}
		if rand.Float64() < s.config.ErrorRate {
			s.fail(ctx, w, "StockUnavailable", "the stock service refused the connection")
			return
		}
		switch route {
		case "/checkout/session":
			s.sessions.Add(ctx, 1)
		case "/checkout/order":
			if rand.Float64() >= s.config.Fault.OrderLoss {
				s.orders.Add(ctx, 1)
			}
		}
		fmt.Fprintf(w, "%s\n", route)
	})
}

// latency draws a request's time: log-normal around the median, and one in a
// hundred six times as slow, as services have it.
func latency(median time.Duration) time.Duration {
	spread := math.Exp(0.4 * rand.NormFloat64())
	if rand.Float64() < 0.01 {
		spread *= 6
	}
	return time.Duration(float64(median) * spread)
}

// work takes its time under a span of its own.
func (s *shop) work(ctx context.Context, d time.Duration) error {
	ctx, span := s.tracer.Start(ctx, "query stock")
	defer span.End()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// fail answers 500 and records the exception on a span of its own, as a
// library that calls another service does, and on the request's.
func (s *shop) fail(ctx context.Context, w http.ResponseWriter, exception, message string) {
	charge, span := s.tracer.Start(ctx, "call provider")
	recordException(charge, exception, message)
	span.End()
	recordException(ctx, exception, message)
	telemetry.Logger("shop").ErrorContext(ctx, message, "exception.type", exception)
	http.Error(w, message, http.StatusInternalServerError)
}

func recordException(ctx context.Context, exception, message string) {
	span := trace.SpanFromContext(ctx)
	span.SetStatus(codes.Error, message)
	span.AddEvent("exception", trace.WithAttributes(
		semconv.ExceptionType(exception), semconv.ExceptionMessage(message)))
}
