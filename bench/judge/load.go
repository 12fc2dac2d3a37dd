package main

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"fairlead.dev/fairlead/internal/store/metrics"
)

const scrape = 15 * time.Second

// load is what the services send.
type load struct {
	canaries, routes, pods int
	classic                bool
}

// perScrape is how many requests a route of a stable pod serves between two
// exports; one in perScrape/2 fails. The canary's pod serves a tenth.
const perScrape = 200

func service(i int) string { return fmt.Sprintf("service-%04d", i) }

// send exports one scrape of every service; counters have grown since the Unix
// epoch's newest hour, so that every time has its value.
func (l load) send(ctx context.Context, store *metrics.Store, at time.Time, canaries bool) error {
	began := at.Truncate(24 * time.Hour)
	n := uint64(at.Sub(began) / scrape)
	md := pmetric.NewMetrics()
	for i := range l.canaries {
		for p := range l.pods {
			version, track, each := "1", "stable", uint64(perScrape)
			if p == 0 {
				if !canaries {
					continue
				}
				version, track, each = "2", "canary", perScrape/10
			}
			rm := md.ResourceMetrics().AppendEmpty()
			a := rm.Resource().Attributes()
			a.PutStr("service.name", service(i))
			a.PutStr("service.version", version)
			a.PutStr("deployment.track", track)
			a.PutStr("k8s.pod.name", fmt.Sprintf("%s-%d", service(i), p))
			m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			m.SetName("http.server.request.duration")
			m.SetUnit("s")
			for r := range l.routes {
				l.point(m, r, "200", n*each*99/100, began, at)
				l.point(m, r, "500", n*each/100, began, at)
			}
		}
		if md.ResourceMetrics().Len() >= 200 {
			if err := store.ConsumeMetrics(ctx, md); err != nil {
				return err
			}
			md = pmetric.NewMetrics()
		}
	}
	return store.ConsumeMetrics(ctx, md)
}

// point adds a histogram of n requests.
func (l load) point(m pmetric.Metric, route int, status string, n uint64, began, at time.Time) {
	fill := func(a pcommon.Map) {
		a.PutStr("http.route", fmt.Sprintf("/r%d", route))
		a.PutStr("http.request.method", "GET")
		a.PutStr("http.response.status_code", status)
	}
	// A third below 50 ms, most below 100 ms, one in fifty above a quarter of a second.
	shares := []uint64{n / 3, n - n/3 - n/50, n / 50}
	if l.classic {
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		d := m.Histogram().DataPoints().AppendEmpty()
		d.ExplicitBounds().FromRaw([]float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10})
		d.BucketCounts().FromRaw([]uint64{0, 0, 0, shares[0], shares[1], 0, 0, shares[2], 0, 0, 0, 0, 0, 0, 0})
		d.SetCount(n)
		d.SetSum(float64(n) * 0.07)
		d.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
		d.SetTimestamp(pcommon.NewTimestampFromTime(at))
		fill(d.Attributes())
		return
	}
	if m.Type() == pmetric.MetricTypeEmpty {
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	d := m.ExponentialHistogram().DataPoints().AppendEmpty()
	d.SetScale(3)
	d.Positive().SetOffset(-40) // from 2^-5 s on, eight buckets a doubling
	d.Positive().BucketCounts().FromRaw([]uint64{0, 0, shares[0], 0, 0, 0, 0, 0, 0, shares[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, shares[2], 0, 0})
	d.SetCount(n)
	d.SetSum(float64(n) * 0.07)
	d.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
	d.SetTimestamp(pcommon.NewTimestampFromTime(at))
	fill(d.Attributes())
}
