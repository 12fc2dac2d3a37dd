// Package rollouts keeps where each rollout is and how it came there, from the
// records that whoever drives one emits (see [rollout.Record]).
//
// [Open] a store, feed it with [Store.ConsumeLogs], read it with [Store.List],
// [Store.Rollout] and [Store.Changes].
package rollouts

import (
	"context"
	"errors"
	"sync"

	"fairlead.dev/fairlead/internal/store/news"
	"fairlead.dev/fairlead/internal/store/sqlite"
)

// FileName is the name of the database in the data directory.
const FileName = "rollouts.db"

// A look is one record without its verdict and explanation. All are kept, so
// that the log of changes is the same in whatever order they came.
var migrations = []string{
	`CREATE TABLE rollouts (
	   id        TEXT PRIMARY KEY,
	   cluster   TEXT NOT NULL,
	   namespace TEXT NOT NULL,
	   name      TEXT NOT NULL,
	   service   TEXT NOT NULL,
	   ended     INTEGER NOT NULL, -- 1: its phase is an end
	   at_ns     INTEGER NOT NULL,
	   looks     INTEGER NOT NULL DEFAULT 0, -- rows in table looks
	   record    TEXT NOT NULL     -- the latest rollout.Record as JSON
	 ) WITHOUT ROWID;
	 CREATE INDEX rollouts_at ON rollouts (at_ns DESC);
	 CREATE INDEX rollouts_name ON rollouts (namespace, name, at_ns DESC);
	 CREATE TABLE looks (
	   id    TEXT NOT NULL,
	   at_ns INTEGER NOT NULL,
	   look  TEXT NOT NULL,        -- Look as JSON
	   PRIMARY KEY (id, at_ns)
	 ) WITHOUT ROWID;`,
}

// ErrNotFound is returned for a rollout that the store has no record of.
var ErrNotFound = errors.New("not found")

// Bounds of what is kept.
const (
	// MaxRollouts is how many rollouts are kept; those that ended the longest
	// ago go first.
	MaxRollouts = 5000
	// MaxLooks is how many looks of one rollout are kept: one in 15 s for 17
	// hours. The oldest that changed nothing go first.
	MaxLooks = 4096
)

// Store is the record of rollouts in one SQLite file. It is safe for
// concurrent use.
type Store struct {
	db *sqlite.DB
	// mu serialises writers: what is kept depends on what is there.
	mu sync.Mutex

	maxRollouts, maxLooks int

	// News tells when rollouts have changed.
	News news.News
}

// Open opens or creates the record in the directory dir, which must exist, and
// migrates it forward. A database of a newer fairlead is refused.
func Open(dir string) (*Store, error) {
	db, err := sqlite.Open(dir, FileName, migrations)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, maxRollouts: MaxRollouts, maxLooks: MaxLooks}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Backup writes a consistent copy of the database into the directory dir, which
// must exist and not hold one. A store opens the copy as it is.
func (s *Store) Backup(ctx context.Context, dir string) error { return s.db.Backup(ctx, dir) }
