package prom

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Local is a storage in this process: the embedded server's, or a TSDB
// directory that was opened.
type Local struct{ storage storage.Queryable }

// NewLocal returns the backend of s, which it does not close.
func NewLocal(s storage.Queryable) *Local { return &Local{storage: s} }

// Select reads the series' samples.
func (l *Local) Select(ctx context.Context, match Matchers, from, to time.Time) (Result, error) {
	var result Result
	err := l.each(ctx, match, from, to, func(s storage.Series, it chunkenc.Iterator) (bool, error) {
		out := Series{Labels: s.Labels()}
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			p, ok := at(it, kind)
			if ok && p.T > from.UnixMilli() && p.T <= to.UnixMilli() {
				out.Points = append(out.Points, p)
			}
		}
		if len(out.Points) > 0 {
			result.Series = append(result.Series, out)
		}
		return true, it.Err()
	})
	return result, err
}

// Exists looks for one sample.
func (l *Local) Exists(ctx context.Context, match Matchers, from, to time.Time) (bool, error) {
	found := false
	err := l.each(ctx, match, from, to, func(_ storage.Series, it chunkenc.Iterator) (bool, error) {
		for kind := it.Next(); kind != chunkenc.ValNone && !found; kind = it.Next() {
			_, found = at(it, kind)
		}
		return !found, it.Err()
	})
	return found, err
}

// each calls f for every series until it returns false.
func (l *Local) each(ctx context.Context, match Matchers, from, to time.Time, f func(storage.Series, chunkenc.Iterator) (bool, error)) error {
	mint, maxt := from.UnixMilli()+1, to.UnixMilli()
	querier, err := l.storage.Querier(mint, maxt)
	if err != nil {
		return fmt.Errorf("query %s: %w: %w", match, ErrUnavailable, err)
	}
	defer querier.Close()
	set := querier.Select(ctx, false, &storage.SelectHints{Start: mint, End: maxt}, match...)
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		it = s.Iterator(it)
		more, err := f(s, it)
		if err != nil {
			return fmt.Errorf("query %s: read %s: %w", match, s.Labels(), err)
		}
		if !more {
			break
		}
	}
	if err := set.Err(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("query %s: %w: %w", match, ErrUnavailable, err)
	}
	if w := set.Warnings().AsErrors(); len(w) > 0 {
		return fmt.Errorf("query %s: %w: %w", match, ErrPartial, w[0])
	}
	return nil
}

// at returns the sample that the iterator stands on, and false for a staleness
// marker.
func at(it chunkenc.Iterator, kind chunkenc.ValueType) (Point, bool) {
	switch kind {
	case chunkenc.ValFloat:
		t, v := it.At()
		return Point{T: t, V: v}, !value.IsStaleNaN(v)
	case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		t, h := it.AtFloatHistogram(nil)
		if value.IsStaleNaN(h.Sum) {
			return Point{}, false
		}
		return Point{T: t, H: fromFloat(h)}, true
	}
	return Point{}, false
}
