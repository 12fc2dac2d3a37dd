package segment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// Snapshot is a view of a file at one moment: what is written or sealed later
// does not change it. It is not for concurrent use. Close it.
type Snapshot struct {
	file  *File
	tx    *sql.Tx
	fetch *sql.Stmt
	find  *sql.Stmt // blockOfKey
	runs  map[Kind][]int64
	open  map[Kind]map[uint64][]int64 // keys of chunks that were open; nil unless traces were asked for
}

// Snapshot begins a view. forTrace ids may be looked up with ByTrace.
func (f *File) Snapshot(ctx context.Context, forTrace ...otlpwire.TraceID) (*Snapshot, error) {
	s := &Snapshot{file: f, runs: map[Kind][]int64{}}
	if len(forTrace) > 0 {
		// Memory first, database second: a chunk sealed in between is missing
		// from the database, and the run that replaced it is there.
		s.open = f.openKeys(forTrace)
	}
	tx, err := f.r.BeginTx(ctx, nil)
	if err != nil {
		return nil, f.readError("begin", err)
	}
	s.tx = tx
	// The view begins with the first read.
	var version int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(kind), 0) FROM totals").Scan(&version); err != nil {
		s.Close()
		return nil, f.readError("begin", err)
	}
	return s, nil
}

func (f *File) readError(what string, err error) error {
	return fmt.Errorf("%s in %s: %w", what, f.path, classify(err))
}

// openKeys returns the open chunks that hold one of the traces.
func (f *File) openKeys(traces []otlpwire.TraceID) map[Kind]map[uint64][]int64 {
	want := map[uint64]bool{}
	for _, t := range traces {
		want[traceKey(t)] = true
	}
	out := map[Kind]map[uint64][]int64{Spans: {}, Logs: {}}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for id, o := range f.open {
		for _, k := range o.keys {
			if want[k] {
				out[o.kind][k] = append(out[o.kind][k], id)
			}
		}
	}
	return out
}

// Close ends the view.
func (s *Snapshot) Close() {
	for _, st := range []*sql.Stmt{s.fetch, s.find} {
		if st != nil {
			_ = st.Close()
		}
	}
	_ = s.tx.Rollback()
}

// File returns what the view is of.
func (s *Snapshot) File() *File { return s.file }

// ErrNoChunk is returned by Chunk for an id that the view does not have.
var ErrNoChunk = errors.New("no such chunk")

