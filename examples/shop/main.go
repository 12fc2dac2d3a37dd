// Shop is the example application: an HTTP service with twenty routes and two
// business counters, instrumented by one call to telemetry.Start. It can be
// told to misbehave on one route, so that its canary has something to find.
//
//	shop -listen :8080
//	APP_VERSION=2.0.0 DEPLOYMENT_TRACK=canary shop -listen :8081 \
//	    -fault-route /cart/items -fault-error-rate 0.2
//
// Every flag can be given as a variable: -fault-error-rate is
// SHOP_FAULT_ERROR_RATE.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"fairlead.dev/fairlead/telemetry"
)

// idle is how long a connection may be unused: longer than gateways keep theirs
// (Traefik 90 s). A server that closes first loses the request that is just
// being sent, also on a connection that was opened ahead and never used, for
// which the time for a request's header counts.
const idle = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal("shop: ", err)
	}
}

func run(ctx context.Context, args []string) error {
	var c Config
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address to serve on")
	linger := flags.Duration("linger", 0, "how long to go on serving after SIGTERM, until gateways have heard of it")
	flags.StringVar(&c.Fault.Route, "fault-route", "", "route that misbehaves, /cart/items for example; every route when empty")
	flags.Float64Var(&c.Fault.ErrorRate, "fault-error-rate", 0, "share of requests to the faulty route that fail, 0 to 1")
	flags.StringVar(&c.Fault.Exception, "fault-exception", "PaymentTimeout", "type of the exception of a failed request")
	flags.Float64Var(&c.Fault.LatencyFactor, "fault-latency-factor", 1, "how many times slower the faulty route is")
	flags.Float64Var(&c.Fault.OrderLoss, "fault-order-loss", 0, "share of orders that are lost although the request succeeds, 0 to 1")
	flags.Float64Var(&c.ErrorRate, "error-rate", 0.001, "share of requests that fail on every route, 0 to 1")
	flags.DurationVar(&c.Latency, "latency", 2*time.Millisecond, "median time of the fastest route")
	if err := fromEnvironment(flags); err != nil {
		return err
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if *linger < 0 || *linger > time.Minute {
		return fmt.Errorf("-linger %v: want 0 to 1m", *linger)
	}

	shutdown, err := telemetry.Start(ctx, telemetry.WithServiceName("shop"))
	if err != nil {
		log.Print("shop: serving without telemetry: ", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := shutdown(ctx); err != nil {
			log.Print("shop: ", err)
		}
	}()
	handler, err := NewShop(c)
	if err != nil {
		return err
	}
	return serve(ctx, *listen, *linger, tellVersion(handler))
}

// tellVersion says in every answer which version gave it, so that whoever sends
// requests can see where they go.
func tellVersion(next http.Handler) http.Handler {
	version := os.Getenv("APP_VERSION")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-App-Version", version)
		next.ServeHTTP(w, r)
	})
}

// fromEnvironment takes each flag's default from its SHOP_ variable.
func fromEnvironment(flags *flag.FlagSet) (err error) {
	flags.VisitAll(func(f *flag.Flag) {
		name := "SHOP_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := os.Getenv(name); value != "" && err == nil {
			if e := flags.Set(f.Name, value); e != nil {
				err = fmt.Errorf("%s=%q: %w", name, value, e)
			}
		}
	})
	return err
}

// serve answers requests until ctx ends and for linger after that, then lets
// those under way finish.
func serve(ctx context.Context, address string, linger time.Duration, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: idle, IdleTimeout: idle}
	log.Print("shop: listening on ", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		time.Sleep(linger)
	}
	drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
