package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/store/segment"
)

const (
	// A file is sealed once it has this much unsealed: below, its trace keys
	// take 2 MB of memory at most and a search reads a few hundred small rows.
	sealRecords = 64 << 10
	sealChunks  = 2048
)

// maintain seals, deletes what is past its time, and keeps the size, until the
// store is closed.
func (s *Store) maintain() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(s.o.interval)
	defer tick.Stop()
	for {
		if err := s.Maintain(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("look after the trace and log store", "error", err)
		}
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
	}
}

// Maintain does once what the store does by itself every few seconds: seal
// files that have much to seal, and delete files by age and size.
func (s *Store) Maintain(ctx context.Context) error {
	files, release, err := s.use()
	if err != nil {
		return err
	}
	var errs []error
	for i, f := range files {
		chunks, records := f.Open()
		isCurrent := i == 0
		if chunks == 0 || isCurrent && records < sealRecords && chunks < sealChunks {
			continue
		}
		err := f.Seal(ctx)
		if errors.Is(err, segment.ErrCorrupt) {
			s.suspect(f, []error{err})
		}
		errs = append(errs, err)
	}
	release()
	return errors.Join(append(errs, s.expire())...)
}

// Seal seals all files now: tests, benchmarks and backups want it.
func (s *Store) Seal(ctx context.Context) error {
	files, release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	for _, f := range files {
		if err := f.Seal(ctx); err != nil {
			return err
		}
	}
	return nil
}

// expire deletes the files of days that are past Retention, and the oldest
// ones while the store is larger than MaxBytes. The file that is written to
// stays.
func (s *Store) expire() error {
	files, release, err := s.use()
	if err != nil {
		return err
	}
	release()
	var total int64
	for _, f := range files {
		total += f.Bytes()
	}
	now := s.o.Now()
	var errs []error
	for i := len(files) - 1; i > 0; i-- {
		f, size := files[i], files[i].Bytes()
		var reason string
		switch {
		case now.Sub(f.day.Add(24*time.Hour)) > s.o.Retention:
			reason = "older than the retention"
		case total > s.o.MaxBytes:
			reason = "the store is larger than its limit"
		default:
			continue
		}
		total -= size
		errs = append(errs, s.remove(f, reason))
	}
	return errors.Join(errs...)
}

func (s *Store) remove(f *file, reason string) error {
	if !s.detach(f) {
		return nil
	}
	f.users.Wait()
	if err := f.Close(); err != nil {
		s.o.Log.Warn("close expired file", "file", f.name, "error", err)
	}
	if err := segment.Remove(f.Path()); err != nil {
		return fmt.Errorf("delete expired file %s: %w", f.name, err)
	}
	s.o.Log.Info("deleted a file of the trace and log store", "file", f.name, "reason", reason)
	return nil
}

// noteDamage checks a file that a read found corrupt, and sets it aside when
// its database is. Only for callers that don't hold it in use.
func (s *Store) noteDamage(f *file, reason error) error {
	err := f.Check(context.Background())
	if !errors.Is(err, segment.ErrCorrupt) {
		return err
	}
	return s.abandon(f, errors.Join(reason, err))
}

// abandon sets a damaged file aside. Only for callers that don't hold it in
// use.
func (s *Store) abandon(f *file, reason error) error {
	if !s.detach(f) {
		return nil
	}
	f.users.Wait()
	_ = f.Close() // it is damaged: closing it can fail too
	return s.setAside(f.name, reason)
}
