package segment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// migrations bring a file from version i to version i+1. They only go forward;
// a file of a later version than this program knows is refused.
var migrations = []string{
	`CREATE TABLE resources(
		id     INTEGER PRIMARY KEY,
		tagged INTEGER NOT NULL,
		header BLOB NOT NULL);
	CREATE TABLE chunks(
		id   INTEGER PRIMARY KEY,
		kind INTEGER NOT NULL,
		n    INTEGER NOT NULL,
		mint INTEGER NOT NULL,
		maxt INTEGER NOT NULL,
		data BLOB NOT NULL);
	CREATE TABLE chunk_resources(
		kind  INTEGER NOT NULL,
		res   INTEGER NOT NULL,
		maxt  INTEGER NOT NULL,
		chunk INTEGER NOT NULL,
		mint  INTEGER NOT NULL,
		PRIMARY KEY(kind, res, maxt, chunk)) WITHOUT ROWID;
	CREATE TABLE errors(
		res   INTEGER NOT NULL,
		start INTEGER NOT NULL,
		chunk INTEGER NOT NULL,
		idx   INTEGER NOT NULL,
		PRIMARY KEY(res, start, chunk, idx)) WITHOUT ROWID;
	CREATE TABLE open_chunks(
		chunk INTEGER PRIMARY KEY,
		kind  INTEGER NOT NULL,
		n     INTEGER NOT NULL,
		res   INTEGER NOT NULL);
	CREATE TABLE totals(
		kind  INTEGER PRIMARY KEY,
		n     INTEGER NOT NULL,
		mint  INTEGER NOT NULL,
		maxt  INTEGER NOT NULL);
	CREATE TABLE trace_runs(
		kind  INTEGER NOT NULL,
		run   INTEGER NOT NULL,
		level INTEGER NOT NULL,
		PRIMARY KEY(kind, run)) WITHOUT ROWID;
	CREATE TABLE trace_index(
		kind  INTEGER NOT NULL,
		run   INTEGER NOT NULL,
		first INTEGER NOT NULL,
		data  BLOB NOT NULL,
		PRIMARY KEY(kind, run, first)) WITHOUT ROWID;`,
	// Version 2 may hold light chunks, which version 1 cannot read.
	`SELECT 1`,
}

// ErrNewer is returned by Open for a file that a later version wrote.
var ErrNewer = errors.New("written by a later version of fairlead")

// applicationID marks our files ("flsg"), so that another program's database
// in the directory is never taken for one.
const applicationID = 0x666c7367

func migrate(ctx context.Context, db *sql.DB) error {
	var version, id int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return fmt.Errorf("read application id: %w", err)
	}
	if version > 0 && id != applicationID {
		return fmt.Errorf("%w: a SQLite database of another program", ErrCorrupt)
	}
	if version > len(migrations) {
		return fmt.Errorf("%w: schema version %d, this one knows up to %d: run the later version, or move the file away", ErrNewer, version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin migration to schema version %d: %w", version+1, err)
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", migrations[version], applicationID, version+1))
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("migrate to schema version %d: %w", version+1, err)
		}
	}
	return nil
}
