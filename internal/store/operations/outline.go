package operations

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// OutlineDepth is how many of a release's newest operations [Store.Outline]
// returns beside those of its time.
const OutlineDepth = 100

// Outline returns, of all releases, the operations that ended at or after since,
// and of each release the newest [OutlineDepth], in no order. Only identity,
// place, kind, state and times are filled in.
func (s *Store) Outline(ctx context.Context, since time.Time) ([]release.Operation, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT key, trace_id, cluster, namespace, release, kind, state, start_ns, end_ns FROM (
	    SELECT key, trace_id, cluster, namespace, release, kind, state, start_ns, end_ns, row_number() OVER (PARTITION BY namespace, release, cluster ORDER BY start_ns DESC) AS n FROM operations WHERE namespace <> '')
	  WHERE n <= ? OR end_ns >= ?`, OutlineDepth, since.UnixNano())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []release.Operation
	for rows.Next() {
		var op release.Operation
		var start, end int64
		if err := rows.Scan(&op.ID, &op.TraceID, &op.Cluster, &op.Namespace, &op.Release, &op.Kind, &op.State, &start, &end); err != nil {
			return nil, err
		}
		op.Start, op.End = instant(start), instant(end)
		out = append(out, op)
	}
	return out, rows.Err()
}

func instant(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
