package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// deltas adds up what arrives with delta temporality: one running total per
// series, kept for as long as the store keeps samples. The samples in the
// database are the truth; the checkpoint beside it only remembers totals whose
// samples retention has removed.
//
// Three rules make rates right that a plain sum would not:
//
//   - A series starts with a 0 at the start of its first interval, so that the
//     first increment counts.
//   - After a pause (the interval starts after the last sample) the total is
//     repeated at the start of the interval, so that a window which holds only
//     the new sample sees the increment.
//   - An increment that comes late, or from a second process that shares the
//     series, is added at the newest instant instead of being dropped. One that
//     was there already (a sender that did not get its answer tries again) is
//     not added twice.
type deltas struct {
	store *Store
	// mu is held from the first change of a total to the commit of the sample
	// that shows it, so that both always agree.
	mu      sync.Mutex
	streams map[uint64]*stream // by hash of the labels, chained
	count   int
	seeds   seeds
	dirty   bool
}

type stream struct {
	labels labels.Labels
	ref    storage.SeriesRef
	next   *stream // of the same hash
	total
}

// total is what is rolled back when a commit fails.
type total struct {
	value  float64
	hist   *histogram.FloatHistogram // replaced, never changed in place
	last   int64                     // time of the newest sample in ms, 0 = none
	recent [recentIncrements]increment
	pos    uint8
}

// recentIncrements is how many increments back a repetition is recognised: a
// sender retries its oldest request before it sends the next, and few have
// more than a handful under way at once.
const recentIncrements = 4

type increment struct {
	start, end int64
	value      uint64 // bits of the value, of the count for histograms
}

func newDeltas(s *Store) *deltas {
	return &deltas{store: s, streams: map[uint64]*stream{}}
}

// split returns md without its delta metrics, and those alone, marked as
// cumulative for the converter. Without any it returns md itself and false.
func split(md pmetric.Metrics) (rest, delta pmetric.Metrics, any bool) {
	if !hasDelta(md) {
		return md, delta, false
	}
	rest, delta = pmetric.NewMetrics(), pmetric.NewMetrics()
	md.CopyTo(rest)
	md.CopyTo(delta)
	keep := func(md pmetric.Metrics, want bool) {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return isDelta(m) != want })
			}
		}
	}
	keep(rest, false)
	keep(delta, true)
	for _, rm := range delta.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeSum:
					m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				case pmetric.MetricTypeHistogram:
					m.Histogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				default:
					m.ExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				}
			}
		}
	}
	return rest, delta, true
}

func hasDelta(md pmetric.Metrics) bool {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if isDelta(m) {
					return true
				}
			}
		}
	}
	return false
}

func isDelta(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		return m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta
	case pmetric.MetricTypeHistogram:
		return m.Histogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
	default:
		return false
	}
}

// deltaBatch adds increments to their totals and appends the totals to b. The
// caller holds deltas.mu until commit or undo.
type deltaBatch struct {
	*batch
	deltas *deltas
	ctx    context.Context //nolint:containedctx // lives for one request
	before map[*stream]total
}

func (d *deltas) begin(ctx context.Context, b *batch) *deltaBatch {
	return &deltaBatch{batch: b, deltas: d, ctx: ctx, before: map[*stream]total{}}
}

// undo takes every increment back, for when the samples were not committed.
func (d *deltaBatch) undo() {
	for s, t := range d.before {
		s.total = t
	}
}

var (
	errNotFinite = errors.New("the increment is not a finite number")
	errKind      = errors.New("the series changes between number and histogram")
)

// Append implements storage.AppenderV2: v or h is an increment since st.
func (d *deltaBatch) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if o.MetricFamilyName == targetInfo {
		return d.batch.Append(ref, ls, st, t, v, h, fh, o)
	}
	d.store.metadata.note(o.MetricFamilyName, o.Metadata)
	if err := d.add(ls, st, t, v, h, o); err != nil {
		d.refuse(o.MetricFamilyName, ls, t, err)
	}
	return 0, nil
}

