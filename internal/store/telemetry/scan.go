package telemetry

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
)

// Scanned tells what a query read.
type Scanned struct {
	Records int64 // that were looked at
	Bytes   int64 // of decompressed chunks
	// Skipped has an error for each damaged file or chunk that was left out:
	// the result may lack what was in it.
	Skipped []error
}

// The first window of a scan is this long, each further one windowGrowth times
// its predecessor: recent results cost few index rows, a day is reached in six.
const (
	firstWindow  = int64(time.Minute)
	windowGrowth = 4
)

// source is what a scan reads: the records of a kind that match.
type source[T any] struct {
	kind     segment.Kind
	from, to int64
	errors   bool // only spans of the error index
	oldest   bool // oldest first
	resource func(*segment.Resource) bool
	// read looks at a record, and tells its time and whether it matches.
	read func(it otlpwire.Item, res *segment.Resource) (t T, at int64, ok bool)
	// id is what duplicates have in common.
	id func(T) recordID
	// sameTime says that duplicates have one time in common, too.
	sameTime bool
}

// recordID tells spans apart: a client's and a server's span may share an id.
// Log records have no ids of their own: theirs is a hash of all that they say.
type recordID struct {
	trace otlpwire.TraceID
	span  otlpwire.SpanID
	kind  int32
	hash  uint64
}

// target is a file that the scan reads.
type target struct {
	file      *file
	snap      *segment.Snapshot
	resources map[int64]*segment.Resource
	ids       map[int64]bool
	visited   map[int64]bool
	failed    bool
}

// span of the index: a chunk with the newest (or oldest) matching time in it.
type candidate struct {
	target *target
	chunk  int64
	at     int64
}

// scan calls yield for each record of the source, newest first (or oldest
// first), without duplicates, until it returns false.
func scan[T any](ctx context.Context, s *Store, src source[T], yield func(T) bool) (Scanned, error) {
	var sc Scanned
	files, release, err := s.use()
	if err != nil {
		return sc, err
	}
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.snap.Close()
		}
		release()
		for _, t := range targets {
			if t.failed {
				s.suspect(t.file, sc.Skipped)
			}
		}
	}()
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, f := range files {
		t, err := newTarget(ctx, f, src.kind, src.from, src.to, src.resource)
		if err != nil {
			if !errors.Is(err, segment.ErrCorrupt) {
				return sc, err
			}
			sc.Skipped = append(sc.Skipped, err)
			s.suspect(f, sc.Skipped)
			continue
		}
		if t == nil {
			continue
		}
		targets = append(targets, t)
		totals := f.Totals(src.kind)
		lo, hi = min(lo, max(src.from, totals.MinT)), max(hi, totals.MaxT)
	}
	q := &queue[T]{oldest: src.oldest}
	seen, seenAt := map[recordID]bool{}, int64(math.MinInt64)
	// emit hands out the records that nothing unread can precede.
	emit := func(bound int64) bool {
		for q.Len() > 0 && !q.before(bound, q.hits[0].at) {
			h := heap.Pop(q).(hit[T])
			if src.sameTime && h.at != seenAt {
				clear(seen)
				seenAt = h.at
			}
			id := src.id(h.record)
			if seen[id] {
				continue
			}
			seen[id] = true
			if !yield(h.record) {
				return false
			}
		}
		return true
	}
	width := firstWindow
	for first := true; len(targets) > 0 && (first || hi > lo); first = false {
		// [start, end) bounds the newest time in a chunk, which may lie after
		// the query's end.
		start, end := max(lo, subtract(hi, width)), hi
		if first {
			start, end = max(lo, subtract(min(hi, src.to), width)), math.MaxInt64
		}
		if src.oldest || start <= lo {
			start = math.MinInt64
		}
		if src.oldest {
			end = math.MaxInt64
		}
		cands, err := candidates(ctx, &src, targets, start, end, &sc)
		if err != nil {
			return sc, err
		}
		for _, c := range cands {
			if !emit(c.at) {
				return sc, nil
			}
			if err := visit(ctx, &src, c, q, &sc); err != nil {
				return sc, err
			}
		}
		if start == math.MinInt64 {
			break
		}
		if !emit(start) {
			return sc, nil
		}
		hi, width = start, width*windowGrowth
	}
	bound := int64(math.MinInt64)
	if src.oldest {
		bound = math.MaxInt64
	}
	emit(bound)
	return sc, nil
}

func subtract(t, width int64) int64 {
	if t < math.MinInt64+width {
		return math.MinInt64
	}
	return t - width
}

