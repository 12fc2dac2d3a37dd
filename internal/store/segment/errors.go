package segment

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrCorrupt is wrapped by errors about a file whose content is not what was
// written. The file should be set aside; others are not affected.
var ErrCorrupt = errors.New("corrupt file")

// ErrBadChunk is wrapped, beside ErrCorrupt, by errors about one chunk; the
// others of its file can be read.
var ErrBadChunk = errors.New("damaged chunk")

// ErrFull is wrapped by errors of writes that found no room on the disk.
// Nothing of the write was kept; reads go on, and writes do once there is room.
var ErrFull = errors.New("disk full")

// classify marks SQLite's errors as ErrCorrupt or ErrFull where they are.
func classify(err error) error {
	var se *sqlite.Error
	switch {
	case err == nil, errors.Is(err, ErrCorrupt), errors.Is(err, ErrFull):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case !errors.As(err, &se):
		return err
	}
	// The low byte is the primary code; extended codes are above it.
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
