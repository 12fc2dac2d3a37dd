package operations

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"fairlead.dev/fairlead/internal/release"
)

// Sink takes derived metrics, cumulative, as a metrics store or an upstream
// does. Points may come twice, equal to the last one.
type Sink func(context.Context, pmetric.Metrics) error

// HeartbeatInterval is how often [Store.Run] repeats the last value of every
// series. PromQL forgets a series after five minutes without a sample; a fifth
// of that survives four that are lost.
const HeartbeatInterval = time.Minute

// Run derives metrics into sink as operations are recorded, and repeats all of
// them every [HeartbeatInterval], until ctx ends. report is told of errors;
// what could not be sent is sent with the next round.
func (s *Store) Run(ctx context.Context, sink Sink, report func(error)) {
	tick := time.NewTicker(HeartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.notify:
		case <-tick.C:
			if err := s.markAll(ctx); err != nil {
				report(fmt.Errorf("list releases: %w", err))
			}
		}
		if err := s.Derive(ctx, sink); err != nil {
			report(fmt.Errorf("derive metrics: %w", err))
		}
	}
}

// markAll makes the next Derive repeat every series.
func (s *Store) markAll(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "SELECT DISTINCT cluster, namespace, release FROM counters")
	if err != nil {
		return err
	}
	defer rows.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for rows.Next() {
		var k releaseKey
		if err := rows.Scan(&k.cluster, &k.namespace, &k.release); err != nil {
			return err
		}
		s.changed[k] = true
	}
	if len(s.changed) > 0 {
		select {
		case s.notify <- struct{}{}:
		default:
		}
	}
	return rows.Err()
}

// Derive sends the metrics of the releases that changed since the last call
// that succeeded. Each series starts with a 0 that is dated [zeroLead] before
// its first record. The times of points are those of the records, so that
// sending them again after a crash changes nothing.
func (s *Store) Derive(ctx context.Context, sink Sink) error {
	for {
		changed, gone := s.takeChanged()
		if len(changed) == 0 {
			return nil
		}
		if err := s.derive(ctx, changed, gone, sink); err != nil {
			s.mu.Lock()
			for k := range changed {
				s.changed[k] = true
			}
			for k := range gone {
				s.gone[k] = true
			}
			s.mu.Unlock()
			return err
		}
	}
}

// deriveAtOnce is how many releases are sent at once: the points of one weigh
// about 6 KB until they are, and a cluster may have thousands.
const deriveAtOnce = 250

func (s *Store) takeChanged() (changed, gone map[releaseKey]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, gone = map[releaseKey]bool{}, map[releaseKey]bool{}
	for k := range s.changed {
		if len(changed) == deriveAtOnce {
			break
		}
		changed[k] = true
		delete(s.changed, k)
		if s.gone[k] {
			gone[k] = true
			delete(s.gone, k)
		}
	}
	return changed, gone
}

func (s *Store) derive(ctx context.Context, changed, gone map[releaseKey]bool, sink Sink) error {
	now := s.now()
	b := newBuilder(now)
	started := true
	for k := range changed {
		rows, err := s.counters(ctx, k)
		if err != nil {
			return err
		}
		for _, c := range rows {
			b.counter(k, c)
			started = started && c.started
		}
		was, had := s.gauges[k]
		g, installed, err := s.gaugesOf(ctx, k)
		if err != nil {
			return err
		}
		switch {
		case installed:
			b.gauges(k, g, was)
			s.gauges[k] = g
		case had || gone[k]:
			b.noGauges(k)
			delete(s.gauges, k)
		}
	}
	if err := sink(ctx, b.md); err != nil || started {
		return err
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		for k := range changed {
			if _, err := tx.ExecContext(ctx, "UPDATE counters SET started = 1 WHERE cluster = ? AND namespace = ? AND release = ? AND started = 0",
				k.cluster, k.namespace, k.release); err != nil {
				return err
			}
		}
		return nil
	})
}

// counter is one row of the counters table.
type counter struct {
	name, success string
	count         int64
	sum           float64
	buckets       []int64
	since, last   time.Time
	started       bool
}

