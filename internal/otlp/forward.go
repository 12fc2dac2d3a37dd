package otlp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Upstream is where a [Forwarder] sends to. All fields but Headers, CAFile and
// the like are required.
type Upstream struct {
	Name     string   // names the queue on disk and the metrics
	Endpoint string   // grpc: host:port; http: base URL
	HTTP     bool     // OTLP/HTTP with protobuf instead of gRPC
	Signals  []string // of traces, metrics, logs

	Headers     map[string]string
	Compression string // gzip, zstd or none
	Resource    map[string]string

	Insecure                              bool // no TLS; an http:// endpoint needs no saying
	CAFile, CertFile, KeyFile, ServerName string

	BatchSize    int // items
	BatchTimeout time.Duration
	QueueSize    int // items
	Timeout      time.Duration

	RetryInitial, RetryMax, RetryMaxElapsed time.Duration // MaxElapsed 0: for ever
}

// Forwarder sends copies of telemetry to one upstream, by the Collector's
// exporter: in batches, again after failures, from a queue on disk that
// outlives a restart. What Consume functions return nil for is in that queue.
type Forwarder struct {
	upstream Upstream
	host     host
	traces   exporter.Traces
	metrics  exporter.Metrics
	logs     exporter.Logs

	stopOnce sync.Once
	stopErr  error
}

var queueID = component.MustNewIDWithName("fairlead", "queue")

// NewForwarder returns a forwarder with its queue in q, which may be shared.
func NewForwarder(u Upstream, q *Queue, tel Telemetry) (*Forwarder, error) {
	f := &Forwarder{upstream: u, host: host{queueID: q}}
	factory, cfg := u.grpc()
	if u.HTTP {
		factory, cfg = u.http()
	}
	set := exporter.Settings{ID: component.NewIDWithName(factory.Type(), u.Name), TelemetrySettings: tel.settings()}
	ctx := context.Background()
	var err error
	if slices.Contains(u.Signals, "traces") {
		if f.traces, err = factory.CreateTraces(ctx, set, cfg); err != nil {
			return nil, fmt.Errorf("forward to %s: %w", u.Name, err)
		}
	}
	if slices.Contains(u.Signals, "metrics") {
		if f.metrics, err = factory.CreateMetrics(ctx, set, cfg); err != nil {
			return nil, fmt.Errorf("forward to %s: %w", u.Name, err)
		}
	}
	if slices.Contains(u.Signals, "logs") {
		if f.logs, err = factory.CreateLogs(ctx, set, cfg); err != nil {
			return nil, fmt.Errorf("forward to %s: %w", u.Name, err)
		}
	}
	return f, nil
}

func (u *Upstream) grpc() (exporter.Factory, component.Config) {
	factory := otlpexporter.NewFactory()
	cfg := factory.CreateDefaultConfig().(*otlpexporter.Config)
	cfg.TimeoutConfig.Timeout = u.Timeout
	cfg.QueueConfig = u.queue(cfg.QueueConfig)
	cfg.RetryConfig = u.retry(cfg.RetryConfig)
	cfg.ClientConfig.Endpoint = u.Endpoint
	cfg.ClientConfig.Compression = compression(u.Compression)
	cfg.ClientConfig.Headers = u.headers()
	cfg.ClientConfig.TLS = u.tls()
	return factory, cfg
}

func (u *Upstream) http() (exporter.Factory, component.Config) {
	factory := otlphttpexporter.NewFactory()
	cfg := factory.CreateDefaultConfig().(*otlphttpexporter.Config)
	cfg.QueueConfig = u.queue(cfg.QueueConfig)
	cfg.RetryConfig = u.retry(cfg.RetryConfig)
	cfg.ClientConfig.Timeout = u.Timeout
	cfg.ClientConfig.Endpoint = u.Endpoint
	cfg.ClientConfig.Compression = compression(u.Compression)
	cfg.ClientConfig.Headers = u.headers()
	cfg.ClientConfig.TLS = u.tls()
	return factory, cfg
}

