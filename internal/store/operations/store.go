// Package operations keeps the record of Helm operations: what wrapper, agent
// and plain spans say about each, joined to one operation, and the metrics
// that follow from the records, each operation counted exactly once.
//
// [Open] a store, feed it with [Store.ConsumeLogs] and [Store.ConsumeTraces],
// read it with the methods of read.go, and let [Store.Derive] send the metrics
// to a metrics store.
package operations

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/store/sqlite"
)

// FileName is the name of the database in the data directory.
const FileName = "operations.db"

// migrations[i] takes a database from version i to i+1.
var migrations = []string{
	`CREATE TABLE sightings (
	   key    TEXT NOT NULL,  -- operation id, or trace id/span id until that is known
	   source TEXT NOT NULL,  -- wrapper, agent, spans, spans:failed
	   op     TEXT NOT NULL,  -- release.Operation as JSON
	   PRIMARY KEY (key, source)
	 ) WITHOUT ROWID;
	 CREATE TABLE aliases (span TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
	 CREATE TABLE operations (
	   key       TEXT PRIMARY KEY,
	   trace_id  TEXT NOT NULL,
	   cluster   TEXT NOT NULL,
	   namespace TEXT NOT NULL,
	   release   TEXT NOT NULL,
	   kind      TEXT NOT NULL,
	   state     TEXT NOT NULL,
	   start_ns  INTEGER NOT NULL,
	   end_ns    INTEGER NOT NULL,
	   op        TEXT NOT NULL,
	   counted   TEXT NOT NULL DEFAULT '' -- "true" or "false": helm.success it was counted under
	 ) WITHOUT ROWID;
	 CREATE INDEX operations_release ON operations (namespace, release, cluster, start_ns DESC);
	 CREATE INDEX operations_start ON operations (start_ns DESC);
	 CREATE INDEX operations_trace ON operations (trace_id);
	 CREATE TABLE counters (
	   name      TEXT NOT NULL,  -- helm.deploy.count or helm.rollback.count
	   cluster   TEXT NOT NULL,
	   namespace TEXT NOT NULL,
	   release   TEXT NOT NULL,
	   success   TEXT NOT NULL,
	   count     INTEGER NOT NULL,
	   sum       REAL NOT NULL,  -- seconds; deploys only
	   buckets   TEXT NOT NULL,  -- JSON array, one count per bound and one above the last
	   since_ns  INTEGER NOT NULL, -- when the series began, at 0
	   last_ns   INTEGER NOT NULL, -- when count last changed
	   started   INTEGER NOT NULL DEFAULT 0, -- 1: the metrics store has the 0
	   PRIMARY KEY (name, cluster, namespace, release, success)
	 ) WITHOUT ROWID;
	 CREATE TABLE snapshots (
	   key  TEXT PRIMARY KEY,
	   at_ns INTEGER NOT NULL,
	   body TEXT NOT NULL
	 ) WITHOUT ROWID;`,
	`CREATE TABLE objects (
	   namespace TEXT NOT NULL,
	   kind      TEXT NOT NULL,
	   name      TEXT NOT NULL,
	   cluster   TEXT NOT NULL,
	   release   TEXT NOT NULL,
	   PRIMARY KEY (namespace, kind, name, cluster)
	 ) WITHOUT ROWID;
	 CREATE INDEX objects_release ON objects (namespace, release, cluster);`,
	`CREATE INDEX counters_release ON counters (cluster, namespace, release);`,
}

// ErrNotFound is returned for an operation, release or snapshot that the store
// has no record of.
var ErrNotFound = errors.New("not found")

// Store is the record of operations in one SQLite file. It is safe for
// concurrent use.
type Store struct {
	db  *sqlite.DB
	now func() time.Time

	// mu serialises writers: SQLite has one, and folding reads what it writes.
	mu sync.Mutex
	// changed are the releases that Derive has news of, gone those among them
	// that were uninstalled.
	changed, gone map[releaseKey]bool
	// notify holds a token while changed is not empty.
	notify chan struct{}

	// indexes are told of what changed.
	indexes []*Index

	// gauges are what the gauges of each installed release last said.
	gauges map[releaseKey]gauges
}

type releaseKey struct{ cluster, namespace, release string }

// Options are the optional parts of a [Store].
type Options struct {
	// Now is the clock that derived samples are stamped with; time.Now when nil.
	Now func() time.Time
}

// Open opens or creates the record in the directory dir, which must exist, and
// migrates it forward. A database of a newer fairlead is refused.
func Open(dir string, o Options) (*Store, error) {
	db, err := sqlite.Open(dir, FileName, migrations)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, now: o.Now, changed: map[releaseKey]bool{}, gone: map[releaseKey]bool{},
		notify: make(chan struct{}, 1), gauges: map[releaseKey]gauges{}}
	if s.now == nil {
		s.now = time.Now
	}
	// What was written before a crash may not have reached the metrics store.
	if err := s.markAll(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", filepath.Join(dir, FileName), err), db.Close())
	}
	return s, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Backup writes a consistent copy of the database into the directory dir, which
// must exist and not hold one. A store opens the copy as it is.
func (s *Store) Backup(ctx context.Context, dir string) error { return s.db.Backup(ctx, dir) }
