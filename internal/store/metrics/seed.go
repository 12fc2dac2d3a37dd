package metrics

import (
	"context"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// seeds are the newest samples that the database held when the store was
// opened, by series, read name by name when the first increment of a name
// arrives: a total in the checkpoint may be older than the last sample.
type seeds struct {
	since  int64 // samples before this time are in the checkpoint, in ms
	loaded map[string]bool
	found  map[uint64][]seed
}

type seed struct {
	labels labels.Labels
	value  float64
	hist   *histogram.FloatHistogram
	last   int64
}

// refresh moves the total of s forward to the newest sample of its series, the
// first time that s is used after the store was opened.
func (s *seeds) refresh(ctx context.Context, store *Store, str *stream) error {
	name := str.labels.Get(labels.MetricName)
	if !s.loaded[name] {
		if err := s.load(ctx, store, name); err != nil {
			return err
		}
	}
	if len(s.found) == 0 {
		return nil
	}
	hash := str.labels.Hash()
	for i, f := range s.found[hash] {
		if !labels.Equal(f.labels, str.labels) {
			continue
		}
		if f.last > str.last {
			str.value, str.hist, str.last = f.value, f.hist, f.last
			str.recent, str.pos = [recentIncrements]increment{}, 0
		}
		rest := append(s.found[hash][:i:i], s.found[hash][i+1:]...)
		if s.found[hash] = rest; len(rest) == 0 {
			delete(s.found, hash)
		}
		return nil
	}
	return nil
}

func (s *seeds) load(ctx context.Context, store *Store, name string) error {
	if s.loaded == nil {
		s.loaded, s.found = map[string]bool{}, map[uint64][]seed{}
	}
	q, err := store.db.Querier(s.since, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("read the last totals of %s: %w", name, err)
	}
	defer q.Close()
	set := q.Select(ctx, false, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name))
	var it chunkenc.Iterator
	for set.Next() {
		series := set.At()
		it = series.Iterator(it)
		f := seed{labels: series.Labels()}
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			f.read(it, kind)
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("read the last totals of %s: %w", name, err)
		}
		if f.last != 0 {
			hash := f.labels.Hash()
			s.found[hash] = append(s.found[hash], f)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("read the last totals of %s: %w", name, err)
	}
	s.loaded[name] = true
	return nil
}

func (f *seed) read(it chunkenc.Iterator, kind chunkenc.ValueType) {
	switch kind {
	case chunkenc.ValFloat:
		t, v := it.At()
		if value.IsStaleNaN(v) {
			return
		}
		f.last, f.value, f.hist = t, v, nil
	default:
		t, h := it.AtFloatHistogram(nil)
		if value.IsStaleNaN(h.Sum) {
			return
		}
		f.last, f.value, f.hist = t, 0, h
	}
}