// queue is the sending queue on disk with batching behind it, so that a batch
// that is not full yet is not only in memory.
func (u *Upstream) queue(def configoptional.Optional[exporterhelper.QueueBatchConfig]) configoptional.Optional[exporterhelper.QueueBatchConfig] {
	q := *def.GetOrInsertDefault()
	q.Sizer = exporterhelper.RequestSizerTypeItems
	q.QueueSize = int64(u.QueueSize)
	q.StorageID = &queueID
	q.Batch = configoptional.Some(exporterhelper.BatchConfig{
		FlushTimeout: u.BatchTimeout,
		Sizer:        exporterhelper.RequestSizerTypeItems,
		MinSize:      int64(u.BatchSize),
		MaxSize:      int64(u.BatchSize),
	})
	return configoptional.Some(q)
}

func (u *Upstream) retry(r configretry.BackOffConfig) configretry.BackOffConfig {
	r.Enabled = true
	r.InitialInterval, r.MaxInterval, r.MaxElapsedTime = u.RetryInitial, u.RetryMax, u.RetryMaxElapsed
	return r
}

func (u *Upstream) headers() configopaque.MapList {
	var list configopaque.MapList
	for name, v := range u.Headers {
		list.Set(name, configopaque.String(v))
	}
	return list
}

func (u *Upstream) tls() configtls.ClientConfig {
	c := configtls.NewDefaultClientConfig()
	c.Insecure = u.Insecure
	c.CAFile, c.CertFile, c.KeyFile, c.ServerName = u.CAFile, u.CertFile, u.KeyFile, u.ServerName
	return c
}

func compression(name string) configcompression.Type {
	if name == "none" {
		return configcompression.Type("")
	}
	return configcompression.Type(name)
}

func (f *Forwarder) components() []component.Component {
	var out []component.Component
	if f.traces != nil {
		out = append(out, f.traces)
	}
	if f.metrics != nil {
		out = append(out, f.metrics)
	}
	if f.logs != nil {
		out = append(out, f.logs)
	}
	return out
}

// Start begins to send, first what the last process left in the queue.
func (f *Forwarder) Start(ctx context.Context) error {
	for _, c := range f.components() {
		if err := c.Start(ctx, f.host); err != nil {
			return fmt.Errorf("forward to %s: %w", f.upstream.Name, err)
		}
	}
	return nil
}

// Shutdown stops sending; what is in the queue stays for the next start.
// Stopping again does nothing.
func (f *Forwarder) Shutdown(ctx context.Context) error {
	f.stopOnce.Do(func() {
		var errs []error
		for _, c := range f.components() {
			errs = append(errs, c.Shutdown(ctx))
		}
		f.stopErr = errors.Join(errs...)
	})
	return f.stopErr
}

// ConsumeTraces queues a copy of td; nil when traces are not forwarded.
func (f *Forwarder) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if f.traces == nil {
		return nil
	}
	out := ptrace.NewTraces()
	td.CopyTo(out)
	for _, r := range out.ResourceSpans().All() {
		f.upsert(r.Resource())
	}
	return f.traces.ConsumeTraces(ctx, out)
}

// ConsumeMetrics queues a copy of md; nil when metrics are not forwarded.
func (f *Forwarder) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if f.metrics == nil {
		return nil
	}
	out := pmetric.NewMetrics()
	md.CopyTo(out)
	for _, r := range out.ResourceMetrics().All() {
		f.upsert(r.Resource())
	}
	return f.metrics.ConsumeMetrics(ctx, out)
}

// ConsumeLogs queues a copy of ld; nil when logs are not forwarded.
func (f *Forwarder) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if f.logs == nil {
		return nil
	}
	out := plog.NewLogs()
	ld.CopyTo(out)
	for _, r := range out.ResourceLogs().All() {
		f.upsert(r.Resource())
	}
	return f.logs.ConsumeLogs(ctx, out)
}

func (f *Forwarder) upsert(r pcommon.Resource) {
	for k, v := range f.upstream.Resource {
		r.Attributes().PutStr(k, v)
	}
}
