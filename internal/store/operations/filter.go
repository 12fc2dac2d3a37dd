package operations

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"fairlead.dev/fairlead/internal/release"
)

// DropCounted removes from md the points of scope [release.Scope] that belong
// to operations which the store has records of: the metrics derived from the
// records stand for them. Which operations a release's points in a request
// belong to, their exemplars say; they are removed when the store knows all of
// those. Where there are no exemplars, it is enough that it knows the release.
// It returns how many points it removed.
func (s *Store) DropCounted(ctx context.Context, md pmetric.Metrics) (int, error) {
	spans := map[releaseKey]map[string]bool{}
	each(md, func(attrs pcommon.Map, exemplars pmetric.ExemplarSlice) bool {
		k := releaseKey{namespace: text(attrs, release.AttrNamespace), release: text(attrs, release.AttrRelease)}
		if k.release == "" {
			return false
		}
		if spans[k] == nil {
			spans[k] = map[string]bool{}
		}
		for _, e := range exemplars.All() {
			if !e.TraceID().IsEmpty() {
				spans[k][spanKey(e.TraceID().String(), e.SpanID().String())] = true
			}
		}
		return false
	})
	drop := map[releaseKey]bool{}
	for k, of := range spans {
		var err error
		if drop[k], err = s.recorded(ctx, k, of); err != nil {
			return 0, err
		}
	}
	dropped := 0
	each(md, func(attrs pcommon.Map, _ pmetric.ExemplarSlice) bool {
		gone := drop[releaseKey{namespace: text(attrs, release.AttrNamespace), release: text(attrs, release.AttrRelease)}]
		if gone {
			dropped++
		}
		return gone
	})
	return dropped, nil
}

// recorded reports whether there are records of all operations with these root
// spans, or, without spans, of the release.
func (s *Store) recorded(ctx context.Context, k releaseKey, spans map[string]bool) (bool, error) {
	if len(spans) == 0 {
		return s.Knows(ctx, k.namespace, k.release)
	}
	for span := range spans {
		known, err := s.exists(ctx, "SELECT 1 FROM aliases WHERE span = ?", span)
		if err != nil || !known {
			return false, err
		}
	}
	return true, nil
}

// each calls remove for every point of scope [release.Scope] and removes those
// for which it is true, with what is empty then.
func each(md pmetric.Metrics, remove func(pcommon.Map, pmetric.ExemplarSlice) bool) {
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		ours := false
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			if sm.Scope().Name() != release.Scope {
				return false
			}
			ours = true
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return removePoints(m, remove) })
			return sm.Metrics().Len() == 0
		})
		return ours && rm.ScopeMetrics().Len() == 0
	})
}

// removePoints reports whether none is left.
func removePoints(m pmetric.Metric, remove func(pcommon.Map, pmetric.ExemplarSlice) bool) bool {
	number := func(p pmetric.NumberDataPoint) bool { return remove(p.Attributes(), p.Exemplars()) }
	switch m.Type() {
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(number)
		return m.Sum().DataPoints().Len() == 0
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(number)
		return m.Gauge().DataPoints().Len() == 0
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(p pmetric.HistogramDataPoint) bool { return remove(p.Attributes(), p.Exemplars()) })
		return m.Histogram().DataPoints().Len() == 0
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool { return remove(p.Attributes(), p.Exemplars()) })
		return m.ExponentialHistogram().DataPoints().Len() == 0
	default:
		return false
	}
}
