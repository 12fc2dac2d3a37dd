package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/otlp"
)

// openForwarding adds the upstreams, if there are any.
func (s *Server) openForwarding(ctx context.Context) error {
	if len(s.cfg.Forward) == 0 {
		return nil
	}
	queue, err := otlp.OpenQueue(filepath.Join(s.cfg.Store.Dir, "forward.db"))
	if err != nil {
		return err
	}
	s.add(Part{Name: "forward queue", Close: queue.Close})
	for i, f := range s.cfg.Forward {
		if err := s.openUpstream(ctx, fmt.Sprintf("forward[%d]", i), f.WithDefaults(), queue); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openUpstream(ctx context.Context, field string, f config.Forward, queue *otlp.Queue) error {
	u := otlp.Upstream{
		Name: f.Name, Endpoint: f.Endpoint, HTTP: f.Protocol == "http", Signals: f.Signals,
		Headers: map[string]string{}, Compression: f.Compression, Resource: f.Resource,
		BatchSize: f.Batch.Size, BatchTimeout: f.Batch.Timeout.Std(), QueueSize: f.Queue.Size, Timeout: f.Timeout.Std(),
		RetryInitial: f.Retry.Initial.Std(), RetryMax: f.Retry.Max.Std(), RetryMaxElapsed: f.Retry.MaxElapsed.Std(),
		Insecure: strings.HasPrefix(f.Endpoint, "http://"),
	}
	for name, v := range f.Headers {
		u.Headers[name] = v
	}
	for name, variable := range f.HeadersFrom {
		v, ok := os.LookupEnv(variable)
		if !ok {
			return &config.FieldError{Field: field + ".headersFrom." + name, Value: variable, Problem: "the environment variable is not set"}
		}
		u.Headers[name] = v
	}
	if t := f.TLS; t != nil {
		u.Insecure = t.Insecure || u.Insecure
		u.CAFile, u.CertFile, u.KeyFile, u.ServerName = t.CAFile, t.CertFile, t.KeyFile, t.ServerName
	}
	fw, err := otlp.NewForwarder(u, queue, otlp.TelemetryTo(s.logger))
	if err != nil {
		return err
	}
	if err := fw.Start(ctx); err != nil {
		return err
	}
	// A full queue must not stop the server from keeping its own copy: the
	// newest is dropped and counted, and the log says so.
	drop := func(signal string, items int, err error) error {
		if err != nil {
			s.stats.dropped.WithLabelValues(f.Name, signal).Add(float64(items))
			s.dropLog.warn(s.logger, "not forwarded: the queue takes no more", "upstream", f.Name, "signal", signal, "items", items, "error", err)
		}
		return nil
	}
	s.add(Part{
		Name: "forward to " + f.Name,
		Traces: func(ctx context.Context, td ptrace.Traces) error {
			return drop("traces", td.SpanCount(), fw.ConsumeTraces(ctx, td))
		},
		Metrics: func(ctx context.Context, md pmetric.Metrics) error {
			return drop("metrics", md.DataPointCount(), fw.ConsumeMetrics(ctx, md))
		},
		Logs: func(ctx context.Context, ld plog.Logs) error {
			return drop("logs", ld.LogRecordCount(), fw.ConsumeLogs(ctx, ld))
		},
		Close: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), shutdownForward)
			defer cancel()
			if err := fw.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil // what was not sent is in the queue
		},
	})
	return nil
}
