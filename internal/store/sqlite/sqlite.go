// Package sqlite opens the SQLite file of a small store: one file, migrated
// forward, written by one process. [Open] it, write with [DB.InTx], read with
// the methods of [sql.DB].
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite", pure Go
)

// DB is an open file. It is safe for concurrent use; SQLite lets one write at
// a time and makes others wait.
type DB struct {
	*sql.DB
	path string
}

// Open opens or creates the file name in the directory dir, which must exist,
// and migrates it forward: migrations[i] takes it from version i to i+1. A file
// of a newer version than there are migrations is refused.
func Open(dir, name string, migrations []string) (*DB, error) {
	path := filepath.Join(dir, name)
	// A kill loses nothing that was committed with synchronous=NORMAL in WAL
	// mode; a power cut can lose the last commits, and never corrupts.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(ON)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	d := &DB{DB: db, path: path}
	if err := d.migrate(context.Background(), migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return d, nil
}

func (d *DB) migrate(ctx context.Context, migrations []string) error {
	var version int
	if err := d.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("schema version %d is newer than %d, the newest this fairlead knows: start the fairlead that wrote it", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		err := d.InTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", version+1, err)
		}
	}
	return nil
}

// InTx runs f in one transaction, which is rolled back when f fails.
func (d *DB) InTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Backup writes a consistent copy under the same name into the directory dir,
// which must exist and not hold one. [Open] opens the copy as it is. Reads and
// writes go on meanwhile.
func (d *DB) Backup(ctx context.Context, dir string) error {
	path := filepath.Join(dir, filepath.Base(d.path))
	if _, err := d.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("back up %s to %s: %w", d.path, path, err)
	}
	return nil
}
