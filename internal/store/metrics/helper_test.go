package metrics

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// t0 is the time of the tests' first samples; the stores' clock stands a
// little after.
var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openStore(t *testing.T, dir string, change ...func(*Options)) *Store {
	t.Helper()
	o := Options{
		OutOfOrder: 2 * time.Hour,
		Logger:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now:        func() time.Time { return t0.Add(2 * time.Hour) },
	}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// request is an OTLP request under construction.
type request struct {
	md    pmetric.Metrics
	scope pmetric.ScopeMetrics
}

func newRequest(resource ...string) *request {
	r := &request{md: pmetric.NewMetrics()}
	rm := r.md.ResourceMetrics().AppendEmpty()
	put(rm.Resource().Attributes(), resource)
	r.scope = rm.ScopeMetrics().AppendEmpty()
	return r
}

func put(m pcommon.Map, pairs []string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		m.PutStr(pairs[i], pairs[i+1])
	}
}

func (r *request) metric(name, unit string) pmetric.Metric {
	m := r.scope.Metrics().AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	return m
}

// counter adds a monotonic sum with one point: v between start and end, which
// are offsets from t0; start < 0 means not set.
func (r *request) counter(name string, kind pmetric.AggregationTemporality, start, end time.Duration, v float64, attrs ...string) *request {
	s := r.metric(name, "").SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(kind)
	p := s.DataPoints().AppendEmpty()
	p.SetDoubleValue(v)
	p.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(end)))
	if start >= 0 {
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(t0.Add(start)))
	}
	put(p.Attributes(), attrs)
	return r
}

const (
	cumulative = pmetric.AggregationTemporalityCumulative
	delta      = pmetric.AggregationTemporalityDelta
)

func (s *Store) mustConsume(t *testing.T, r *request) {
	t.Helper()
	if err := s.ConsumeMetrics(t.Context(), r.md); err != nil {
		t.Fatalf("consume: %v", err)
	}
}

// value evaluates an expression that gives one series or a scalar.
func (s *Store) value(t *testing.T, expr string, at time.Duration) float64 {
	t.Helper()
	v := s.vector(t, expr, at)
	if len(v) != 1 {
		t.Fatalf("%s at %s: %d series, want 1: %v", expr, at, len(v), v)
	}
	return v[0].F
}

func (s *Store) vector(t *testing.T, expr string, at time.Duration) promql.Vector {
	t.Helper()
	r, done, err := s.Query(t.Context(), expr, t0.Add(at))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	v, err := r.Vector()
	if err != nil {
		t.Fatal(err)
	}
	return append(promql.Vector(nil), v...)
}

// samples returns the samples of the one series that the selector matches, as
// value by offset from t0.
func (s *Store) samples(t *testing.T, selector string) map[time.Duration]float64 {
	t.Helper()
	r, done, err := s.Query(t.Context(), selector+"[12h]", t0.Add(6*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	m, err := r.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	if len(m) != 1 {
		t.Fatalf("%s: %d series, want 1: %v", selector, len(m), m)
	}
	out := map[time.Duration]float64{}
	for _, p := range m[0].Floats {
		out[time.UnixMilli(p.T).Sub(t0)] = p.F
	}
	return out
}

func rangeOf(s *Store) *tsdb.RangeHead {
	return tsdb.NewRangeHead(s.db.Head(), s.db.Head().MinTime(), s.db.Head().MaxTime())
}
