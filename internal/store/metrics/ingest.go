package metrics

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	prw "github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
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
	b := s.begin(ctx)
	conv := s.converters.Get().(*prw.PrometheusConverter)
	defer func() {
		conv.Reset(nil)
		s.converters.Put(conv)
	}()
	conv.Reset(b)
	if _, err := conv.FromMetrics(ctx, md, s.settings()); err != nil {
		if err := b.Rollback(); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
		b = s.begin(ctx)
		s.convertSingly(ctx, conv, b, md)
	}
	return b.finish()
}

// convertSingly converts metric by metric, so that the one that the converter
// cannot take is known and the others are kept.
func (s *Store) convertSingly(ctx context.Context, conv *prw.PrometheusConverter, b *batch, md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				one := pmetric.NewMetrics()
				r := one.ResourceMetrics().AppendEmpty()
				rm.Resource().CopyTo(r.Resource())
				sc := r.ScopeMetrics().AppendEmpty()
				sm.Scope().CopyTo(sc.Scope())
				m.CopyTo(sc.Metrics().AppendEmpty())
				conv.Reset(b)
				if _, err := conv.FromMetrics(ctx, one, s.settings()); err != nil {
					b.refuseMetric(m.Name(), one.DataPointCount(), err)
				}
			}
		}
	}
}

// refuseMetric counts the data points of a metric that could not be converted.
// Points before the one at fault may have been kept; they count all the same.
func (b *batch) refuseMetric(name string, points int, err error) {
	if name == "" {
		err = errNoName
	}
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
