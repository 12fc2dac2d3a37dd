package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"fairlead.dev/fairlead/internal/prom"
)

// openTSDB opens a directory for reading only; a server may be using it.
func openTSDB(dir string) (*Recording, error) {
	if !looksLikeTSDB(dir) {
		return nil, fmt.Errorf("open recording %s: the directory has neither TSDB blocks nor a write-ahead log", dir)
	}
	// What is read of the write-ahead log is linked or copied here.
	sandbox, err := os.MkdirTemp("", "fairlead-tsdb-")
	if err != nil {
		return nil, fmt.Errorf("open recording %s: %w", dir, err)
	}
	r := &Recording{closers: []io.Closer{removed(sandbox)}}
	fail := func(err error) (*Recording, error) {
		return nil, fmt.Errorf("open recording %s: %w", dir, errors.Join(err, r.Close()))
	}
	db, err := tsdb.OpenDBReadOnly(dir, sandbox, nil)
	if err != nil {
		return fail(err)
	}
	r.closers = append(r.closers, db)
	// One querier for all questions: each reads the write-ahead log anew.
	querier, err := db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return fail(err)
	}
	r.closers = append(r.closers, querier)
	r.Backend = prom.NewLocal(oneQuerier{querier})
	if r.from, r.to, err = extent(db, querier); err != nil {
		return fail(err)
	}
	return r, nil
}

// removed is a directory that goes when it is closed.
type removed string

func (dir removed) Close() error { return os.RemoveAll(string(dir)) }

// extent finds the first and the last sample: blocks know theirs, the
// write-ahead log is read.
func extent(db *tsdb.DBReadOnly, q storage.Querier) (from, to time.Time, err error) {
	mint, maxt := int64(math.MaxInt64), int64(math.MinInt64)
	blocks, err := db.Blocks()
	if err != nil {
		return from, to, err
	}
	for _, b := range blocks {
		mint, maxt = min(mint, b.Meta().MinTime), max(maxt, b.Meta().MaxTime-1)
	}
	set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+"))
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if it.Seek(maxt+1) == chunkenc.ValNone {
			continue
		}
		for {
			mint, maxt = min(mint, it.AtT()), max(maxt, it.AtT())
			if it.Next() == chunkenc.ValNone {
				break
			}
		}
	}
	if err := set.Err(); err != nil {
		return from, to, err
	}
	if maxt < mint {
		return from, to, errors.New("it has no samples")
	}
	return time.UnixMilli(mint), time.UnixMilli(maxt), nil
}

func looksLikeTSDB(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "wal")); err == nil {
		return true
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "*", "meta.json"))
	return err == nil && len(blocks) > 0
}

// oneQuerier lends the same querier to everybody; it covers all times, and
// prom.Local drops the samples that it did not ask for.
type oneQuerier struct{ shared storage.Querier }

func (q oneQuerier) Querier(int64, int64) (storage.Querier, error) { return lent{q.shared}, nil }

type lent struct{ storage.Querier }

// Close leaves the querier open: it is only lent.
func (lent) Close() error { return nil }
