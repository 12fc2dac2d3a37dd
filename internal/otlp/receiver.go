package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Consumers take what arrives. A nil error acknowledges the request to its
// sender, so each must return only when the data is kept. An error that
// carries a gRPC status is answered with it; any other is answered as one that
// the sender should retry. A consumer that kept part of a request calls
// [Reject] and returns nil.
type Consumers struct {
	Traces  func(context.Context, ptrace.Traces) error
	Metrics func(context.Context, pmetric.Metrics) error
	Logs    func(context.Context, plog.Logs) error
}

// TLS are the files of a listener in PEM. With ClientCAFile, clients must show
// a certificate signed by it.
type TLS struct{ CertFile, KeyFile, ClientCAFile string }

// ReceiverOptions configure [NewReceiver].
type ReceiverOptions struct {
	// GRPC and HTTP are host:port; "" leaves that protocol out. Port 0 takes a
	// free port, see [Receiver.GRPCAddr].
	GRPC, HTTP string
	TLS        *TLS

	// Authenticate checks the Authorization header ("" when there is none) of
	// each request. Nil accepts every request.
	Authenticate func(authorization string) error

	// MaxRequestBytes bounds a request after decompression; 0 means 20 MiB.
	MaxRequestBytes int64

	// MemoryLimitMiB is the heap above which requests are refused until it has
	// shrunk; 0 switches the limiter off.
	MemoryLimitMiB uint32

	Telemetry Telemetry
}

// Receiver is the Collector's OTLP receiver.
type Receiver struct {
	opts      ReceiverOptions
	consumers Consumers
	limiter   *limiter
	component component.Component
	host      host

	mu    sync.Mutex
	addrs map[string]string // "Starting GRPC server" -> address
}

const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = time.Minute
)

var (
	middlewareID = component.MustNewID("fairlead")
	authID       = component.MustNewIDWithName("fairlead", "auth")
)

// NewReceiver returns a receiver that is not listening yet.
func NewReceiver(opts ReceiverOptions, consumers Consumers) (*Receiver, error) {
	if opts.GRPC == "" && opts.HTTP == "" {
		return nil, errors.New("an OTLP receiver needs a gRPC or an HTTP address")
	}
	if opts.MaxRequestBytes == 0 {
		opts.MaxRequestBytes = 20 << 20
	}
	r := &Receiver{opts: opts, consumers: consumers, addrs: map[string]string{}}
	r.host = host{middlewareID: &middleware{}}
	if opts.Authenticate != nil {
		r.host[authID] = &authenticator{check: opts.Authenticate}
	}
	var err error
	if opts.MemoryLimitMiB > 0 {
		if r.limiter, err = newLimiter(opts.MemoryLimitMiB, opts.Telemetry, consumers); err != nil {
			return nil, err
		}
		r.consumers = r.limiter.consumers
	}
	return r, nil
}

// Start binds the addresses and serves in the background.
func (r *Receiver) Start(ctx context.Context) error {
	if r.limiter != nil {
		if err := r.limiter.start(ctx, r.host); err != nil {
			return err
		}
	}
	factory := otlpreceiver.NewFactory()
	set := receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: r.opts.Telemetry.settings()}
	set.Logger = set.Logger.WithOptions(zap.WrapCore(r.noteAddresses))
	cfg := r.config(factory)
	capabilities := consumer.WithCapabilities(consumer.Capabilities{MutatesData: true})
	var comp component.Component
	if f := r.consumers.Traces; f != nil {
		next, err := consumer.NewTraces(f, capabilities)
		if err != nil {
			return err
		}
		if comp, err = factory.CreateTraces(ctx, set, cfg, next); err != nil {
			return err
		}
	}
	if f := r.consumers.Metrics; f != nil {
		next, err := consumer.NewMetrics(f, capabilities)
		if err != nil {
			return err
		}
		if comp, err = factory.CreateMetrics(ctx, set, cfg, next); err != nil {
			return err
		}
	}
	if f := r.consumers.Logs; f != nil {
		next, err := consumer.NewLogs(f, capabilities)
		if err != nil {
			return err
		}
		if comp, err = factory.CreateLogs(ctx, set, cfg, next); err != nil {
			return err
		}
	}
	if comp == nil {
		return errors.New("an OTLP receiver needs a consumer")
	}
	if err := comp.Start(ctx, r.host); err != nil {
		return fmt.Errorf("start OTLP receiver: %w", err)
	}
	r.component = comp
	return nil
}

