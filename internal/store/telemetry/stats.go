package telemetry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/fairlead/internal/store/segment"
)

// Stats is the state of a Store.
type Stats struct {
	Spans, Logs   int64 // stored; duplicates count as often as they came
	Oldest        time.Time
	Newest        time.Time // times of records; zero without any
	Bytes         int64     // on disk
	Files         []FileStats
	Aside         []Aside // corrupt files that were set aside
	Full          bool    // the last write found no room on the disk
	Refused       int64   // records refused since Open, for want of room or another error
	ReceivedSpans int64   // stored since Open
	ReceivedLogs  int64
}

// FileStats is the state of one file.
type FileStats struct {
	Name          string
	Bytes         int64
	Spans, Logs   int64
	OpenChunks    int // not sealed yet
	DamagedChunks int // that could not be read
}

// Stats returns the state of the store; the zero value after Close.
func (s *Store) Stats() Stats {
	files, release, err := s.use()
	if err != nil {
		return Stats{}
	}
	defer release()
	st := Stats{
		Full: s.full.Load(), Refused: s.refused.Load(),
		ReceivedSpans: s.received[segment.Spans].Load(), ReceivedLogs: s.received[segment.Logs].Load(),
	}
	s.mu.Lock()
	st.Aside = append(st.Aside, s.aside...)
	s.mu.Unlock()
	for _, f := range files {
		chunks, _ := f.Open()
		fs := FileStats{Name: f.name, Bytes: f.Bytes(), OpenChunks: chunks, DamagedChunks: len(f.Damaged())}
		for _, kind := range []segment.Kind{segment.Spans, segment.Logs} {
			t := f.Totals(kind)
			if t.Records == 0 {
				continue
			}
			if oldest := time.Unix(0, t.MinT); st.Oldest.IsZero() || oldest.Before(st.Oldest) {
				st.Oldest = oldest
			}
			if newest := time.Unix(0, t.MaxT); newest.After(st.Newest) {
				st.Newest = newest
			}
		}
		fs.Spans, fs.Logs = f.Totals(segment.Spans).Records, f.Totals(segment.Logs).Records
		st.Spans, st.Logs, st.Bytes = st.Spans+fs.Spans, st.Logs+fs.Logs, st.Bytes+fs.Bytes
		st.Files = append(st.Files, fs)
	}
	return st
}

// Backup writes a consistent copy of every file into dir, which must be empty
// or not exist. A store opens the copy as it is. Reads and writes go on
// meanwhile; each file is as of one moment.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create backup directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read backup directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("backup directory %s is not empty: give a new one", dir)
	}
	files, release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	for _, f := range files {
		if err := f.Backup(ctx, filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return nil
}
