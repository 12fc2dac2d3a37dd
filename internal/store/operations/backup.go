package operations

import (
	"context"
	"fmt"
	"path/filepath"
)

// Backup writes a consistent copy of the database into the directory dir, which
// must exist and not hold one. A store opens the copy as it is.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if _, err := s.db.ExecContext(ctx, "VACUUM INTO ?", filepath.Join(dir, FileName)); err != nil {
		return fmt.Errorf("back up operations to %s: %w", dir, err)
	}
	return nil
}
