package segment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// Open returns how many chunks and records of them are not sealed.
func (f *File) Open() (chunks, records int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, o := range f.open {
		records += o.n
	}
	return len(f.open), records
}

// Seal merges the chunks that small or mixed writes left behind into full ones
// of few resources, and moves the trace keys of all from memory into the
// index. Reads and writes go on meanwhile.
func (f *File) Seal(ctx context.Context) error {
	f.sealing.Lock()
	defer f.sealing.Unlock()
	for kind := Kind(0); kind < kinds; kind++ {
		if err := f.seal(ctx, kind); err != nil {
			return fmt.Errorf("seal %s of %s: %w", kind, f.path, err)
		}
		for level := range maxRunLevel {
			if err := f.mergeRuns(ctx, kind, level); err != nil {
				return fmt.Errorf("merge trace index of %s: %w", f.path, err)
			}
		}
	}
	return nil
}

// maxSeal bounds the records that one sealing step decodes at once.
const maxSeal = 64 << 10

func (f *File) seal(ctx context.Context, kind Kind) error {
	for {
		ids := f.sealable(kind)
		if len(ids) == 0 {
			return nil
		}
		if err := f.sealStep(ctx, kind, ids); err != nil {
			return err
		}
	}
}

// sealable returns the oldest open chunks, up to maxSeal records.
func (f *File) sealable(kind Kind) (ids []int64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for id, o := range f.open {
		if o.kind == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	n := 0
	for i, id := range ids {
		if n += f.open[id].n; n > maxSeal && i > 0 {
			return ids[:i]
		}
	}
	return ids
}

// sealStep seals the given open chunks in one transaction. A damaged chunk is
// left in place, unindexed by trace.
func (f *File) sealStep(ctx context.Context, kind Kind, ids []int64) error {
	var kept []*chunk       // stay as they are
	var old, fresh []*chunk // old are replaced by fresh
	rewrite, err := f.rewritable(ctx, kind, ids, &kept, &old)
	if err != nil {
		return err
	}
	for _, part := range plan(rewrite) {
		ch, err := f.codec.encodeSealed(kind, part)
		if err != nil {
			return err
		}
		fresh = append(fresh, ch)
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	for i, ch := range fresh {
		ch.id = f.nextID + int64(i)
	}
	var entries []entry
	for _, ch := range slices.Concat(kept, fresh) {
		for _, k := range ch.keys {
			entries = append(entries, entry{k, ch.id})
		}
	}
	sortEntries(entries)
	err = f.transact(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.StmtContext(ctx, f.stmts.dropOpen).ExecContext(ctx, id); err != nil {
				return fmt.Errorf("delete open chunk: %w", err)
			}
		}
		for _, ch := range old {
			if err := f.deleteChunk(ctx, tx, ch); err != nil {
				return err
			}
		}
		for _, ch := range fresh {
			if err := f.insertChunk(ctx, tx, ch); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return f.insertRun(ctx, tx, kind, 0, entries)
	})
	if err != nil {
		return err
	}
	f.nextID += int64(len(fresh))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.open, id)
	}
	return nil
}

// rewritable sorts the open chunks into those that stay and those that are
// replaced, and returns the records of the latter.
func (f *File) rewritable(ctx context.Context, kind Kind, ids []int64, kept, old *[]*chunk) (records []resolved, err error) {
	f.mu.RLock()
	open := make([]openChunk, len(ids))
	for i, id := range ids {
		open[i] = f.open[id]
	}
	f.mu.RUnlock()
	snap, err := f.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	for i, id := range ids {
		if o := open[i]; o.n >= smallChunk && o.res <= mixedChunk {
			*kept = append(*kept, &chunk{id: id, kind: kind, keys: o.keys})
			continue
		}
		b, err := snap.Chunk(ctx, id)
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rs, err := Records(kind, b)
		if err != nil {
			return nil, fmt.Errorf("%w: chunk %d: %w", ErrCorrupt, id, err)
		}
		part := make([]resolved, len(rs))
		f.mu.RLock()
		for k := range rs {
			res := f.resources[string(rs[k].Resource)]
			if res == nil {
				f.mu.RUnlock()
				return nil, fmt.Errorf("%w: chunk %d has a resource that the file does not list", ErrCorrupt, id)
			}
			part[k] = resolved{&rs[k], res.ID}
		}
		f.mu.RUnlock()
		ch := describe(kind, part)
		ch.id = id
		*old = append(*old, ch)
		records = append(records, part...)
	}
	return records, nil
}

func (f *File) deleteChunk(ctx context.Context, tx *sql.Tx, ch *chunk) error {
	if _, err := tx.StmtContext(ctx, f.stmts.dropChunk).ExecContext(ctx, ch.id); err != nil {
		return fmt.Errorf("delete chunk: %w", err)
	}
	for _, r := range ch.res {
		if _, err := tx.StmtContext(ctx, f.stmts.dropRes).ExecContext(ctx, ch.kind, r.id, r.maxt, ch.id); err != nil {
			return fmt.Errorf("delete chunk's resource: %w", err)
		}
	}
	for _, e := range ch.errors {
		if _, err := tx.StmtContext(ctx, f.stmts.dropError).ExecContext(ctx, e.res, e.start, ch.id, e.idx); err != nil {
			return fmt.Errorf("delete error: %w", err)
		}
	}
	return nil
}
