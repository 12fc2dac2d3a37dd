package operations

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"fairlead.dev/fairlead/internal/release"
)

// DropCounted removes from md the points of scope [release.Scope] that belong
// to releases which the store has records of: the metrics derived from the
// records stand for them. Points of releases it has never heard of stay. It
// returns how many points it removed.
func (s *Store) DropCounted(ctx context.Context, md pmetric.Metrics) (int, error) {
	d := dropper{store: s, ctx: ctx, known: map[releaseKey]bool{}}
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			if sm.Scope().Name() != release.Scope {
				return false
			}
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return d.metric(m) })
			return sm.Metrics().Len() == 0
		})
		return rm.ScopeMetrics().Len() == 0
	})
	return d.dropped, d.err
}

type dropper struct {
	store   *Store
	ctx     context.Context //nolint:containedctx // lives for one call
	known   map[releaseKey]bool
	dropped int
	err     error
}

// metric removes the points of known releases and reports whether none is left.
func (d *dropper) metric(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return d.point(p.Attributes()) })
		return m.Sum().DataPoints().Len() == 0
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return d.point(p.Attributes()) })
		return m.Gauge().DataPoints().Len() == 0
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(p pmetric.HistogramDataPoint) bool { return d.point(p.Attributes()) })
		return m.Histogram().DataPoints().Len() == 0
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool { return d.point(p.Attributes()) })
		return m.ExponentialHistogram().DataPoints().Len() == 0
	default:
		return false
	}
}

func (d *dropper) point(attrs pcommon.Map) bool {
	k := releaseKey{namespace: text(attrs, release.AttrNamespace), release: text(attrs, release.AttrRelease)}
	if k.release == "" || d.err != nil {
		return false
	}
	known, asked := d.known[k]
	if !asked {
		known, d.err = d.store.Knows(d.ctx, k.namespace, k.release)
		d.known[k] = known
	}
	if known {
		d.dropped++
	}
	return known
}