// Chunk returns a chunk's body, an encoded TracesData or LogsData. Nobody may
// write to it. A chunk that can't be decoded is remembered (File.Damaged) and
// its error wraps ErrCorrupt; the others of the file are not affected.
func (s *Snapshot) Chunk(ctx context.Context, id int64) ([]byte, error) {
	if b, ok := s.file.cache.get(s.file, id); ok {
		return b, nil
	}
	var b []byte
	err := s.read(ctx, id, func(kind Kind, data []byte) (err error) {
		b, err = s.file.codec.decode(kind, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.file.cache.put(s.file, id, b)
	return b, nil
}

// Pick calls visit for the items of a chunk that may be of the traces that want
// names; others may be among them. It returns how many bytes it read. It costs
// less than Chunk, fills no cache, and fails as Chunk does.
func (s *Snapshot) Pick(ctx context.Context, id int64, want func(otlpwire.TraceID) bool, visit func(otlpwire.Item)) (n int, err error) {
	if b, ok := s.file.cache.get(s.file, id); ok {
		return len(b), walkAll(b, visit)
	}
	err = s.read(ctx, id, func(kind Kind, data []byte) (err error) {
		n, err = s.file.codec.pick(kind, data, want, visit)
		return err
	})
	return n, err
}

// read calls decode with a chunk as it is stored, and remembers one that it
// cannot decode.
func (s *Snapshot) read(ctx context.Context, id int64, decode func(Kind, []byte) error) error {
	if s.fetch == nil {
		st, err := s.tx.PrepareContext(ctx, "SELECT kind, data FROM chunks WHERE id = ?")
		if err != nil {
			return s.file.readError("prepare", err)
		}
		s.fetch = st
	}
	rows, err := s.fetch.QueryContext(ctx, id)
	if err != nil {
		return s.file.readError("read chunk", err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return s.file.readError("read chunk", err)
		}
		return ErrNoChunk
	}
	var kind Kind
	var data sql.RawBytes
	if err := rows.Scan(&kind, &data); err != nil {
		return s.file.readError("read chunk", err)
	}
	if err := decode(kind%kinds, data); err != nil {
		err = fmt.Errorf("chunk %d of %s: %w", id, s.file.path, err)
		s.file.mu.Lock()
		s.file.damaged[id] = err
		s.file.mu.Unlock()
		return err
	}
	return nil
}

// ByTrace returns the chunks that may hold records of the trace, which
// Snapshot was given.
func (s *Snapshot) ByTrace(ctx context.Context, kind Kind, trace otlpwire.TraceID) ([]int64, error) {
	key := traceKey(trace)
	chunks, err := s.present(ctx, s.open[kind][key])
	if err != nil {
		return nil, err
	}
	if err := s.prepareLookup(ctx, kind); err != nil {
		return nil, s.file.readError("look up trace", err)
	}
	for _, run := range s.runs[kind] {
		more, err := lookupRun(ctx, s.find, kind, run, key)
		if err != nil {
			return nil, s.file.readError("look up trace", err)
		}
		chunks = append(chunks, more...)
	}
	slices.Sort(chunks)
	return slices.Compact(chunks), nil
}

// prepareLookup reads, once for all traces that are asked for, which runs there are.
func (s *Snapshot) prepareLookup(ctx context.Context, kind Kind) (err error) {
	if s.find == nil {
		if s.find, err = s.tx.PrepareContext(ctx, blockOfKey); err != nil {
			return err
		}
	}
	if _, ok := s.runs[kind]; !ok {
		s.runs[kind], err = s.file.runs(ctx, s.tx, kind, -1)
	}
	return err
}

// present returns those of the chunks that the view has: one that was open when
// the view was asked for may have been sealed before it began, and its body may
// still be in the cache.
func (s *Snapshot) present(ctx context.Context, ids []int64) (out []int64, err error) {
	for _, id := range ids {
		var there bool
		if err := s.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM chunks WHERE id = ?)", id).Scan(&there); err != nil {
			return nil, s.file.readError("look up chunk", err)
		}
		if there {
			out = append(out, id)
		}
	}
	return out, nil
}

// Ref is a chunk with records of a resource between two times.
type Ref struct {
	Chunk, Resource int64
	MinT, MaxT      int64
	Index           int // of the span in the chunk; for Errors only
}

// idList bounds the resources that a query names one by one; more are filtered
// here.
const idList = 256

// ByResource returns the chunks of the resources whose newest record of that
// resource is in [lo, hi) and whose oldest is before to. The order is not given.
func (s *Snapshot) ByResource(ctx context.Context, kind Kind, resources map[int64]bool, lo, hi, to int64) (refs []Ref, err error) {
	query, ids := "SELECT chunk, res, mint, maxt FROM chunk_resources WHERE kind = ? AND maxt >= ? AND maxt < ? AND mint < ?", inList(resources)
	err = s.refs(ctx, query+ids, func(r Ref) {
		if resources[r.Resource] {
			refs = append(refs, r)
		}
	}, false, kind, lo, hi, to)
	return refs, err
}

// Errors returns the spans with status ERROR of the resources that began in
// [lo, hi), newest first. MinT and MaxT are the span's start.
func (s *Snapshot) Errors(ctx context.Context, resources map[int64]bool, lo, hi int64) (refs []Ref, err error) {
	query, ids := "SELECT chunk, res, start, idx FROM errors WHERE start >= ? AND start < ?", inList(resources)
	err = s.refs(ctx, query+ids+" ORDER BY start DESC", func(r Ref) {
		if resources[r.Resource] {
			refs = append(refs, r)
		}
	}, true, lo, hi)
	return refs, err
}

func inList(resources map[int64]bool) string {
	if len(resources) > idList {
		return ""
	}
	var b strings.Builder
	b.WriteString(" AND res IN (")
	sep := ""
	for id := range resources {
		fmt.Fprintf(&b, "%s%d", sep, id)
		sep = ","
	}
	b.WriteByte(')')
	return b.String()
}

func (s *Snapshot) refs(ctx context.Context, query string, add func(Ref), indexed bool, args ...any) error {
	rows, err := s.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return s.file.readError("list chunks", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Ref
		last := &r.MaxT
		var idx int64
		if indexed {
			last = &idx
		}
		if err := rows.Scan(&r.Chunk, &r.Resource, &r.MinT, last); err != nil {
			return s.file.readError("list chunks", err)
		}
		if indexed {
			r.MaxT, r.Index = r.MinT, int(idx)
		}
		add(r)
	}
	if err := rows.Err(); err != nil {
		return s.file.readError("list chunks", err)
	}
	return nil
}
