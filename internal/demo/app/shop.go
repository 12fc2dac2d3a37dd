package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/telemetry"
)

// Paths are what customers ask the shop for, the most frequent first.
var Paths = []string{
	"/", "/products/1", "/checkout?region=eu", "/search", "/checkout?region=us", "/cart", "/products", "/account",
}

// BrokenRoute and BrokenRegion are where payments fail through the provider's
// second interface.
const (
	BrokenRoute  = "/checkout"
	BrokenRegion = "eu"
)

const (
	// brokenShare of the payments of that region fail through that interface.
	brokenShare = 0.7
	// usualFailures is the share of requests that fail in every version: no
	// service has none, and a canary is compared with what is usual.
	usualFailures = 0.003
	// median time of a request without a payment.
	median = 2 * time.Millisecond
)

type shop struct {
	payments string
	api      string
	client   *http.Client
}

func newShop(c Config) http.Handler {
	s := &shop{payments: c.Payments, api: c.PaymentAPI, client: &http.Client{
		Timeout: 5 * time.Second,
		Transport: otelhttp.NewTransport(&http.Transport{MaxIdleConnsPerHost: 64}, otelhttp.WithSpanNameFormatter(
			func(string, *http.Request) string { return "charge the card" })),
	}}
	routes := http.NewServeMux()
	for _, route := range []string{"/{$}", "/products", "/products/{id}", "/search", "/cart", "/account"} {
		routes.HandleFunc(route, s.page)
	}
	routes.HandleFunc(BrokenRoute, s.checkout)
	return telemetry.Middleware(routes)
}

// page is a route that does some work, and sometimes fails.
func (s *shop) page(w http.ResponseWriter, r *http.Request) {
	work(r.Context())
	if rand.Float64() < usualFailures {
		fail(r.Context(), w, errors.New("the catalogue's database closed the connection"))
		return
	}
	fmt.Fprintln(w, r.URL.Path)
}

func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	region := r.URL.Query().Get("region")
	trace.SpanFromContext(r.Context()).SetAttributes(attribute.String("payment.region", region), attribute.String("payment.api", s.api))
	work(r.Context())
	if err := s.charge(r.Context(), region); err != nil {
		fail(r.Context(), w, err)
		return
	}
	fmt.Fprintln(w, "ordered")
}

// charge asks the payment provider.
func (s *shop) charge(ctx context.Context, region string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.payments+"/"+s.api+"/charge?region="+url.QueryEscape(region), http.NoBody) //nolint:gosec // as below
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req) //nolint:gosec // to the provider that the command line names, on this machine
	if err != nil {
		return fmt.Errorf("charge the card: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("charge the card: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("payments answered %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return nil
}

// newPayments is the provider: two interfaces, the second one broken for a region.
func newPayments() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("POST /v1/charge", func(w http.ResponseWriter, r *http.Request) {
		work(r.Context())
		if rand.Float64() < usualFailures {
			fail(r.Context(), w, errors.New("the card's issuer did not answer"))
			return
		}
		fmt.Fprintln(w, "charged")
	})
	routes.HandleFunc("POST /v2/charge", func(w http.ResponseWriter, r *http.Request) {
		work(r.Context())
		if r.URL.Query().Get("region") == BrokenRegion && rand.Float64() < brokenShare {
			fail(r.Context(), w, errors.New("acquirer eu-2 refused the connection"))
			return
		}
		fmt.Fprintln(w, "charged")
	})
	return telemetry.Middleware(routes)
}

// work takes a time as services do: log-normal, and one in a hundred six times
// as long.
func work(ctx context.Context) {
	spread := math.Exp(0.4 * rand.NormFloat64())
	if rand.Float64() < 0.01 {
		spread *= 6
	}
	timer := time.NewTimer(time.Duration(float64(median) * spread))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// fail answers 503 and says why on the request's span and in a log record.
func fail(ctx context.Context, w http.ResponseWriter, err error) {
	span := trace.SpanFromContext(ctx)
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	telemetry.Logger("demo").ErrorContext(ctx, err.Error())
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
