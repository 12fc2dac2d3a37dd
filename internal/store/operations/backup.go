package operations

import (
	"context"
	"path/filepath"
)

// Backup writes a consistent copy of the database into the directory dir, which
// must exist and not hold one. A store opens the copy as it is.
func (s *Store) Backup(ctx context.Context, dir string) error {
	return s.db.Backup(ctx, filepath.Join(dir, FileName))
}
