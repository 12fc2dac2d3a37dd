package segment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// Resource is a distinct resource of a file: who sent records.
type Resource struct {
	ID         int64
	Header     []byte            // the resource group without its items
	Attributes map[string]string // values as text; arrays and maps are left out
	Values     map[string]otlpwire.Value
	Tagged     bool // some span carries one of LevelKeys itself
}

// openChunk is a chunk that is not sealed: found by its keys in memory.
type openChunk struct {
	kind Kind
	n    int
	res  int
	keys []uint64
}

// File is one database. Any number of goroutines may read and write.
type File struct {
	path  string
	codec *codec
	cache *Cache
	w, r  *sql.DB

	writing sync.Mutex // held by whoever writes to the database
	stmts   writeStmts
	nextID  int64 // of chunks; under writing

	sealing sync.Mutex // one Seal at a time

	mu        sync.RWMutex
	resources map[string]*Resource // by header
	byID      map[int64]*Resource
	open      map[int64]openChunk
	totals    [kinds]Totals
	damaged   map[int64]error // chunks that could not be read
}

// Totals counts what a file holds of one kind.
type Totals struct {
	Records    int64
	MinT, MaxT int64 // unix ns; meaningless without records
}

// pageSize: chunks are 10-30 kB, so larger pages waste more at the end of each
// than they save in look-ups.
const pageSize = 4096

// readers bounds the read connections of a file, each with its page cache.
const readers = 8

// Open opens or creates the file. An error that wraps ErrCorrupt or ErrNewer
// says why an existing one can't be used.
func Open(ctx context.Context, path string, cache *Cache) (*File, error) {
	f, err := open(ctx, path, cache)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), classify(err))
	}
	return f, nil
}

func open(ctx context.Context, path string, cache *Cache) (_ *File, err error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	f := &File{
		path: path, codec: c, cache: cache,
		resources: map[string]*Resource{}, byID: map[int64]*Resource{},
		open: map[int64]openChunk{}, damaged: map[int64]error{},
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the error at hand says more
		}
	}()
	base := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(10000)"
	// temp_store 2 is memory: nothing is written outside the directory.
	f.w, err = sql.Open("sqlite", fmt.Sprintf("%s&_pragma=page_size(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-8192)&_pragma=temp_store(2)&_txlock=immediate", base, pageSize))
	if err != nil {
		return nil, err
	}
	f.w.SetMaxOpenConns(1)
	if err := migrate(ctx, f.w); err != nil {
		return nil, err
	}
	f.r, err = sql.Open("sqlite", base+"&_pragma=query_only(1)&_pragma=cache_size(-2048)&_pragma=temp_store(2)")
	if err != nil {
		return nil, err
	}
	f.r.SetMaxOpenConns(readers)
	f.r.SetMaxIdleConns(2)
	if err := f.load(ctx); err != nil {
		return nil, err
	}
	return f, f.prepare(ctx)
}

// Close closes the file. Readers must have ended.
func (f *File) Close() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	var errs []error
	if f.r != nil {
		errs = append(errs, f.r.Close())
	}
	if f.w != nil {
		errs = append(errs, f.w.Close())
	}
	f.codec.dec.Close()
	return errors.Join(errs...)
}

// Remove deletes a closed file and what SQLite keeps beside it.
func Remove(path string) error {
	err := os.Remove(path)
	for _, suffix := range []string{"-wal", "-shm"} {
		if e := os.Remove(path + suffix); err == nil && !errors.Is(e, os.ErrNotExist) {
			err = e
		}
	}
	return err
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// Bytes returns the size on disk, with what is not yet checkpointed.
func (f *File) Bytes() int64 {
	var n int64
	for _, suffix := range []string{"", "-wal"} {
		if st, err := os.Stat(f.path + suffix); err == nil {
			n += st.Size()
		}
	}
	return n
}

// Totals returns the number and time range of the records of a kind.
func (f *File) Totals(kind Kind) Totals {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.totals[kind]
}

// Resources returns the resources for which match is true; nil is all.
func (f *File) Resources(match func(*Resource) bool) []*Resource {
	f.mu.RLock()
	defer f.mu.RUnlock()
	out := make([]*Resource, 0, len(f.byID))
	for _, r := range f.byID {
		if match == nil || match(r) {
			out = append(out, r)
		}
	}
	return out
}

// ResourceCount returns the number of distinct resources.
func (f *File) ResourceCount() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.byID)
}

