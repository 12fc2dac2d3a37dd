package telemetry

import (
	"context"
	"errors"
	"time"

	"fairlead.dev/fairlead/internal/store/segment"
)

// LogResources returns the resources that have log records in chunks that
// touch [from, to): the index is read, not the records. A resource that sent in
// several files is there once for each.
func (s *Store) LogResources(ctx context.Context, from, to time.Time) ([]*segment.Resource, Scanned, error) {
	var sc Scanned
	files, release, err := s.use()
	if err != nil {
		return nil, sc, err
	}
	defer release()
	lo, hi := bounds(from, to)
	var out []*segment.Resource
	for _, f := range files {
		ids, err := f.fileResources(ctx, segment.Logs, lo, hi)
		if errors.Is(err, segment.ErrCorrupt) {
			sc.Skipped = append(sc.Skipped, err)
			s.suspect(f, sc.Skipped)
			continue
		}
		if err != nil {
			return nil, sc, err
		}
		for id := range ids {
			if r := f.ResourceByID(id); r != nil {
				out = append(out, r)
			}
		}
	}
	return out, sc, nil
}

func (f *file) fileResources(ctx context.Context, kind segment.Kind, lo, hi int64) (map[int64]bool, error) {
	t, err := newTarget(ctx, f, kind, lo, hi, nil)
	if t == nil || err != nil {
		return nil, err
	}
	defer t.snap.Close()
	refs, err := t.snap.ByResource(ctx, kind, t.ids, lo, 1<<63-1, hi)
	ids := map[int64]bool{}
	for _, r := range refs {
		ids[r.Resource] = true
	}
	return ids, err
}
