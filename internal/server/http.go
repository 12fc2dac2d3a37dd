package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fairlead.dev/fairlead/internal/config"
)

// metricsRoute is asked by scrapers again and again, as health checks are.
const metricsRoute = "GET /metrics"

// routes are those of the server itself and of all parts.
func (s *Server) routes() []Route {
	routes := []Route{
		{Pattern: "GET /healthz", Handler: http.HandlerFunc(s.healthz), Access: AccessNone},
		{Pattern: "GET /readyz", Handler: http.HandlerFunc(s.readyz), Access: AccessNone},
		{Pattern: metricsRoute, Handler: promhttp.HandlerFor(s.gatherers(), promhttp.HandlerOpts{})},
		s.backupRoute(),
	}
	for _, p := range s.parts {
		routes = append(routes, p.Routes...)
	}
	return routes
}

// handler is the routes of all parts behind their access checks.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		if r.Strip != "" {
			r.Handler = http.StripPrefix(r.Strip, r.Handler)
		}
		if r.Access != AccessNone && r.Pattern != metricsRoute && !r.Untraced {
			r.Handler = s.own.request(r.Handler)
		}
		mux.Handle(r.Pattern, s.bearers.guard(r))
	}
	h := withBase(s.cfg.Listen.BasePath, mux)
	h = limitBody(int64(s.cfg.Listen.MaxRequest), h)
	if config.Loopback(s.cfg.Listen.HTTP) && s.bearers.open() {
		h = sameHost(h)
	}
	return h
}

func (s *Server) gatherers() prometheus.Gatherers {
	g := prometheus.Gatherers{s.stats.registry}
	return append(g, s.registries...)
}

func limitBody(n int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, n)
		next.ServeHTTP(w, r)
	})
}

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// readyz says whether everything works, and which part does not.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) ready() error {
	if !s.started.Load() {
		return errors.New("starting")
	}
	errs := []error{s.space.low()}
	for _, p := range s.parts {
		if p.Ready == nil {
			continue
		}
		if err := p.Ready(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// listenHTTP binds the address; a server on it is a separate step so that a
// taken port is an error at start.
func (s *Server) listenHTTP(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen.HTTP)
	if err != nil {
		return nil, fmt.Errorf("listen.http: %w", err)
	}
	if s.cfg.Listen.TLS == nil {
		return ln, nil
	}
	tc, err := tlsConfig(s.cfg.Listen.TLS)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return tls.NewListener(ln, tc), nil
}

func tlsConfig(t *config.ServerTLS) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("listen.tls: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if t.ClientCAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("listen.tls.clientCAFile: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("listen.tls.clientCAFile: %q: no certificate in it", t.ClientCAFile)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}

func (s *Server) newHTTPServer() *http.Server {
	return &http.Server{
		Handler: s.handler(),
		// No WriteTimeout: pages stream events for as long as they are open.
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}