// Damaged returns the chunks that could not be read, and why.
func (f *File) Damaged() map[int64]error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	out := make(map[int64]error, len(f.damaged))
	for id, err := range f.damaged {
		out[id] = err
	}
	return out
}

// load reads what is kept in memory: resources, totals, and the trace keys of
// the chunks that are not sealed.
func (f *File) load(ctx context.Context) error {
	err := queryRows(ctx, f.r, "SELECT id, tagged, header FROM resources", func(rows *sql.Rows) error {
		var id int64
		var tagged bool
		var header []byte
		if err := rows.Scan(&id, &tagged, &header); err != nil {
			return err
		}
		f.addResource(newResource(id, header, tagged))
		return nil
	})
	if err != nil {
		return fmt.Errorf("read resources: %w", err)
	}
	err = queryRows(ctx, f.r, "SELECT kind, n, mint, maxt FROM totals", func(rows *sql.Rows) error {
		var kind Kind
		var t Totals
		if err := rows.Scan(&kind, &t.Records, &t.MinT, &t.MaxT); err != nil {
			return err
		}
		if kind >= kinds {
			return fmt.Errorf("%w: totals of kind %d", ErrCorrupt, kind)
		}
		f.totals[kind] = t
		return nil
	})
	if err != nil {
		return fmt.Errorf("read totals: %w", err)
	}
	if err := f.r.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) + 1 FROM chunks").Scan(&f.nextID); err != nil {
		return fmt.Errorf("read last chunk: %w", err)
	}
	err = queryRows(ctx, f.r, "SELECT o.chunk, o.kind, o.n, o.res, c.data FROM open_chunks o JOIN chunks c ON c.id = o.chunk", func(rows *sql.Rows) error {
		var id int64
		var o openChunk
		var data sql.RawBytes
		if err := rows.Scan(&id, &o.kind, &o.n, &o.res, &data); err != nil {
			return err
		}
		if err := f.loadKeys(&o, data); err != nil {
			f.damaged[id] = err
			return nil
		}
		f.open[id] = o
		return nil
	})
	if err != nil {
		return fmt.Errorf("read open chunks: %w", err)
	}
	return nil
}

func (f *File) loadKeys(o *openChunk, data []byte) error {
	b, err := f.codec.decode(o.kind, data)
	if err != nil {
		return err
	}
	records, err := Records(o.kind, b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	seen := map[uint64]struct{}{}
	for _, r := range records {
		if k := traceKey(r.Trace); k != 0 {
			seen[k] = struct{}{}
		}
	}
	for k := range seen {
		o.keys = append(o.keys, k)
	}
	return nil
}

// addResource publishes a resource. The caller holds mu, or is Open.
func (f *File) addResource(r *Resource) {
	f.resources[string(r.Header)] = r
	f.byID[r.ID] = r
}

func newResource(id int64, header []byte, tagged bool) *Resource {
	// The header may alias a whole request: keep a copy of just it.
	r := &Resource{ID: id, Header: append([]byte(nil), header...), Attributes: map[string]string{}, Values: map[string]otlpwire.Value{}, Tagged: tagged}
	otlpwire.ResourceAttributes(r.Header, func(key string, v otlpwire.Value) bool {
		r.Values[key] = v
		if s := v.Text(); s != "" {
			r.Attributes[key] = s
		}
		return true
	})
	return r
}

func queryRows(ctx context.Context, db *sql.DB, query string, scan func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