func (d *deltaBatch) add(ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, o storage.AOptions) error {
	switch {
	case t <= 0:
		return errNoTime
	case t > d.maxTime:
		return errAhead
	case h == nil && (math.IsNaN(v) || math.IsInf(v, 0)), h != nil && (math.IsNaN(h.Sum) || math.IsInf(h.Sum, 0)):
		return errNotFinite
	}
	s, err := d.deltas.find(d.ctx, d.batch, ls)
	if err != nil {
		return err
	}
	in := increment{st, t, math.Float64bits(v)}
	if h != nil {
		in.value = h.Count
	}
	at := t
	if t <= s.last {
		if s.seen(in) {
			return nil
		}
		if s.last-t > d.store.opts.OutOfOrder.Milliseconds() {
			return errTooLate
		}
		at = s.last + 1
	}
	next, err := s.plus(v, h)
	if err != nil {
		return err
	}
	if _, ok := d.before[s]; !ok {
		d.before[s] = s.total
	}
	d.baseline(s, st, at, h)
	ref, err := d.append(s.ref, s.labels, 0, at, next.value, nil, next.hist.copyOrNil(), o)
	if err != nil {
		return err
	}
	d.store.stats.deltas.Inc()
	s.ref, s.last, s.value, s.hist = ref, at, next.value, next.hist.FloatHistogram
	s.recent[s.pos%recentIncrements] = in
	s.pos++
	d.deltas.dirty = true
	return nil
}

// baseline writes the total as it was when the interval began, where no sample
// says it yet. It is left out when the database takes no sample that old.
func (d *deltaBatch) baseline(s *stream, st, at int64, h *histogram.Histogram) {
	first := s.last == 0
	switch {
	case st > s.last && st < at:
	case first:
		st = at - 1
	default:
		return
	}
	value, hist := s.value, optional{s.hist}
	if h != nil && s.hist == nil {
		hist = optional{&histogram.FloatHistogram{Schema: h.Schema, ZeroThreshold: h.ZeroThreshold, CustomValues: h.CustomValues}}
	}
	ref, err := d.append(s.ref, s.labels, 0, st, value, nil, hist.copyOrNil(), storage.AOptions{RejectOutOfOrder: !first})
	if err != nil && first && st < at-1 {
		ref, err = d.append(s.ref, s.labels, 0, at-1, value, nil, hist.copyOrNil(), storage.AOptions{})
	}
	if err == nil {
		s.ref = ref
	}
}

// seen reports whether the increment was added already.
func (t *total) seen(in increment) bool {
	for _, r := range t.recent {
		if r == in {
			return true
		}
	}
	// After a restart only the newest sample tells.
	return t.pos == 0 && in.end == t.last
}

type sum struct {
	value float64
	hist  optional
}

type optional struct{ *histogram.FloatHistogram }

func (o optional) copyOrNil() *histogram.FloatHistogram {
	if o.FloatHistogram == nil {
		return nil
	}
	return o.Copy()
}

// plus returns the total after an increment, without changing it.
func (t *total) plus(v float64, h *histogram.Histogram) (sum, error) {
	if h == nil {
		if t.hist != nil {
			return sum{}, errKind
		}
		return sum{value: t.value + v}, nil
	}
	add := h.ToFloat(nil)
	add.CounterResetHint = histogram.UnknownCounterReset
	if t.hist == nil {
		if t.value != 0 {
			return sum{}, errKind
		}
		return sum{hist: optional{add}}, nil
	}
	out := t.hist.Copy()
	out, _, _, err := out.Add(add)
	if err != nil {
		return sum{}, fmt.Errorf("add histograms: %w", err)
	}
	out.CounterResetHint = histogram.UnknownCounterReset
	return sum{hist: optional{out.Compact(0)}}, nil
}

// find returns the stream of ls, seeded with what the database last held.
func (d *deltas) find(ctx context.Context, b *batch, ls labels.Labels) (*stream, error) {
	hash := ls.Hash()
	for s := d.streams[hash]; s != nil; s = s.next {
		if labels.Equal(s.labels, ls) {
			return s, d.seeds.refresh(ctx, d.store, s)
		}
	}
	s := &stream{labels: ls}
	if err := d.seeds.refresh(ctx, d.store, s); err != nil {
		return nil, err
	}
	// The database holds the same labels already, where it has the series.
	if g, ok := b.AppenderV2.(storage.GetRef); ok {
		if ref, shared := g.GetRef(ls, hash); ref != 0 {
			s.ref, s.labels = ref, shared
		}
	}
	d.insert(hash, s)
	return s, nil
}

func (d *deltas) insert(hash uint64, s *stream) {
	s.next = d.streams[hash]
	d.streams[hash] = s
	d.count++
	d.store.stats.streams.Set(float64(d.count))
}
