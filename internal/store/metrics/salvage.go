package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
)

// damage is the first record of a log that cannot be read.
type damage struct {
	segment int    // 0 when it is in the checkpoint, behind which all segments lie
	file    string // its name in the log's directory
	err     error
	// tornTail: nothing follows it. That is what a kill in the middle of a
	// write leaves; the write was not acknowledged.
	tornTail bool
}

// tornTailBytes is how much may follow the start of an incomplete record at the
// end of the log: the record reaches over a page boundary, each page 32 KiB.
const tornTailBytes = 2 * 32 << 10

// firstDamage reads the log in dir and returns its first damage, nil when
// there is none.
func firstDamage(dir string) *damage {
	if checkpoint, _, err := wlog.LastCheckpoint(dir); err == nil {
		for _, n := range segments(checkpoint) {
			if err := readSegment(wlog.SegmentName(checkpoint, n), func([]byte) error { return nil }); err != nil {
				return &damage{file: filepath.Base(checkpoint), err: err}
			}
		}
	}
	all := segments(dir)
	for i, n := range all {
		err := readSegment(wlog.SegmentName(dir, n), func([]byte) error { return nil })
		if err == nil {
			continue
		}
		d := &damage{segment: n, file: fmt.Sprintf("%08d", n), err: err}
		var c *wlog.CorruptionErr
		info, statErr := os.Stat(wlog.SegmentName(dir, n))
		rest := all[i+1:]
		d.tornTail = errors.As(err, &c) && statErr == nil && info.Size()-c.Offset < tornTailBytes && !anyData(dir, rest)
		return d
	}
	return nil
}

func anyData(dir string, segments []int) bool {
	for _, n := range segments {
		if info, err := os.Stat(wlog.SegmentName(dir, n)); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// readSegment calls each with the records of a segment up to the first that
// cannot be read, and returns why that one cannot.
func readSegment(path string, each func(rec []byte) error) error {
	s, err := wlog.OpenReadSegment(path)
	if err != nil {
		return err
	}
	buf := wlog.NewSegmentBufReader(s)
	defer buf.Close()
	r := wlog.NewReader(buf)
	for r.Next() {
		if err := each(r.Record()); err != nil {
			return err
		}
	}
	return r.Err()
}

// salvager appends the samples of a log to a database, which has some already.
type salvager struct {
	dec     record.Decoder
	series  map[chunks.HeadSeriesRef]labels.Labels
	app     storage.AppenderV2
	samples int
}

// salvageBatch bounds the samples of one commit.
const salvageBatch = 10_000

// salvageSegments appends what the segments from number first on hold. Series
// are named in earlier records, so all of the log is read.
func salvageSegments(db *tsdb.DB, wal string, first int) (int, error) {
	s := &salvager{
		dec:    record.NewDecoder(labels.NewSymbolTable(), slog.New(slog.DiscardHandler)),
		series: map[chunks.HeadSeriesRef]labels.Labels{},
	}
	if dir, _, err := wlog.LastCheckpoint(wal); err == nil {
		for _, n := range segments(dir) {
			_ = readSegment(wlog.SegmentName(dir, n), s.names) // as far as it goes
		}
	}
	for _, n := range segments(wal) {
		path := wlog.SegmentName(wal, n)
		if n < first {
			_ = readSegment(path, s.names) // as far as it goes
			continue
		}
		// Names first: damage may lie between a name and its samples.
		_ = readSegment(path, s.names)
		s.app = db.AppenderV2(context.Background())
		before := s.samples
		_ = readSegment(path, func(rec []byte) error {
			s.values(rec)
			if s.samples-before < salvageBatch {
				return nil
			}
			before = s.samples
			if err := s.app.Commit(); err != nil {
				return fmt.Errorf("read back %s: %w", filepath.Base(path), err)
			}
			s.app = db.AppenderV2(context.Background())
			return nil
		})
		if err := s.app.Commit(); err != nil {
			return s.samples, fmt.Errorf("read back %s: %w", filepath.Base(path), err)
		}
	}
	return s.samples, nil
}

func (s *salvager) names(rec []byte) error {
	if s.dec.Type(rec) != record.Series {
		return nil
	}
	all, err := s.dec.Series(rec, nil)
	for _, r := range all {
		s.series[r.Ref] = r.Labels
	}
	return err
}

// values appends the samples of a record. Those that the database has, or that
// are too old for it, are passed over.
func (s *salvager) values(rec []byte) {
	switch s.dec.Type(rec) {
	case record.Samples, record.SamplesV2:
		all, _ := s.dec.Samples(rec, nil)
		for _, r := range all {
			if ls, ok := s.series[r.Ref]; ok {
				s.count(s.app.Append(0, ls, 0, r.T, r.V, nil, nil, storage.AOptions{}))
			}
		}
	case record.HistogramSamples, record.HistogramSamplesV2:
		all, _ := s.dec.HistogramSamples(rec, nil)
		for _, r := range all {
			if ls, ok := s.series[r.Ref]; ok {
				s.count(s.app.Append(0, ls, 0, r.T, 0, r.H, nil, storage.AOptions{}))
			}
		}
	case record.FloatHistogramSamples, record.FloatHistogramSamplesV2:
		all, _ := s.dec.FloatHistogramSamples(rec, nil)
		for _, r := range all {
			if ls, ok := s.series[r.Ref]; ok {
				s.count(s.app.Append(0, ls, 0, r.T, 0, nil, r.FH, storage.AOptions{}))
			}
		}
	}
}

func (s *salvager) count(_ storage.SeriesRef, err error) {
	if err == nil {
		s.samples++
	}
}
