// Package audit keeps who did what: every action that a person or a token took
// through the server (a silence, a test alert, an approval, an abort). [Open]
// a store, [Store.Add] to it, read it with [Store.List].
package audit

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/store/sqlite"
)

// FileName is the name of the database in the data directory.
const FileName = "audit.db"

var migrations = []string{
	`CREATE TABLE entries (
	   id      INTEGER PRIMARY KEY,
	   at_ns   INTEGER NOT NULL,
	   who     TEXT NOT NULL,
	   action  TEXT NOT NULL,
	   subject TEXT NOT NULL,
	   detail  TEXT NOT NULL,
	   error   TEXT NOT NULL
	 );`,
}

// Bounds: entries kept, entries a call returns, bytes of one text.
const (
	MaxEntries = 100_000
	MaxPage    = 1000
	maxText    = 4096
)

// Entry is one action.
type Entry struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"`              // the token's name, or the user's
	Action  string    `json:"action"`           // alert.test, alert.silence, rollout.abort, ...
	Subject string    `json:"subject"`          // what it was done to
	Detail  string    `json:"detail,omitempty"` // how, in words
	Error   string    `json:"error,omitempty"`  // why it failed; "" = it was done
}

// Store is the record of actions. It is safe for concurrent use.
type Store struct{ db *sqlite.DB }

// Open opens or creates the record in the directory dir, which must exist.
func Open(dir string) (*Store, error) {
	db, err := sqlite.Open(dir, FileName, migrations)
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Backup writes a consistent copy into the directory dir.
func (s *Store) Backup(ctx context.Context, dir string) error { return s.db.Backup(ctx, dir) }

// Add records an action. Who acts without leaving a record must not act: record
// before the action, or undo it when this fails.
func (s *Store) Add(ctx context.Context, e Entry) error {
	res, err := s.db.ExecContext(ctx, "INSERT INTO entries (at_ns, who, action, subject, detail, error) VALUES (?, ?, ?, ?, ?, ?)",
		e.At.UnixNano(), clip(e.Who), clip(e.Action), clip(e.Subject), clip(e.Detail), clip(e.Error))
	if err != nil {
		return fmt.Errorf("record action %s: %w", e.Action, err)
	}
	id, err := res.LastInsertId()
	if err != nil || id%1000 != 0 {
		return err
	}
	_, err = s.db.ExecContext(ctx, "DELETE FROM entries WHERE id <= ?", id-MaxEntries)
	return err
}

// List returns the newest actions, newest first, that happened before until
// (zero: now). limit is 1 to MaxPage; 0 = 50.
func (s *Store) List(ctx context.Context, until time.Time, limit int) ([]Entry, error) {
	if limit <= 0 {
		limit = 50
	}
	ns := int64(1<<63 - 1)
	if !until.IsZero() {
		ns = until.UnixNano()
	}
	rows, err := s.db.QueryContext(ctx, "SELECT at_ns, who, action, subject, detail, error FROM entries WHERE at_ns < ? ORDER BY id DESC LIMIT ?",
		ns, min(limit, MaxPage))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var e Entry
		var at int64
		if err := rows.Scan(&at, &e.Who, &e.Action, &e.Subject, &e.Detail, &e.Error); err != nil {
			return nil, err
		}
		e.At = time.Unix(0, at).UTC()
		out = append(out, e)
	}
	return out, rows.Err()
}

func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}
