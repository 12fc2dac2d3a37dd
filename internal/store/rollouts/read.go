package rollouts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/sqlite"
)

// Filter selects rollouts; zero fields select all.
type Filter struct {
	Cluster, Namespace, Name, Service string
	Active                            bool      // only those that have not ended
	Until                             time.Time // last heard of before
	Limit                             int       // 1 to MaxPage; 0 = DefaultPage
}

// DefaultPage and MaxPage bound what one call returns.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// List returns the latest record of each rollout, the one last heard of first.
// Verdicts and explanations are left out.
func (s *Store) List(ctx context.Context, f Filter) ([]rollout.Record, error) {
	var where sqlite.Where
	where.Add(f.Cluster != "", "cluster = ?", f.Cluster)
	where.Add(f.Namespace != "", "namespace = ?", f.Namespace)
	where.Add(f.Name != "", "name = ?", f.Name)
	where.Add(f.Service != "", "service = ?", f.Service)
	where.Add(f.Active, "ended = 0")
	where.Add(!f.Until.IsZero(), "at_ns < ?", f.Until.UnixNano())
	limit := DefaultPage
	if f.Limit > 0 {
		limit = min(f.Limit, MaxPage)
	}
	rows, err := s.db.QueryContext(ctx, "SELECT json_remove(record, '$.verdict', '$.explanation') FROM rollouts"+
		where.String()+" ORDER BY at_ns DESC, id LIMIT ?", where.Args(limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []rollout.Record
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		r, err := rollout.DecodeRecord([]byte(body))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Rollout returns the latest record of a rollout whole, or ErrNotFound.
func (s *Store) Rollout(ctx context.Context, id string) (rollout.Record, error) {
	var body string
	err := s.db.QueryRowContext(ctx, "SELECT record FROM rollouts WHERE id = ?", id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return rollout.Record{}, fmt.Errorf("rollout %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return rollout.Record{}, err
	}
	return rollout.DecodeRecord([]byte(body))
}

// Change is a run of looks that say the same: the first one, and how far the
// run goes.
type Change struct {
	Look
	Until time.Time `json:"until"` // the last look of the run
	Looks int       `json:"looks"` // as far as kept
}

// Changes returns how a rollout came where it is, oldest first; none for a
// rollout that the store does not know.
func (s *Store) Changes(ctx context.Context, id string) ([]Change, error) {
	looks, err := readLooks(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, l := range looks {
		if n := len(out); n > 0 && same(out[n-1].Look, l) {
			out[n-1].Until, out[n-1].Looks = l.At, out[n-1].Looks+1
			continue
		}
		out = append(out, Change{Look: l, Until: l.At, Looks: 1})
	}
	return out, nil
}

// readLooks returns the looks of a rollout, oldest first.
func readLooks(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, id string) ([]Look, error) {
	rows, err := db.QueryContext(ctx, "SELECT look FROM looks WHERE id = ? ORDER BY at_ns", id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Look
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		var l Look
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return nil, fmt.Errorf("read look of rollout %s: %w", id, err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}
