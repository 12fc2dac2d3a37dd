// Package server puts the long-lived server together: receivers, stores, query
// APIs and forwarding, in one process and one data directory.
//
// [Open] takes the configuration and opens everything; [Server.Start] listens;
// [Server.Shutdown] stops in the reverse order. What a subject adds is a
// [Part]; assemble.go lists them.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/alerting"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/otlp"
	"fairlead.dev/fairlead/internal/store/audit"
	"fairlead.dev/fairlead/internal/store/metrics"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/rollouts"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// Options are what [Open] takes beside the configuration.
type Options struct {
	Logger  *slog.Logger // default: discard
	Version string       // of the program, for its own telemetry
	// Cluster is where the pages act on rollouts; nil: they show the commands.
	Cluster client.Client
}

// Server is an assembled server.
type Server struct {
	cfg     *config.Server
	opts    Options
	logger  *slog.Logger
	stats   *stats
	bearers *bearers
	space   *space
	lock    *lock

	parts        []Part
	registries   []prometheus.Gatherer
	ingest       *ingest
	own          *ownTraces
	metricsStore *metrics.Store
	operations   *operations.Store
	rollouts     *rollouts.Store
	audit        *audit.Store
	alerting     *alerting.Engine // nil: off
	tempo        http.Handler     // the telemetry part's trace API, without its prefix
	telemetry    *telemetry.Store
	receiver     *otlp.Receiver
	http         *http.Server
	httpAddr     string

	dropLog rareLog
	started atomic.Bool
	// backingUp is set while a backup is written: one at a time.
	backingUp atomic.Bool
	failed    chan error
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	stopOnce sync.Once
	stopErr  error
}

// Open validates cfg, locks the data directory and opens every part. Nothing
// listens yet. On an error everything is closed again.
func Open(ctx context.Context, cfg *config.Server, opts Options) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	secrets, err := cfg.Auth.Resolve()
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, opts: opts, logger: opts.Logger, stats: newStats(), bearers: newBearers(secrets, cfg.Auth.Proxy), failed: make(chan error, 1)}
	if err := os.MkdirAll(cfg.Store.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("store.dir: %w", err)
	}
	if s.lock, err = lockDir(cfg.Store.Dir); err != nil {
		return nil, err
	}
	if s.space, err = newSpace(cfg.Store.Dir, cfg.Store.MinFree, s.stats.free.Set); err != nil {
		return nil, errors.Join(err, s.lock.release())
	}
	s.ingest = &ingest{refuse: s.space.low, stats: s.stats, events: newKnownEvents()}
	if err := s.assemble(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.ingest.parts, s.ingest.own = s.parts, s.own
	return s, nil
}

// Start listens on every address and serves in the background. On an error it
// has stopped again what it started; the caller still calls Shutdown.
func (s *Server) Start(ctx context.Context) error {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	ln, err := s.listenHTTP(ctx)
	if err != nil {
		return err
	}
	s.httpAddr = ln.Addr().String()
	s.http = s.newHTTPServer()
	s.wg.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve %s: %w", s.httpAddr, err))
		}
	})
	if err := s.startReceiver(ctx); err != nil {
		return err
	}
	s.wg.Go(func() { s.space.watch(run) })
	for _, p := range s.parts {
		if p.Run != nil {
			s.wg.Go(func() { p.Run(run) })
		}
	}
	s.started.Store(true)
	return nil
}

func (s *Server) startReceiver(ctx context.Context) error {
	o := otlp.ReceiverOptions{
		MaxRequestBytes: int64(s.cfg.Listen.MaxRequest),
		MemoryLimitMiB:  memoryLimitMiB(s.cfg.Store.MemoryLimit),
		Telemetry:       otlp.TelemetryTo(s.logger),
	}
	if a := s.cfg.Listen.OTLPGRPC; a != config.Off {
		o.GRPC = a
	}
	if a := s.cfg.Listen.OTLPHTTP; a != config.Off {
		o.HTTP = a
	}
	if o.GRPC == "" && o.HTTP == "" {
		return nil
	}
	if t := s.cfg.Listen.TLS; t != nil {
		o.TLS = &otlp.TLS{CertFile: t.CertFile, KeyFile: t.KeyFile, ClientCAFile: t.ClientCAFile}
	}
	if len(s.bearers.tokens) > 0 {
		o.Authenticate = s.bearers.ingest
	}
	r, err := otlp.NewReceiver(o, s.ingest.consumers())
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	s.receiver = r
	return nil
}

// HTTPAddr returns the address of pages and query APIs.
func (s *Server) HTTPAddr() string { return s.httpAddr }

// OTLPAddrs returns the addresses of the receivers, "" where one is off.
func (s *Server) OTLPAddrs() (grpc, http string) {
	if s.receiver == nil {
		return "", ""
	}
	return s.receiver.GRPCAddr(), s.receiver.HTTPAddr()
}

// Failed delivers the error of a listener that died; the caller shuts down.
func (s *Server) Failed() <-chan error { return s.failed }

func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // one is enough to stop
	}
}

// Shutdown stops taking requests, waits for those under way, stops background
// work, and closes the stores. When ctx ends first, it stops waiting for
// requests and queries, but still closes the stores. Stopping again does
// nothing.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.shutdown(ctx) })
	return s.stopErr
}

func (s *Server) shutdown(ctx context.Context) error {
	s.started.Store(false)
	var errs []error
	if s.receiver != nil {
		errs = append(errs, s.receiver.Shutdown(ctx))
	}
	if s.cancel != nil {
		s.cancel()
	}
	if s.http != nil {
		if err := s.http.Shutdown(ctx); err != nil {
			errs = append(errs, s.http.Close())
		}
	}
	s.wg.Wait()
	return errors.Join(append(errs, s.close())...)
}

// close releases the parts in reverse, then the directory.
func (s *Server) close() error {
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		if p := s.parts[i]; p.Close != nil {
			if err := p.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", p.Name, err))
			}
		}
	}
	s.parts = nil
	return errors.Join(append(errs, s.lock.release())...)
}
