package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"fairlead.dev/fairlead/internal/otlp"
)

// retryAfter is what a sender is asked to wait when nothing can be taken: the
// space guard looks once a second, and an exporter retries for minutes.
const retryAfter = 5 * time.Second

// ingest hands requests to the parts, one after the other.
type ingest struct {
	parts []Part
	// refuse returns why nothing is taken now, or nil.
	refuse func() error
	stats  *stats
	own    *ownTraces
	events *knownEvents
}

func (in *ingest) consumers() otlp.Consumers {
	return otlp.Consumers{Traces: in.traces, Metrics: in.metrics, Logs: in.logs}
}

func (in *ingest) traces(ctx context.Context, td ptrace.Traces) error {
	return in.each(ctx, "traces", td.SpanCount(), func(ctx context.Context, p Part) error {
		if p.Traces == nil {
			return nil
		}
		return p.Traces(ctx, td)
	})
}

func (in *ingest) logs(ctx context.Context, ld plog.Logs) error {
	for _, p := range in.parts {
		if p.JoinLogs == nil {
			continue
		}
		if err := p.JoinLogs(ctx, ld); err != nil {
			return unavailable(fmt.Errorf("%s: %w", p.Name, err))
		}
	}
	sent := ld.LogRecordCount()
	forget := in.events.keepNew(ld)
	if sent > 0 && ld.LogRecordCount() == 0 {
		return nil // all of it is kept already
	}
	err := in.each(ctx, "logs", ld.LogRecordCount(), func(ctx context.Context, p Part) error {
		if p.Logs == nil {
			return nil
		}
		return p.Logs(ctx, ld)
	})
	if err != nil {
		forget()
	}
	return err
}

func (in *ingest) metrics(ctx context.Context, md pmetric.Metrics) error {
	items := md.DataPointCount()
	for _, p := range in.parts {
		if p.FilterMetrics == nil {
			continue
		}
		if err := p.FilterMetrics(ctx, md); err != nil {
			return unavailable(fmt.Errorf("%s: %w", p.Name, err))
		}
	}
	return in.each(ctx, "metrics", items, func(ctx context.Context, p Part) error {
		if p.Metrics == nil {
			return nil
		}
		return p.Metrics(ctx, md)
	})
}

// derived takes metrics that a part made itself, past the filters.
func (in *ingest) derived(ctx context.Context, md pmetric.Metrics) error {
	if err := in.refuse(); err != nil {
		return err
	}
	for _, p := range in.parts {
		if p.Metrics == nil {
			continue
		}
		err := p.Metrics(ctx, md)
		var partial interface{ Rejected() (int64, string) }
		if errors.As(err, &partial) {
			n, _ := partial.Rejected()
			in.stats.rejected.WithLabelValues("metrics").Add(float64(n))
			continue // sending it again changes nothing
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

func (in *ingest) each(ctx context.Context, signal string, items int, give func(context.Context, Part) error) (err error) {
	ctx, done := in.own.batch(ctx, signal, items)
	defer func() { done(err) }()
	if err := in.refuse(); err != nil {
		in.stats.refused.WithLabelValues(signal).Add(float64(items))
		return unavailable(err)
	}
	var rejected int64
	for _, p := range in.parts {
		err := in.own.step(ctx, p.Name, func(ctx context.Context) error { return give(ctx, p) })
		if err == nil {
			continue
		}
		var partial interface{ Rejected() (int64, string) }
		if errors.As(err, &partial) {
			n, why := partial.Rejected()
			// The same item may be refused by several parts; the largest count
			// is what the sender has lost at least.
			if n > rejected || n == 0 {
				otlp.Reject(ctx, max(n-rejected, 0), why)
				rejected = max(n, rejected)
			}
			continue
		}
		in.stats.failed.WithLabelValues(signal).Add(float64(items))
		return unavailable(fmt.Errorf("%s: %w", p.Name, err))
	}
	in.stats.rejected.WithLabelValues(signal).Add(float64(rejected))
	in.stats.accepted.WithLabelValues(signal).Add(float64(int64(items) - rejected))
	return nil
}

// unavailable is the answer after which a sender tries again, a little later.
func unavailable(err error) error {
	s, detailErr := status.New(codes.Unavailable, err.Error()).WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	if detailErr != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	return s.Err()
}
