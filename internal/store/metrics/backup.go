package metrics

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the database into dir, which must not
// exist. A store opens the copy as it is; running totals of delta counters are
// read back from the samples. Reads and writes go on meanwhile.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o750); err != nil {
		return fmt.Errorf("back up metrics: %w", err)
	}
	// Samples that came out of order are not part of what the snapshot writes of
	// the head: they become blocks first, which it copies.
	if err := s.db.CompactOOOHead(ctx); err != nil {
		return fmt.Errorf("back up metrics: compact samples that came out of order: %w", err)
	}
	// With the head: what has not become a block yet is written as one.
	if err := s.db.Snapshot(filepath.Join(dir, "tsdb"), true); err != nil {
		return fmt.Errorf("back up metrics to %s: %w", dir, err)
	}
	if err := s.metadata.save(); err != nil {
		return fmt.Errorf("back up metrics: %w", err)
	}
	families, err := os.ReadFile(s.metadata.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("back up metrics: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(s.metadata.path)), families, 0o600); err != nil {
		return fmt.Errorf("back up metrics: %w", err)
	}
	return nil
}