// Shutdown stops listening and waits for the requests under way.
func (r *Receiver) Shutdown(ctx context.Context) error {
	var err error
	if r.component != nil {
		err = r.component.Shutdown(ctx)
	}
	if r.limiter != nil {
		err = errors.Join(err, r.limiter.shutdown(ctx))
	}
	return err
}

// GRPCAddr returns the address that gRPC is served on, "" before Start.
func (r *Receiver) GRPCAddr() string { return r.addr("Starting GRPC server") }

// HTTPAddr returns the address that HTTP is served on, "" before Start.
func (r *Receiver) HTTPAddr() string { return r.addr("Starting HTTP server") }

func (r *Receiver) addr(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs[key]
}

// noteAddresses reads the bound addresses off the receiver's log: it is the
// only place where it tells which port it was given for port 0.
func (r *Receiver) noteAddresses(core zapcore.Core) zapcore.Core {
	return &addressCore{Core: core, note: func(message, endpoint string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.addrs[message] = endpoint
	}}
}

type addressCore struct {
	zapcore.Core
	note func(message, endpoint string)
}

func (c *addressCore) With(f []zapcore.Field) zapcore.Core {
	return &addressCore{Core: c.Core.With(f), note: c.note}
}

func (c *addressCore) Enabled(l zapcore.Level) bool { return l >= zapcore.InfoLevel }

func (c *addressCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, c)
}

func (c *addressCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		if f.Key == "endpoint" {
			c.note(e.Message, f.String)
		}
	}
	if !c.Core.Enabled(e.Level) {
		return nil
	}
	return c.Core.Write(e, fields)
}

func (r *Receiver) config(factory receiver.Factory) *otlpreceiver.Config {
	cfg := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	grpcCfg := *cfg.Protocols.GRPC.GetOrInsertDefault()
	httpCfg := *cfg.Protocols.HTTP.GetOrInsertDefault()
	middlewares := []configmiddleware.Config{{ID: middlewareID}}

	cfg.Protocols.GRPC = configoptional.None[configgrpc.ServerConfig]()
	if r.opts.GRPC != "" {
		grpcCfg.NetAddr.Endpoint = r.opts.GRPC
		// Whole MiB are what the setting takes; round up.
		grpcCfg.MaxRecvMsgSizeMiB = int((r.opts.MaxRequestBytes + 1<<20 - 1) >> 20)
		grpcCfg.Middlewares = middlewares
		grpcCfg.TLS = r.tls()
		if r.opts.Authenticate != nil {
			grpcCfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: authID})
		}
		cfg.Protocols.GRPC = configoptional.Some(grpcCfg)
	}

	cfg.Protocols.HTTP = configoptional.None[otlpreceiver.HTTPConfig]()
	if r.opts.HTTP != "" {
		h := &httpCfg.ServerConfig
		h.NetAddr.Endpoint = r.opts.HTTP
		h.MaxRequestBodySize = r.opts.MaxRequestBytes
		h.Middlewares = middlewares
		h.TLS = r.tls()
		// A sender that dawdles must not hold a connection for ever; an
		// exporter's own timeout is 10 s.
		h.ReadHeaderTimeout, h.ReadTimeout = headerTimeout, bodyTimeout
		if r.opts.Authenticate != nil {
			h.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: authID}})
		}
		cfg.Protocols.HTTP = configoptional.Some(httpCfg)
	}
	return cfg
}

func (r *Receiver) tls() configoptional.Optional[configtls.ServerConfig] {
	if r.opts.TLS == nil {
		return configoptional.None[configtls.ServerConfig]()
	}
	c := configtls.NewDefaultServerConfig()
	c.CertFile, c.KeyFile, c.ClientCAFile = r.opts.TLS.CertFile, r.opts.TLS.KeyFile, r.opts.TLS.ClientCAFile
	c.MinVersion = tls.VersionName(tls.VersionTLS12)[len("TLS "):]
	return configoptional.Some(c)
}