// newTarget begins to read a file; nil when nothing in it can match.
func newTarget(ctx context.Context, f *file, kind segment.Kind, from, to int64, match func(*segment.Resource) bool) (*target, error) {
	totals := f.Totals(kind)
	if totals.Records == 0 || totals.MaxT < from || totals.MinT >= to {
		return nil, nil
	}
	t := &target{file: f, resources: map[int64]*segment.Resource{}, ids: map[int64]bool{}, visited: map[int64]bool{}}
	for _, r := range f.Resources(match) {
		t.resources[r.ID], t.ids[r.ID] = r, true
	}
	if len(t.ids) == 0 {
		return nil, nil
	}
	snap, err := f.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	t.snap = snap
	return t, nil
}

// candidates lists the chunks of a window that were not visited, in the order
// of the scan.
func candidates[T any](ctx context.Context, src *source[T], targets []*target, start, end int64, sc *Scanned) ([]candidate, error) {
	var out []candidate
	for _, t := range targets {
		if t.failed {
			continue
		}
		var refs []segment.Ref
		var err error
		if src.errors {
			refs, err = t.snap.Errors(ctx, t.ids, max(start, src.from), min(end, src.to))
		} else {
			refs, err = t.snap.ByResource(ctx, src.kind, t.ids, max(start, src.from), end, src.to)
		}
		if err != nil {
			if !errors.Is(err, segment.ErrCorrupt) {
				return nil, err
			}
			t.failed = true
			sc.Skipped = append(sc.Skipped, err)
			continue
		}
		best := map[int64]int64{}
		for _, r := range refs {
			if t.visited[r.Chunk] {
				continue
			}
			at, known := best[r.Chunk]
			switch {
			case src.oldest && (!known || r.MinT < at):
				best[r.Chunk] = r.MinT
			case !src.oldest && (!known || r.MaxT > at):
				best[r.Chunk] = r.MaxT
			}
		}
		for chunk, at := range best {
			out = append(out, candidate{t, chunk, at})
		}
	}
	slices.SortFunc(out, func(a, b candidate) int {
		if src.oldest {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Compare(b.at, a.at)
	})
	return out, nil
}

// visit puts the matching records of a chunk into the queue.
func visit[T any](ctx context.Context, src *source[T], c candidate, q *queue[T], sc *Scanned) error {
	t := c.target
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.failed || t.visited[c.chunk] {
		return nil
	}
	t.visited[c.chunk] = true
	body, err := t.snap.Chunk(ctx, c.chunk)
	if err == nil {
		sc.Bytes += int64(len(body))
		err = eachItem(t.file, body, func(it otlpwire.Item, id int64) {
			sc.Records++
			res := t.resources[id]
			if res == nil {
				return
			}
			if record, at, ok := src.read(it, res); ok && at >= src.from && at < src.to {
				heap.Push(q, hit[T]{record, at})
			}
		})
	}
	switch {
	case errors.Is(err, segment.ErrCorrupt), errors.Is(err, otlpwire.ErrMalformed):
		// A damaged chunk is passed over, a damaged database given up.
		t.failed = !errors.Is(err, segment.ErrBadChunk) && !errors.Is(err, otlpwire.ErrMalformed)
		sc.Skipped = append(sc.Skipped, err)
		return nil
	case err != nil:
		return fmt.Errorf("read chunk: %w", err)
	}
	return nil
}

// eachItem walks a chunk with the id of each item's resource.
func eachItem(f *file, body []byte, visit func(it otlpwire.Item, resource int64)) error {
	var last []byte
	var id int64
	return otlpwire.Walk(body, func(it otlpwire.Item) bool {
		if id == 0 || len(last) != len(it.Resource) || len(last) > 0 && &last[0] != &it.Resource[0] {
			last, id = it.Resource, f.ResourceID(it.Resource)
		}
		visit(it, id)
		return true
	})
}

// suspect has a file looked at that a query found damaged.
func (s *Store) suspect(f *file, reasons []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || f.suspected {
		return
	}
	f.suspected = true
	s.wg.Go(func() {
		if err := s.noteDamage(f, errors.Join(reasons...)); err != nil {
			s.o.Log.Error("look after a damaged file", "file", f.name, "error", err)
		}
	})
}

type hit[T any] struct {
	record T
	at     int64
}

// queue is a heap of records that were read and may not be handed out yet.
type queue[T any] struct {
	hits   []hit[T]
	oldest bool
}

// before reports whether a comes before b in the order of the scan.
func (q *queue[T]) before(a, b int64) bool {
	if q.oldest {
		return a < b
	}
	return a > b
}

func (q *queue[T]) Len() int           { return len(q.hits) }
func (q *queue[T]) Less(i, j int) bool { return q.before(q.hits[i].at, q.hits[j].at) }
func (q *queue[T]) Swap(i, j int)      { q.hits[i], q.hits[j] = q.hits[j], q.hits[i] }
func (q *queue[T]) Push(x any)         { q.hits = append(q.hits, x.(hit[T])) }
func (q *queue[T]) Pop() any {
	h := q.hits[len(q.hits)-1]
	q.hits = q.hits[:len(q.hits)-1]
	return h
}
