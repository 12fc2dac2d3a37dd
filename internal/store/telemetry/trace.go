package telemetry

import (
	"context"
	"errors"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
)

// byTrace calls visit for the records of the chunks that the trace index names
// for the ids, others of these chunks included.
func (s *Store) byTrace(ctx context.Context, kind segment.Kind, ids []otlpwire.TraceID, visit func(it otlpwire.Item, res *segment.Resource)) (Scanned, error) {
	var sc Scanned
	files, release, err := s.use()
	if err != nil {
		return sc, err
	}
	var damaged []*file
	defer func() {
		release()
		for _, f := range damaged {
			s.suspect(f, sc.Skipped)
		}
	}()
	for _, f := range files {
		if f.Totals(kind).Records == 0 {
			continue
		}
		err := fileByTrace(ctx, f, kind, ids, &sc, visit)
		if errors.Is(err, segment.ErrCorrupt) {
			sc.Skipped = append(sc.Skipped, err)
			damaged = append(damaged, f)
			continue
		}
		if err != nil {
			return sc, err
		}
	}
	return sc, nil
}

func fileByTrace(ctx context.Context, f *file, kind segment.Kind, ids []otlpwire.TraceID, sc *Scanned, visit func(it otlpwire.Item, res *segment.Resource)) error {
	snap, err := f.Snapshot(ctx, ids...)
	if err != nil {
		return err
	}
	defer snap.Close()
	wanted := make(map[otlpwire.TraceID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	want := func(id otlpwire.TraceID) bool { return wanted[id] }
	done := map[int64]bool{}
	for _, id := range ids {
		chunks, err := snap.ByTrace(ctx, kind, id)
		if err != nil {
			return err
		}
		for _, chunk := range chunks {
			if done[chunk] {
				continue
			}
			done[chunk] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			var group itemGroup
			n, err := snap.Pick(ctx, chunk, want, func(it otlpwire.Item) {
				sc.Records++
				if res := group.enter(f, &it); res != nil {
					visit(it, res)
				}
			})
			sc.Bytes += int64(n)
			switch {
			case errors.Is(err, segment.ErrNoChunk):
				continue // sealed meanwhile: the index names its successor
			case errors.Is(err, segment.ErrBadChunk):
				sc.Skipped = append(sc.Skipped, err)
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// itemGroup is the resource and scope that items of a chunk share one after the
// other.
type itemGroup struct {
	resource, scope []byte // as the chunk has them
	res             *segment.Resource
	own             []byte // a copy of scope
}

// enter returns the item's resource, nil where the file does not know it, and
// takes the item's headers out of the chunk, which it would otherwise keep in
// memory whole.
func (g *itemGroup) enter(f *file, it *otlpwire.Item) *segment.Resource {
	if g.res == nil || !same(g.resource, it.Resource) {
		g.resource, g.res = it.Resource, f.ResourceByID(f.ResourceID(it.Resource))
	}
	if g.own == nil || !same(g.scope, it.Scope) {
		g.scope, g.own = it.Scope, append([]byte{}, it.Scope...)
	}
	if g.res != nil {
		it.Resource, it.Scope = g.res.Header, g.own
	}
	return g.res
}

// same reports whether two headers are one and the same memory.
func same(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
