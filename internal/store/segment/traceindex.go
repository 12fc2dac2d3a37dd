package segment

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"sort"
)

// The trace index maps trace keys to chunks. A row for each (trace, chunk)
// costs more than the compressed span does, so sealing writes sorted runs
// instead: blocks of about blockEntries keys, deltas in varints, found by their
// first key. Eight runs of a level are merged into one of the next.
const (
	blockEntries = 128 // a block stays below a quarter of a page, so that SQLite keeps it in the leaf
	runsPerLevel = 8
	// maxRunLevel bounds what a merge holds in memory: level 1 is about half a
	// million entries of 16 bytes.
	maxRunLevel = 1
)

// entry says that a chunk has spans of a trace.
type entry struct {
	key   uint64
	chunk int64
}

func sortEntries(entries []entry) {
	sort.Slice(entries, func(i, j int) bool {
		if entries[i].key != entries[j].key {
			return entries[i].key < entries[j].key
		}
		return entries[i].chunk < entries[j].chunk
	})
}

// block is a part of a run: entries of a key are never split over two.
type block struct {
	first uint64
	data  []byte
}

// appendBlocks encodes sorted entries. In a block: for each key its delta, the
// number of chunks, the first chunk, and the deltas of the others.
func encodeBlocks(entries []entry) (blocks []block) {
	for len(entries) > 0 {
		b := block{first: entries[0].key}
		last, n := b.first, 0
		for len(entries) > 0 && n < blockEntries {
			k := 1
			for k < len(entries) && entries[k].key == entries[0].key {
				k++
			}
			b.data = binary.AppendUvarint(b.data, entries[0].key-last)
			b.data = binary.AppendUvarint(b.data, uint64(k))
			chunk := int64(0)
			for _, e := range entries[:k] {
				b.data = binary.AppendUvarint(b.data, uint64(e.chunk-chunk))
				chunk = e.chunk
			}
			last, n = entries[0].key, n+k
			entries = entries[k:]
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// decodeBlock calls visit for each entry of a block, in order.
func decodeBlock(first uint64, data []byte, visit func(entry)) error {
	next := func() (uint64, error) {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return 0, fmt.Errorf("%w: trace index block", ErrCorrupt)
		}
		data = data[n:]
		return v, nil
	}
	for key := first; len(data) > 0; {
		delta, err := next()
		if err != nil {
			return err
		}
		n, err := next()
		if err != nil {
			return err
		}
		key += delta
		chunk := uint64(0)
		for ; n > 0; n-- {
			d, err := next()
			if err != nil {
				return err
			}
			chunk += d
			visit(entry{key, int64(chunk)})
		}
	}
	return nil
}

func (f *File) insertRun(ctx context.Context, tx *sql.Tx, kind Kind, level int, entries []entry) error {
	var run int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(run), 0) + 1 FROM trace_runs WHERE kind = ?", kind).Scan(&run); err != nil {
		return fmt.Errorf("number trace run: %w", err)
	}
	if _, err := tx.StmtContext(ctx, f.stmts.run).ExecContext(ctx, kind, run, level); err != nil {
		return fmt.Errorf("insert trace run: %w", err)
	}
	st := tx.StmtContext(ctx, f.stmts.block)
	for _, b := range encodeBlocks(entries) {
		if _, err := st.ExecContext(ctx, kind, run, int64(b.first), b.data); err != nil {
			return fmt.Errorf("insert trace block: %w", err)
		}
	}
	return nil
}

// mergeRuns merges the runs of a level once there are runsPerLevel of them.
func (f *File) mergeRuns(ctx context.Context, kind Kind, level int) error {
	if level >= maxRunLevel {
		return nil
	}
	runs, err := f.runs(ctx, f.r, kind, level)
	if err != nil || len(runs) < runsPerLevel {
		return err
	}
	var entries []entry
	for _, run := range runs {
		err := queryBlocks(ctx, f.r, "SELECT first, data FROM trace_index WHERE kind = ? AND run = ? ORDER BY first", func(first uint64, data []byte) (bool, error) {
			return true, decodeBlock(first, data, func(e entry) { entries = append(entries, e) })
		}, kind, run)
		if err != nil {
			return classify(fmt.Errorf("read trace run: %w", err))
		}
	}
	sortEntries(entries)
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.transact(ctx, func(tx *sql.Tx) error {
		for _, run := range runs {
			for _, st := range []*sql.Stmt{f.stmts.dropRun, f.stmts.dropBlocks} {
				if _, err := tx.StmtContext(ctx, st).ExecContext(ctx, kind, run); err != nil {
					return fmt.Errorf("delete trace run: %w", err)
				}
			}
		}
		return f.insertRun(ctx, tx, kind, level+1, entries)
	})
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// runs returns the runs of a level; -1 is all.
func (f *File) runs(ctx context.Context, q querier, kind Kind, level int) (runs []int64, err error) {
	rows, err := q.QueryContext(ctx, "SELECT run FROM trace_runs WHERE kind = ? AND (level = ? OR ? < 0)", kind, level, level)
	if err != nil {
		return nil, fmt.Errorf("list trace runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var run int64
		if err := rows.Scan(&run); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, rows.Err()
}

func queryBlocks(ctx context.Context, q querier, query string, visit func(first uint64, data []byte) (bool, error), args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return readBlocks(rows, visit)
}

func readBlocks(rows *sql.Rows, visit func(first uint64, data []byte) (bool, error)) error {
	defer rows.Close()
	for rows.Next() {
		var first int64
		var data sql.RawBytes
		if err := rows.Scan(&first, &data); err != nil {
			return err
		}
		if goOn, err := visit(uint64(first), data); err != nil || !goOn {
			return err
		}
	}
	return rows.Err()
}

// blockOfKey finds the block of a run that a key is in, if the run has it.
const blockOfKey = "SELECT first, data FROM trace_index WHERE kind = ? AND run = ? AND first <= ? ORDER BY first DESC LIMIT 1"

// lookupRun returns the chunks of a key in one run; st is blockOfKey.
func lookupRun(ctx context.Context, st *sql.Stmt, kind Kind, run int64, key uint64) (chunks []int64, err error) {
	rows, err := st.QueryContext(ctx, kind, run, int64(key))
	if err != nil {
		return nil, err
	}
	err = readBlocks(rows, func(first uint64, data []byte) (bool, error) {
		return false, decodeBlock(first, data, func(e entry) {
			if e.key == key {
				chunks = append(chunks, e.chunk)
			}
		})
	})
	return chunks, err
}
