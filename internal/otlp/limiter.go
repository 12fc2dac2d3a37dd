package otlp

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
)

// limiter is the Collector's memory limiter in front of the consumers.
type limiter struct {
	components []component.Component
	consumers  Consumers
}

// newLimiter refuses requests above limitMiB of heap. A fifth of it is taken
// as the largest growth between two checks, the Collector's own advice.
func newLimiter(limitMiB uint32, tel Telemetry, next Consumers) (*limiter, error) {
	factory := memorylimiterprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*memorylimiterprocessor.Config)
	cfg.CheckInterval = time.Second
	cfg.MemoryLimitMiB = limitMiB
	cfg.MemorySpikeLimitMiB = limitMiB / 5
	set := processor.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: tel.settings()}
	l := &limiter{}
	ctx := context.Background()
	if next.Traces != nil {
		sink, err := consumer.NewTraces(next.Traces)
		if err != nil {
			return nil, err
		}
		p, err := factory.CreateTraces(ctx, set, cfg, sink)
		if err != nil {
			return nil, err
		}
		l.components, l.consumers.Traces = append(l.components, p), p.ConsumeTraces
	}
	if next.Metrics != nil {
		sink, err := consumer.NewMetrics(next.Metrics)
		if err != nil {
			return nil, err
		}
		p, err := factory.CreateMetrics(ctx, set, cfg, sink)
		if err != nil {
			return nil, err
		}
		l.components, l.consumers.Metrics = append(l.components, p), p.ConsumeMetrics
	}
	if next.Logs != nil {
		sink, err := consumer.NewLogs(next.Logs)
		if err != nil {
			return nil, err
		}
		p, err := factory.CreateLogs(ctx, set, cfg, sink)
		if err != nil {
			return nil, err
		}
		l.components, l.consumers.Logs = append(l.components, p), p.ConsumeLogs
	}
	return l, nil
}

func (l *limiter) start(ctx context.Context, h component.Host) error {
	for _, c := range l.components {
		if err := c.Start(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func (l *limiter) shutdown(ctx context.Context) error {
	var errs []error
	for _, c := range l.components {
		errs = append(errs, c.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
