package alerts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/alert"
)

// Tell is a message to put into the queue.
type Tell struct {
	Receiver    string
	Key         string // of the alert
	FiringSince time.Time
	Status      string          // what is told: firing or resolved
	Message     json.RawMessage // kept as it is
	// Replaces says that what waits about the same alert need not be told any
	// more, whatever it says: the receiver keeps states, not messages.
	Replaces bool
}

// Save writes a round: the alerts as they are now, and what is to be told.
func (s *Store) Save(ctx context.Context, all []alert.Alert, tell []Tell, now time.Time) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM alerts"); err != nil {
			return err
		}
		for _, a := range all {
			text, err := json.Marshal(a)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO alerts (key, alert) VALUES (?, ?)", a.Key(), string(text)); err != nil {
				return err
			}
		}
		for _, t := range tell {
			if err := enqueue(ctx, tx, t, now); err != nil {
				return err
			}
		}
		for query, arg := range map[string]int64{
			"DELETE FROM silences WHERE ends_ns < ?": now.Add(-silenceKept).UnixNano(),
			// What was told of an alert is needed while the alert is kept.
			"DELETE FROM told WHERE at_ns < ? AND key NOT IN (SELECT key FROM alerts)": now.UnixNano(),
		} {
			if _, err := tx.ExecContext(ctx, query, arg); err != nil {
				return err
			}
		}
		return nil
	})
}

func enqueue(ctx context.Context, tx *sql.Tx, t Tell, now time.Time) error {
	d := Delivery{Receiver: t.Receiver, Status: t.Status, State: DeliveryWaiting, At: now}
	delivery, err := json.Marshal(d)
	if err != nil {
		return err
	}
	for _, q := range []struct {
		query string
		args  []any
	}{
		// A repetition that waits says the same.
		{"DELETE FROM queue WHERE receiver = ? AND key = ? AND (status = ? OR ?)", []any{t.Receiver, t.Key, t.Status, t.Replaces}},
		{"INSERT INTO queue (receiver, key, status, message, queued_ns, next_ns) VALUES (?, ?, ?, ?, ?, ?)",
			[]any{t.Receiver, t.Key, t.Status, string(t.Message), now.UnixNano(), now.UnixNano()}},
		{"DELETE FROM queue WHERE receiver = ? AND id <= (SELECT id FROM queue WHERE receiver = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
			[]any{t.Receiver, t.Receiver, MaxQueue}},
		{`INSERT INTO told (receiver, key, firing_ns, status, at_ns, delivery) VALUES (?, ?, ?, ?, ?, ?)
		  ON CONFLICT (receiver, key) DO UPDATE SET firing_ns = excluded.firing_ns, status = excluded.status, at_ns = excluded.at_ns, delivery = excluded.delivery`,
			[]any{t.Receiver, t.Key, t.FiringSince.UnixNano(), t.Status, now.UnixNano(), string(delivery)}},
	} {
		if _, err := tx.ExecContext(ctx, q.query, q.args...); err != nil {
			return err
		}
	}
	return nil
}

// Item is a message in the queue.
type Item struct {
	ID       int64
	Receiver string
	Key      string
	Status   string
	Message  json.RawMessage
	Queued   time.Time
	Attempts int       // made before
	Due      time.Time // not to be tried earlier
}

// Next returns the oldest message that waits for the receiver; ok is false when
// there is none. Messages of a receiver go out one after the other, so that an
// end never overtakes its beginning.
func (s *Store) Next(ctx context.Context, receiver string) (item Item, ok bool, err error) {
	var message string
	var queued, due int64
	err = s.db.QueryRowContext(ctx, "SELECT id, receiver, key, status, message, queued_ns, attempts, next_ns FROM queue WHERE receiver = ? ORDER BY id LIMIT 1", receiver).
		Scan(&item.ID, &item.Receiver, &item.Key, &item.Status, &message, &queued, &item.Attempts, &due)
	if errors.Is(err, sql.ErrNoRows) {
		return item, false, nil
	}
	if err != nil {
		return item, false, err
	}
	item.Message = json.RawMessage(message)
	item.Queued, item.Due = time.Unix(0, queued).UTC(), time.Unix(0, due).UTC()
	return item, true, nil
}

// Told takes a message from the queue: it was delivered (problem ""), or never
// will be.
func (s *Store) Told(ctx context.Context, item Item, problem string, now time.Time) error {
	d := Delivery{Receiver: item.Receiver, Status: item.Status, State: DeliveryDelivered, At: now, Attempts: item.Attempts + 1, Error: problem}
	if problem != "" {
		d.State = DeliveryFailed
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM queue WHERE id = ?", item.ID); err != nil {
			return err
		}
		return setDelivery(ctx, tx, item, d)
	})
}

// Postpone leaves a message in the queue until due, after an attempt that failed.
func (s *Store) Postpone(ctx context.Context, item Item, problem string, due, now time.Time) error {
	d := Delivery{Receiver: item.Receiver, Status: item.Status, State: DeliveryWaiting, At: now, Attempts: item.Attempts + 1, Error: problem}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE queue SET attempts = attempts + 1, next_ns = ? WHERE id = ?", due.UnixNano(), item.ID); err != nil {
			return err
		}
		return setDelivery(ctx, tx, item, d)
	})
}

func setDelivery(ctx context.Context, tx *sql.Tx, item Item, d Delivery) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE told SET delivery = ? WHERE receiver = ? AND key = ? AND status = ?", string(text), item.Receiver, item.Key, item.Status)
	return err
}

// Waiting returns how many messages wait, by receiver.
func (s *Store) Waiting(ctx context.Context) (map[string]int, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT receiver, count(*) FROM queue GROUP BY receiver")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var receiver string
		var n int
		if err := rows.Scan(&receiver, &n); err != nil {
			return nil, err
		}
		out[receiver] = n
	}
	return out, rows.Err()
}

// Forget drops what waits for receivers that are not among known: they are no
// longer configured.
func (s *Store) Forget(ctx context.Context, known []string) error {
	text, err := json.Marshal(append([]string{}, known...))
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		for _, statement := range []string{
			"DELETE FROM queue WHERE receiver NOT IN (SELECT value FROM json_each(?))",
			"DELETE FROM told WHERE receiver NOT IN (SELECT value FROM json_each(?))",
		} {
			if _, err := tx.ExecContext(ctx, statement, string(text)); err != nil {
				return err
			}
		}
		return nil
	})
}
