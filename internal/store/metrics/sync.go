package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// syncLog forces the newest segments of the write-ahead logs to the disk. The
// database writes to them on every commit, so that the death of the process
// loses nothing, but forces them only when a segment is full; fsync on any
// descriptor of the file does what is left.
func (s *Store) syncLog() error {
	return errors.Join(syncNewest(filepath.Join(s.db.Dir(), "wal")), syncNewest(filepath.Join(s.db.Dir(), "wbl")))
}

func syncNewest(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no late samples yet, or none wanted
	}
	if err != nil {
		return err
	}
	newest, number := "", -1
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > number {
			newest, number = e.Name(), n
		}
	}
	if newest == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, newest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a checkpoint removed it, and what it held is in blocks
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.Name(), err)
	}
	return nil
}
