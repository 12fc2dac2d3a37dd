package web

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
)

// lookedAt is how many of the newest failures are asked for what their
// snapshots could not read.
const lookedAt = 10

// missing returns what the newest snapshots could not read, and how many there are.
func (s *site) missing(ctx context.Context, p *page) (out []HealthRow, snapshots int, err error) {
	ops, err := s.o.Index.Operations(ctx, p.Filter.Cluster, p.Filter.Namespace, p.Now.Add(-7*24*time.Hour), p.Now.Add(time.Minute))
	if err != nil {
		return nil, 0, err
	}
	seen, looked := map[string]bool{}, 0
	for _, op := range ops {
		if op.State != release.StateFailed || looked == lookedAt {
			continue
		}
		looked++
		body, _, err := s.o.Operations.Snapshot(ctx, op.ID)
		if errors.Is(err, operations.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, snapshots, err
		}
		var snap struct {
			Missing []string `json:"missing"`
		}
		if json.Unmarshal([]byte(body), &snap) != nil {
			continue
		}
		snapshots++
		for _, m := range snap.Missing {
			if key := op.Namespace + m; !seen[key] {
				seen[key] = true
				out = append(out, HealthRow{Name: op.Namespace, Status: "warn", Text: m, Detail: "Grant what fairlead export rbac lists."})
			}
		}
	}
	return out, snapshots, nil
}