func (s *Store) counters(ctx context.Context, k releaseKey) ([]counter, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT name, success, count, sum, buckets, since_ns, last_ns, started FROM counters
	  WHERE cluster = ? AND namespace = ? AND release = ?`, k.cluster, k.namespace, k.release)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []counter
	for rows.Next() {
		var c counter
		var buckets string
		var since, last int64
		if err := rows.Scan(&c.name, &c.success, &c.count, &c.sum, &buckets, &since, &last, &c.started); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(buckets), &c.buckets); err != nil {
			return nil, fmt.Errorf("counter %s of release %s/%s: %w", c.name, k.namespace, k.release, err)
		}
		c.since, c.last = time.Unix(0, since), time.Unix(0, last)
		out = append(out, c)
	}
	return out, rows.Err()
}

// gauges are the values of a release's gauges; zero = unknown, not sent.
type gauges struct {
	revision            int
	lastDeploy          time.Time
	lastDuration        time.Duration
	consecutiveFailures int
	pendingSince        time.Time
}

// gaugesOf reads the gauges of a release from its newest operations. installed
// is false for a release that was uninstalled or never installed.
func (s *Store) gaugesOf(ctx context.Context, k releaseKey) (g gauges, installed bool, err error) {
	r, err := s.Release(ctx, k.cluster, k.namespace, k.release)
	if errors.Is(err, ErrNotFound) {
		return g, false, nil
	}
	if err != nil {
		return g, false, err
	}
	return gauges{
		revision: r.Revision, lastDeploy: r.LastDeploy, lastDuration: r.LastDuration,
		consecutiveFailures: r.ConsecutiveFailures, pendingSince: r.PendingSince,
	}, r.Status != StatusUninstalled, nil
}

// builder collects points into one OTLP request, a metric an instrument.
type builder struct {
	md      pmetric.Metrics
	now     pcommon.Timestamp
	scope   pmetric.ScopeMetrics
	metrics map[string]pmetric.Metric
}

func newBuilder(now time.Time) *builder {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(release.Scope)
	return &builder{md: md, now: pcommon.NewTimestampFromTime(now), scope: sm, metrics: map[string]pmetric.Metric{}}
}

func (b *builder) metric(name, unit string, init func(pmetric.Metric)) pmetric.Metric {
	m, ok := b.metrics[name]
	if !ok {
		m = b.scope.Metrics().AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		init(m)
		b.metrics[name] = m
	}
	return m
}

func cumulativeSum(m pmetric.Metric) {
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
}

func cumulativeHistogram(m pmetric.Metric) {
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
}

func emptyGauge(m pmetric.Metric) { m.SetEmptyGauge() }

// counter adds the points of one counter: its 0 while the metrics store may not
// have it, the value when it last changed, and the value now.
func (b *builder) counter(k releaseKey, c counter) {
	times := []time.Time{c.last, b.now.AsTime()}
	b.sumPoint(k, c, c.since, 0, !c.started)
	b.histogramPoint(k, c, c.since, 0, 0, make([]int64, len(c.buckets)), !c.started)
	for _, at := range times {
		if !at.After(c.since) {
			continue // the 0 itself
		}
		b.sumPoint(k, c, at, c.count, true)
		b.histogramPoint(k, c, at, c.count, c.sum, c.buckets, true)
	}
}

func (b *builder) sumPoint(k releaseKey, c counter, at time.Time, value int64, wanted bool) {
	if !wanted {
		return
	}
	p := b.metric(c.name, "", cumulativeSum).Sum().DataPoints().AppendEmpty()
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(c.since))
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetIntValue(value)
	labels(p.Attributes(), k, c.success)
}

func (b *builder) histogramPoint(k releaseKey, c counter, at time.Time, count int64, sum float64, buckets []int64, wanted bool) {
	if !wanted || c.name != release.MetricDeployCount {
		return
	}
	p := b.metric(release.MetricDeployDuration, "s", cumulativeHistogram).Histogram().DataPoints().AppendEmpty()
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(c.since))
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetCount(uint64(count))
	p.SetSum(sum)
	p.ExplicitBounds().FromRaw(release.DurationBounds)
	for _, n := range buckets {
		p.BucketCounts().Append(uint64(n))
	}
	labels(p.Attributes(), k, c.success)
}

// gauges adds the gauges of an installed release; those that was had and g has
// not end with a mark.
func (b *builder) gauges(k releaseKey, g, was gauges) {
	b.gauge(k, release.MetricRevision, "", float64(g.revision), g.revision > 0, was.revision > 0)
	b.gauge(k, release.MetricLastDeployTime, "s", seconds(g.lastDeploy), !g.lastDeploy.IsZero(), !was.lastDeploy.IsZero())
	b.gauge(k, release.MetricLastDuration, "s", g.lastDuration.Seconds(), g.lastDuration > 0, was.lastDuration > 0)
	b.gauge(k, release.MetricConsecutiveFailures, "", float64(g.consecutiveFailures), true, true)
	b.gauge(k, release.MetricPendingSince, "s", seconds(g.pendingSince), !g.pendingSince.IsZero(), !was.pendingSince.IsZero())
}

func (b *builder) noGauges(k releaseKey) {
	for _, g := range []struct{ name, unit string }{
		{release.MetricRevision, ""}, {release.MetricLastDeployTime, "s"}, {release.MetricLastDuration, "s"},
		{release.MetricConsecutiveFailures, ""}, {release.MetricPendingSince, "s"},
	} {
		b.gauge(k, g.name, g.unit, 0, false, true)
	}
}

func (b *builder) gauge(k releaseKey, name, unit string, value float64, known, wasKnown bool) {
	if !known && !wasKnown {
		return
	}
	p := b.metric(name, unit, emptyGauge).Gauge().DataPoints().AppendEmpty()
	p.SetTimestamp(b.now)
	if known {
		p.SetDoubleValue(value)
	} else {
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
	labels(p.Attributes(), k, "")
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func labels(m pcommon.Map, k releaseKey, success string) {
	m.PutStr(release.AttrRelease, k.release)
	m.PutStr(release.AttrNamespace, k.namespace)
	if k.cluster != "" {
		m.PutStr(release.AttrCluster, k.cluster)
	}
	if success != "" {
		m.PutStr(release.AttrSuccess, success)
	}
}
