package segment

import (
	"context"
	"database/sql"
	"fmt"
)

// writeStmts are prepared once on the only write connection.
type writeStmts struct {
	resource, tag, chunk, chunkRes, errorSpan, open, total *sql.Stmt
	dropChunk, dropRes, dropError, dropOpen                *sql.Stmt
	run, block, dropRun, dropBlocks                        *sql.Stmt
}

func (f *File) prepare(ctx context.Context) error {
	for _, p := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&f.stmts.resource, "INSERT INTO resources(id, tagged, header) VALUES(?, ?, ?)"},
		{&f.stmts.tag, "UPDATE resources SET tagged = 1 WHERE id = ?"},
		{&f.stmts.chunk, "INSERT INTO chunks(id, kind, n, mint, maxt, data) VALUES(?, ?, ?, ?, ?, ?)"},
		{&f.stmts.chunkRes, "INSERT INTO chunk_resources(kind, res, maxt, chunk, mint) VALUES(?, ?, ?, ?, ?)"},
		{&f.stmts.errorSpan, "INSERT INTO errors(res, start, chunk, idx) VALUES(?, ?, ?, ?)"},
		{&f.stmts.open, "INSERT INTO open_chunks(chunk, kind, n, res) VALUES(?, ?, ?, ?)"},
		{&f.stmts.total, "INSERT INTO totals(kind, n, mint, maxt) VALUES(?, ?, ?, ?) ON CONFLICT(kind) DO UPDATE SET n = excluded.n, mint = excluded.mint, maxt = excluded.maxt"},
		{&f.stmts.dropChunk, "DELETE FROM chunks WHERE id = ?"},
		{&f.stmts.dropRes, "DELETE FROM chunk_resources WHERE kind = ? AND res = ? AND maxt = ? AND chunk = ?"},
		{&f.stmts.dropError, "DELETE FROM errors WHERE res = ? AND start = ? AND chunk = ? AND idx = ?"},
		{&f.stmts.dropOpen, "DELETE FROM open_chunks WHERE chunk = ?"},
		{&f.stmts.run, "INSERT INTO trace_runs(kind, run, level) VALUES(?, ?, ?)"},
		{&f.stmts.block, "INSERT INTO trace_index(kind, run, first, data) VALUES(?, ?, ?, ?)"},
		{&f.stmts.dropRun, "DELETE FROM trace_runs WHERE kind = ? AND run = ?"},
		{&f.stmts.dropBlocks, "DELETE FROM trace_index WHERE kind = ? AND run = ?"},
	} {
		st, err := f.w.PrepareContext(ctx, p.query)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.query, err)
		}
		*p.to = st
	}
	return nil
}

// Batch is what one Append writes: all of it or nothing.
type Batch [kinds][]Record

