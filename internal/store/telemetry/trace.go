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
			body, err := snap.Chunk(ctx, chunk)
			switch {
			case errors.Is(err, segment.ErrNoChunk):
				continue // sealed meanwhile: the index names its successor
			case errors.Is(err, segment.ErrBadChunk):
				sc.Skipped = append(sc.Skipped, err)
				continue
			case err != nil:
				return err
			}
			sc.Bytes += int64(len(body))
			err = eachItem(f, body, func(it otlpwire.Item, resource int64) {
				sc.Records++
				if res := f.ResourceByID(resource); res != nil {
					visit(it, res)
				}
			})
			if err != nil {
				sc.Skipped = append(sc.Skipped, err)
			}
		}
	}
	return nil
}
