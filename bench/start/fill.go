package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlptest"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

const (
	series    = 20_000
	blockSpan = 2 * time.Hour
	blocks    = 6
	// A random sample takes about nine bytes in a block.
	sampleBytes = 9
	// dayFile is the size at which the server begins another file: a tenth of
	// store.telemetry.maxBytes.
	dayFile = 1 << 30
	seeds   = 400_000 // spans that are stored and then repeated
)

// fill writes about total bytes of samples and traces below dir.
func fill(ctx context.Context, dir string, total int64) error {
	now := time.Now()
	samples := total / 20
	if err := writeBlocks(ctx, filepath.Join(dir, "metrics", "tsdb"), samples, now); err != nil {
		return fmt.Errorf("write blocks: %w", err)
	}
	traces := filepath.Join(dir, "telemetry")
	first, err := writeTraces(ctx, traces, now, min(dayFile, total-samples))
	if err != nil {
		return fmt.Errorf("write traces: %w", err)
	}
	info, err := os.Stat(first)
	if err != nil {
		return err
	}
	for i := int64(1); i < (total-samples)/info.Size(); i++ {
		day := now.UTC().AddDate(0, 0, -1-int(i)%6)
		if err := copyFile(first, filepath.Join(traces, fmt.Sprintf("%s-%03d.db", day.Format(time.DateOnly), 1+i/6))); err != nil {
			return err
		}
	}
	return nil
}

func random(i int) labels.Labels {
	return labels.FromStrings(labels.MetricName, "bench_start", "job", "shop", "instance", strconv.Itoa(i/100), "route", strconv.Itoa(i%100))
}

func writeBlocks(ctx context.Context, dir string, total int64, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	each := int(total / blocks / sampleBytes / series)
	newest := now.Add(-2 * blockSpan).Truncate(blockSpan)
	for b := range blocks {
		w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, blockSpan.Milliseconds())
		if err != nil {
			return err
		}
		from := newest.Add(-time.Duration(b) * 2 * blockSpan) // not adjacent: nothing to compact
		if err := write(ctx, w.AppenderV2, from, blockSpan/time.Duration(each+1), each); err != nil {
			return err
		}
		if _, err := w.Flush(ctx); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

// write appends rounds of a random sample to each series.
func write(ctx context.Context, appender func(context.Context) storage.AppenderV2, from time.Time, step time.Duration, rounds int) error {
	refs := make([]storage.SeriesRef, series)
	for round := range rounds {
		app := appender(ctx)
		at := from.Add(time.Duration(round) * step).UnixMilli()
		for i := range refs {
			var err error
			if refs[i], err = app.Append(refs[i], random(i), 0, at, rand.Float64(), nil, nil, storage.AOptions{}); err != nil {
				return err
			}
		}
		if err := app.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// writeLog appends samples of the last hour to the database in dir until its
// log has grown by limit bytes, prints how many, and ends without closing it.
func writeLog(ctx context.Context, dir, limit string) error {
	n, err := strconv.ParseInt(limit, 10, 64)
	if err != nil {
		return err
	}
	o := tsdb.DefaultOptions()
	o.WALCompression = compression.Snappy
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, o, nil)
	if err != nil {
		return err
	}
	wal := filepath.Join(dir, "wal")
	before, written := size(wal), 0
	const rounds = 20
	at := time.Now().Add(-time.Hour)
	if newest := time.UnixMilli(db.Head().MaxTime()).Add(time.Second); newest.After(at) {
		at = newest // of an earlier run
	}
	for ; size(wal) < before+n; at = at.Add(rounds * time.Second) {
		if err := write(ctx, db.AppenderV2, at, time.Second, rounds); err != nil {
			return err
		}
		written += rounds * series
	}
	fmt.Println(written)
	os.Exit(0) // as kill -9 would: nothing is closed
	return nil
}

// writeTraces stores some spans of the day before, and repeats their chunks
// until the file has that size.
func writeTraces(ctx context.Context, dir string, now time.Time, size int64) (path string, err error) {
	day := now.UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	store, err := telemetry.Open(dir, telemetry.Options{Now: func() time.Time { return day }})
	if err != nil {
		return "", err
	}
	shop := &otlptest.Shop{Seed: 1, Start: day, Step: time.Millisecond}
	shop.Batches(0, seeds/otlptest.SpansPerTrace, 8192, true, func(td ptrace.Traces) {
		if err == nil {
			err = store.ConsumeTraces(ctx, td)
		}
	})
	if err == nil {
		err = store.Seal(ctx)
	}
	if e := store.Close(); err == nil {
		err = e
	}
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, day.Format(time.DateOnly)+"-000.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	defer db.Close()
	for {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if info.Size()*2 > size {
			return path, nil
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO chunks SELECT id + (SELECT max(id) FROM chunks), kind, n, mint, maxt, data FROM chunks;
			PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			return "", err
		}
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