// Append writes the batch in one transaction. When it returns nil the records
// survive the end of the process; on an error that wraps ErrFull or ErrCorrupt
// none of them is in the file.
func (f *File) Append(ctx context.Context, batch Batch) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	p := &pending{file: f, totals: f.totals}
	var chunks []*chunk
	for kind := range batch {
		if len(batch[kind]) == 0 {
			continue
		}
		records := p.resolve(batch[kind])
		for _, part := range plan(records) {
			ch, err := f.codec.encode(Kind(kind), part)
			if err != nil {
				return fmt.Errorf("append to %s: %w", f.path, err)
			}
			ch.id = f.nextID + int64(len(chunks))
			chunks = append(chunks, ch)
		}
		p.count(Kind(kind), batch[kind])
	}
	err := f.transact(ctx, func(tx *sql.Tx) error {
		if err := p.insert(ctx, tx, &f.stmts); err != nil {
			return err
		}
		for _, ch := range chunks {
			if err := f.insertChunk(ctx, tx, ch); err != nil {
				return err
			}
			if _, err := tx.StmtContext(ctx, f.stmts.open).ExecContext(ctx, ch.id, ch.kind, ch.n, len(ch.res)); err != nil {
				return fmt.Errorf("insert open chunk: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("append to %s: %w", f.path, err)
	}
	f.nextID += int64(len(chunks))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range p.added {
		f.addResource(r)
	}
	f.totals = p.totals
	for _, ch := range chunks {
		f.open[ch.id] = openChunk{kind: ch.kind, n: ch.n, res: len(ch.res), keys: ch.keys}
	}
	return nil
}

// transact runs write in a transaction. The caller holds writing.
func (f *File) transact(ctx context.Context, write func(*sql.Tx) error) error {
	// The acknowledgement must not depend on when a caller gives up: a commit
	// is never interrupted.
	ctx = context.WithoutCancel(ctx)
	tx, err := f.w.BeginTx(ctx, nil)
	if err != nil {
		return classify(fmt.Errorf("begin: %w", err))
	}
	if err := write(tx); err != nil {
		_ = tx.Rollback()
		return classify(err)
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return classify(fmt.Errorf("commit: %w", err))
	}
	return nil
}

func (f *File) insertChunk(ctx context.Context, tx *sql.Tx, ch *chunk) error {
	if _, err := tx.StmtContext(ctx, f.stmts.chunk).ExecContext(ctx, ch.id, ch.kind, ch.n, ch.mint, ch.maxt, ch.data); err != nil {
		return fmt.Errorf("insert chunk: %w", err)
	}
	st := tx.StmtContext(ctx, f.stmts.chunkRes)
	for _, r := range ch.res {
		if _, err := st.ExecContext(ctx, ch.kind, r.id, r.maxt, ch.id, r.mint); err != nil {
			return fmt.Errorf("insert chunk's resource: %w", err)
		}
	}
	if len(ch.errors) == 0 {
		return nil
	}
	st = tx.StmtContext(ctx, f.stmts.errorSpan)
	for _, e := range ch.errors {
		if _, err := st.ExecContext(ctx, e.res, e.start, ch.id, e.idx); err != nil {
			return fmt.Errorf("insert error: %w", err)
		}
	}
	return nil
}

// pending is what a transaction adds to the file's memory once it commits.
type pending struct {
	file   *File
	added  []*Resource // new ones, and changed copies
	byKey  map[string]*Resource
	totals [kinds]Totals
}

func (p *pending) resolve(records []Record) []resolved {
	out := make([]resolved, len(records))
	var res *Resource
	var last []byte
	for i := range records {
		r := &records[i]
		// Records of one group share the header: look it up once.
		if res == nil || len(last) != len(r.Resource) || len(last) > 0 && &last[0] != &r.Resource[0] {
			res, last = p.lookup(r.Resource), r.Resource
		}
		if r.Tagged && !res.Tagged {
			res = p.tag(res)
		}
		out[i] = resolved{r, res.ID}
	}
	return out
}

func (p *pending) lookup(header []byte) *Resource {
	if r, ok := p.byKey[string(header)]; ok {
		return r
	}
	// Only writers change the map, and this one holds writing.
	if r, ok := p.file.resources[string(header)]; ok {
		return r
	}
	id := int64(len(p.file.resources) + 1)
	for _, r := range p.added {
		id = max(id, r.ID+1)
	}
	return p.add(newResource(id, header, false))
}

func (p *pending) tag(r *Resource) *Resource {
	tagged := *r
	tagged.Tagged = true
	return p.add(&tagged)
}

func (p *pending) add(r *Resource) *Resource {
	if p.byKey == nil {
		p.byKey = map[string]*Resource{}
	}
	p.byKey[string(r.Header)] = r
	p.added = append(p.added, r)
	return r
}

func (p *pending) count(kind Kind, records []Record) {
	t := &p.totals[kind]
	for _, r := range records {
		if t.Records == 0 {
			t.MinT, t.MaxT = r.Time, r.Time
		}
		t.Records++
		t.MinT, t.MaxT = min(t.MinT, r.Time), max(t.MaxT, r.Time)
	}
}

func (p *pending) insert(ctx context.Context, tx *sql.Tx, stmts *writeStmts) error {
	known := map[int64]bool{}
	for _, r := range p.added {
		_, stored := p.file.byID[r.ID]
		var err error
		if stored || known[r.ID] {
			_, err = tx.StmtContext(ctx, stmts.tag).ExecContext(ctx, r.ID)
		} else {
			_, err = tx.StmtContext(ctx, stmts.resource).ExecContext(ctx, r.ID, r.Tagged, r.Header)
		}
		if err != nil {
			return fmt.Errorf("insert resource: %w", err)
		}
		known[r.ID] = true
	}
	for kind, t := range p.totals {
		if t == p.file.totals[kind] {
			continue
		}
		if _, err := tx.StmtContext(ctx, stmts.total).ExecContext(ctx, kind, t.Records, t.MinT, t.MaxT); err != nil {
			return fmt.Errorf("update totals: %w", err)
		}
	}
	return nil
}
