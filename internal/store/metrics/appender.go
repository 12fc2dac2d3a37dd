package metrics

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// PartialError says that some data points of a request were not kept. The
// others were; the request must not be sent again.
type PartialError struct {
	Points  int64
	Message string // the first reasons, for the sender
}

// Error returns the count and the reasons.
func (e *PartialError) Error() string {
	return fmt.Sprintf("%d data points rejected: %s", e.Points, e.Message)
}

// Rejected returns the count and the reasons.
func (e *PartialError) Rejected() (int64, string) { return e.Points, e.Message }

type ingestStats struct {
	samples   prometheus.Counter
	rejected  *prometheus.CounterVec
	exemplars prometheus.Counter
	deltas    prometheus.Counter
	streams   prometheus.Gauge
}

func newIngestStats(reg prometheus.Registerer) ingestStats {
	f := promauto.With(reg)
	return ingestStats{
		samples:   f.NewCounter(prometheus.CounterOpts{Name: "fairlead_metrics_samples_total", Help: "Samples committed to the metrics store."}),
		rejected:  f.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_metrics_rejected_points_total", Help: "Data points that were not kept, by reason."}, []string{"reason"}),
		exemplars: f.NewCounter(prometheus.CounterOpts{Name: "fairlead_metrics_rejected_exemplars_total", Help: "Exemplars that were not kept because newer ones of their series are there."}),
		deltas:    f.NewCounter(prometheus.CounterOpts{Name: "fairlead_metrics_delta_samples_total", Help: "Samples that came with delta temporality and were added up."}),
		streams:   f.NewGauge(prometheus.GaugeOpts{Name: "fairlead_metrics_delta_streams", Help: "Series that came with delta temporality and are kept as running totals."}),
	}
}

// batch is one transaction. Its Append never fails because of one sample: such
// a sample is noted and the rest goes on.
type batch struct {
	storage.AppenderV2
	store   *Store
	maxTime int64 // milliseconds; later samples are refused
	family  string
	samples int
	refused map[point]string // reason by data point
}

// point identifies a data point among the series that a histogram becomes.
type point struct {
	family string
	labels uint64 // without name and le
	time   int64
}

func (s *Store) begin(ctx context.Context) *batch {
	return &batch{
		AppenderV2: s.db.AppenderV2(ctx),
		store:      s,
		maxTime:    s.opts.Now().Add(maxAhead).UnixMilli(),
	}
}

var (
	errAhead   = fmt.Errorf("its time is more than %s in the future", maxAhead)
	errNoTime  = errors.New("it has no time")
	errTooLate = errors.New("it is older than store.metrics.outOfOrder allows")
)

// Append implements storage.AppenderV2.
func (b *batch) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if o.MetricFamilyName != b.family { // the samples of a metric come in a row
		b.family = o.MetricFamilyName
		b.store.metadata.note(o.MetricFamilyName, o.Metadata)
	}
	ref, err := b.append(ref, ls, st, t, v, h, fh, o)
	if err != nil {
		b.refuse(o.MetricFamilyName, ls, t, err)
		return 0, nil
	}
	return ref, nil
}

func (b *batch) append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	switch {
	case t > b.maxTime:
		return 0, errAhead
	case t <= 0:
		return 0, errNoTime
	}
	ref, err := b.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
	if err != nil {
		var partial *storage.AppendPartialError
		if partial, err = partial.Handle(err); err != nil {
			return 0, err
		}
		if partial != nil { // the sample is kept, exemplars of it are not
			b.store.stats.exemplars.Add(float64(len(partial.ExemplarErrors)))
		}
	}
	b.samples++
	return ref, nil
}

func (b *batch) refuse(family string, ls labels.Labels, t int64, err error) {
	if family == targetInfo {
		return // made by the converter, not sent by anyone
	}
	if b.refused == nil {
		b.refused = map[point]string{}
	}
	hash, _ := ls.HashWithoutLabels(nil, labels.MetricName, "le", "quantile")
	if family == "" {
		family = ls.Get(labels.MetricName)
	}
	b.refused[point{family, hash, t}] = reason(err)
}

// targetInfo is the family with the resource attributes of each source.
const targetInfo = "target_info"

func reason(err error) string {
	switch {
	case errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrOutOfOrderSample):
		return errTooLate.Error()
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return "another value is stored for that time; two sources without service.instance.id or k8s.pod.name?"
	default:
		return err.Error()
	}
}

// finish commits, forces the log when asked to, and returns a [*PartialError]
// when data points were refused.
func (b *batch) finish() error {
	if err := b.Commit(); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	b.store.stats.samples.Add(float64(b.samples))
	if b.store.opts.SyncInterval == 0 {
		if err := b.store.syncLog(); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return b.partial()
}

// maxReasons bounds the message to the sender.
const maxReasons = 5

func (b *batch) partial() error {
	if len(b.refused) == 0 {
		return nil
	}
	byReason := map[string]int{}
	e := &PartialError{Points: int64(len(b.refused))}
	shown := map[string]bool{}
	for p, why := range b.refused {
		byReason[why]++
		line := fmt.Sprintf("%s: %s", p.family, why)
		if !shown[line] && len(shown) < maxReasons {
			shown[line] = true
			if e.Message != "" {
				e.Message += "; "
			}
			e.Message += line
		}
	}
	for why, n := range byReason {
		b.store.stats.rejected.WithLabelValues(class(why)).Add(float64(n))
	}
	return e
}

// class bounds the reasons to a handful of label values.
func class(why string) string {
	switch why {
	case errTooLate.Error():
		return "too_old"
	case errAhead.Error():
		return "in_future"
	case errNoTime.Error():
		return "no_time"
	case reason(storage.ErrDuplicateSampleForTimestamp):
		return "conflict"
	default:
		return "invalid"
	}
}
