// Package app is the application of the demonstration: a small shop and the
// payment provider that it asks, as processes of their own with telemetry by
// package telemetry. `fairlead demo` starts itself as this.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fairlead.dev/fairlead/telemetry"
)

// Roles of a process.
const (
	RoleShop     = "shop"
	RolePayments = "payments"
)

// Config says what a process is.
type Config struct {
	Role string
	// Listen is the address to serve on; port 0 is any free one.
	Listen string
	// Payments is the base URL of the payment provider, of the shop.
	Payments string
	// PaymentAPI is the provider's interface that the shop's checkout uses: v1,
	// or v2, which is broken for one region.
	PaymentAPI string
}

func (c Config) check() error {
	switch {
	case c.Role != RoleShop && c.Role != RolePayments:
		return fmt.Errorf("--role %q: want %s or %s", c.Role, RoleShop, RolePayments)
	case c.Role == RoleShop && c.Payments == "":
		return errors.New("--payments: the URL of the payment provider is missing")
	case c.PaymentAPI != "v1" && c.PaymentAPI != "v2":
		return fmt.Errorf("--payment-api %q: want v1 or v2", c.PaymentAPI)
	}
	return nil
}

// Run serves until ctx ends, SIGTERM comes, or parent has nothing more to read:
// a child whose parent was killed must not stay. Once it listens it writes the
// address to started, as a line. An interrupt is the parent's affair.
func Run(ctx context.Context, c Config, parent io.Reader, started io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	signal.Ignore(os.Interrupt)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, parent)
		stop()
	}()
	shutdown, err := telemetry.Start(ctx, telemetry.WithServiceName(c.Role))
	if err != nil {
		return err
	}
	var handler http.Handler
	if c.Role == RolePayments {
		handler = newPayments()
	} else {
		handler = newShop(c)
	}
	err = serve(ctx, c.Listen, handler, started)
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return errors.Join(err, shutdown(flush))
}

// serve answers requests until ctx ends, then lets those under way finish.
func serve(ctx context.Context, address string, handler http.Handler, started io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 2 * time.Minute} // longer than the proxy keeps idle connections
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	fmt.Fprintln(started, listener.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
