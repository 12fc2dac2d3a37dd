// Package alerts keeps the states of alerts, silences, and what is still to be
// told to whom, in one SQLite file, so that a restart neither forgets an alert
// nor tells it twice.
//
// [Open] a store; [Store.Save] writes a round of evaluation and what it gives
// to tell, in one transaction; [Store.Next], [Store.Told] and [Store.Postpone]
// work the queue of one receiver.
package alerts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/store/sqlite"
)

// FileName is the name of the database in the data directory.
const FileName = "alerts.db"

var migrations = []string{
	`CREATE TABLE alerts (
	   key   TEXT PRIMARY KEY,
	   alert TEXT NOT NULL -- alert.Alert as JSON
	 ) WITHOUT ROWID;
	 CREATE TABLE silences (
	   id      TEXT PRIMARY KEY,
	   ends_ns INTEGER NOT NULL,
	   silence TEXT NOT NULL -- alert.Silence as JSON
	 ) WITHOUT ROWID;
	 CREATE TABLE told ( -- what was last put into the queue for a receiver, by alert
	   receiver TEXT NOT NULL,
	   key      TEXT NOT NULL,
	   firing_ns INTEGER NOT NULL, -- since when it fired: tells one episode from the next
	   status   TEXT NOT NULL,    -- firing, resolved
	   at_ns    INTEGER NOT NULL,
	   delivery TEXT NOT NULL,    -- Delivery as JSON
	   PRIMARY KEY (receiver, key)
	 ) WITHOUT ROWID;
	 CREATE TABLE queue (
	   id       INTEGER PRIMARY KEY,
	   receiver TEXT NOT NULL,
	   key      TEXT NOT NULL,
	   status   TEXT NOT NULL,
	   message  TEXT NOT NULL, -- as the receiver's adapter wants it
	   queued_ns INTEGER NOT NULL,
	   attempts INTEGER NOT NULL DEFAULT 0,
	   next_ns  INTEGER NOT NULL
	 );
	 CREATE INDEX queue_receiver ON queue (receiver, id);`,
}

// ErrNotFound is returned for a silence that there is not.
var ErrNotFound = errors.New("not found")

// Bounds of what is kept.
const (
	MaxSilences = 1000
	// MaxQueue is how many messages wait for one receiver; the oldest go first.
	MaxQueue = 10_000
	// silenceKept is how long a silence that is over is shown.
	silenceKept = 24 * time.Hour
)

// Store is safe for concurrent use.
type Store struct{ db *sqlite.DB }

// Open opens or creates the store in the directory dir, which must exist.
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

// Alerts returns the alerts of the last round, in no order.
func (s *Store) Alerts(ctx context.Context) ([]alert.Alert, error) {
	return list[alert.Alert](ctx, s.db, "SELECT alert FROM alerts")
}

// Silences returns the silences, the one that ends last first; those that are
// over stay for a day.
func (s *Store) Silences(ctx context.Context) ([]alert.Silence, error) {
	all, err := list[alert.Silence](ctx, s.db, "SELECT silence FROM silences ORDER BY ends_ns DESC, id")
	for i := range all {
		for j := range all[i].Matchers {
			if err := all[i].Matchers[j].Compile(); err != nil {
				return nil, fmt.Errorf("silence %s: %w", all[i].ID, err)
			}
		}
	}
	return all, err
}

func list[T any](ctx context.Context, db *sqlite.DB, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		var v T
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("read %T: %w", v, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// AddSilence keeps a silence, which must have passed its Check.
func (s *Store) AddSilence(ctx context.Context, v alert.Silence) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM silences").Scan(&n); err != nil {
			return err
		}
		if n >= MaxSilences {
			return fmt.Errorf("there are %d silences, the most that are kept: end some, or let them run out", n)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO silences (id, ends_ns, silence) VALUES (?, ?, ?)", v.ID, v.EndsAt.UnixNano(), string(text))
		return err
	})
}

// EndSilence lets a silence end now, or returns ErrNotFound.
func (s *Store) EndSilence(ctx context.Context, id string, now time.Time) (alert.Silence, error) {
	found, err := list[alert.Silence](ctx, s.db, "SELECT silence FROM silences WHERE id = ?", id)
	if err != nil {
		return alert.Silence{}, err
	}
	if len(found) == 0 || !found[0].EndsAt.After(now) {
		return alert.Silence{}, fmt.Errorf("silence %s: %w, or it is over", id, ErrNotFound)
	}
	v := found[0]
	v.EndsAt = now
	text, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	_, err = s.db.ExecContext(ctx, "UPDATE silences SET ends_ns = ?, silence = ? WHERE id = ?", now.UnixNano(), string(text), id)
	return v, err
}

// Delivery is how telling one alert to one receiver stands.
type Delivery struct {
	Receiver string `json:"receiver"`
	Status   string `json:"status"` // what is told: firing or resolved
	// State is waiting, delivered or failed (for good).
	State    string    `json:"state"`
	At       time.Time `json:"at"`                 // since when State is so
	Attempts int       `json:"attempts,omitempty"` // made
	Error    string    `json:"error,omitempty"`    // of the last attempt that failed
}

// The states of a delivery.
const (
	DeliveryWaiting   = "waiting"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed"
)

// Told is what was last put into the queue about an alert for a receiver.
type Told struct {
	Receiver, Key string
	FiringSince   time.Time // of the alert then
	Status        string
	At            time.Time
	Delivery      Delivery
}

// TellRecords returns what was told, by receiver and alert.
func (s *Store) TellRecords(ctx context.Context) ([]Told, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT receiver, key, firing_ns, status, at_ns, delivery FROM told ORDER BY receiver, key")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Told
	for rows.Next() {
		var t Told
		var firing, at int64
		var delivery string
		if err := rows.Scan(&t.Receiver, &t.Key, &firing, &t.Status, &at, &delivery); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(delivery), &t.Delivery); err != nil {
			return nil, fmt.Errorf("read delivery: %w", err)
		}
		t.FiringSince, t.At = time.Unix(0, firing).UTC(), time.Unix(0, at).UTC()
		out = append(out, t)
	}
	return out, rows.Err()
}
