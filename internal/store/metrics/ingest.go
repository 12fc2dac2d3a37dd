package metrics

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage"
	prw "github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"github.com/prometheus/prometheus/util/annotations"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// naming is how OTLP names become Prometheus': dots to underscores, the unit
// and _total at the end. With an empty unit the names are those of the
// dashboards: http.server.request.duration is http_server_request_duration.
var naming = otlptranslator.UnderscoreEscapingWithSuffixes

func promotion(more []string) *prw.PromoteResourceAttributes {
	return prw.NewPromoteResourceAttributes(config.OTLPConfig{
		PromoteResourceAttributes: append(append([]string(nil), Promoted...), more...),
	})
}

func (s *Store) settings() prw.Settings {
	return prw.Settings{
		AddMetricSuffixes:         naming.ShouldAddSuffixes(),
		AllowUTF8:                 !naming.ShouldEscape(),
		PromoteResourceAttributes: s.promote,
		LookbackDelta:             Lookback,
	}
}

// ConsumeMetrics keeps one OTLP request. When it returns nil, every data point
// is in the log on disk; a [*PartialError] means that all but the counted ones
// are. Any other error means that nothing is, and that the request may be sent
// again. It does not change md.
func (s *Store) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	// The sender's patience ends before or after the commit, not within it.
	ctx = context.WithoutCancel(ctx)
	rest, delta, any := split(md)
	if any {
		s.deltas.mu.Lock()
		defer s.deltas.mu.Unlock()
	}
	conv := s.converters.Get().(*prw.PrometheusConverter)
	defer func() {
		conv.Reset(nil)
		s.converters.Put(conv)
	}()
	b := s.begin(ctx)
	d := s.deltas.begin(ctx, b)
	_, err := s.convert(ctx, conv, b, rest)
	if err == nil && any {
		_, err = s.convert(ctx, conv, d, delta)
	}
	if err != nil {
		d.undo()
		if err := b.Rollback(); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
		b = s.begin(ctx)
		d = s.deltas.begin(ctx, b)
		s.convertSingly(ctx, conv, b, b, rest)
		if any {
			s.convertSingly(ctx, conv, b, d, delta)
		}
	}
	err = b.finish()
	var partial *PartialError
	if err != nil && !errors.As(err, &partial) {
		d.undo()
	}
	return err
}

func (s *Store) convert(ctx context.Context, conv *prw.PrometheusConverter, app storage.AppenderV2, md pmetric.Metrics) (annotations.Annotations, error) {
	conv.Reset(app)
	return conv.FromMetrics(ctx, md, s.settings())
}

// convertSingly converts metric by metric, so that the one that the converter
// cannot take is known and the others are kept.
func (s *Store) convertSingly(ctx context.Context, conv *prw.PrometheusConverter, b *batch, app storage.AppenderV2, md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				one := pmetric.NewMetrics()
				r := one.ResourceMetrics().AppendEmpty()
				rm.Resource().CopyTo(r.Resource())
				sc := r.ScopeMetrics().AppendEmpty()
				sm.Scope().CopyTo(sc.Scope())
				m.CopyTo(sc.Metrics().AppendEmpty())
				if _, err := s.convert(ctx, conv, app, one); err != nil {
					b.refuseMetric(m.Name(), one.DataPointCount(), err)
				}
			}
		}
	}
}

// refuseMetric counts the data points of a metric that could not be converted.
// Points before the one at fault may have been kept; they count all the same.
func (b *batch) refuseMetric(name string, points int, err error) {
	if b.refused == nil {
		b.refused = map[point]string{}
	}
	for i := range points {
		b.refused[point{family: fmt.Sprintf("%q", name), time: int64(-1 - i)}] = firstLine(err)
	}
}

func firstLine(err error) string {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		if all := joined.Unwrap(); len(all) > 0 {
			return all[0].Error()
		}
	}
	return err.Error()
}
