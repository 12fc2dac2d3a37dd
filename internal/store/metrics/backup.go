package metrics

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the database into dir, which must not
// exist. A store opens the copy as it is; running totals of delta counters are
// read back from the samples. Reads and writes go on meanwhile. Samples that came
// out of order and are not in a block yet are left out.
func (s *Store) Backup(_ context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o750); err != nil {
		return fmt.Errorf("back up metrics: %w", err)
	}
	// With the head: what has not become a block yet is written as one. Samples
	// that came out of order within the last hours are not in it.
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
