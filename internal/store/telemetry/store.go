package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"fairlead.dev/fairlead/internal/store/segment"
)

// ErrClosed is returned by every method of a Store after Close.
var ErrClosed = errors.New("trace and log store is closed")

// ErrFull is wrapped by the errors of ConsumeTraces and ConsumeLogs when there
// is no room on the disk. Nothing was stored; the sender may try again later.
// Reads go on.
var ErrFull = segment.ErrFull

// Store holds traces and logs. Any number of goroutines may use it.
type Store struct {
	dir   string
	o     Options
	cache *segment.Cache

	mu     sync.Mutex
	files  []*file // oldest first; the last is written to
	aside  []Aside
	closed bool

	queue   chan *request
	tickets chan struct{} // one for each unit of queued bytes
	done    chan struct{} // closed by Close
	wg      sync.WaitGroup

	full     atomic.Bool // the last write found no room
	refused  atomic.Int64
	received [2]atomic.Int64
}

// Open opens the store in dir, which is created when it does not exist. Files
// that can't be read are renamed to *.corrupt and listed by Stats; a file of a
// later version is an error.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{
		dir: dir, o: o.withDefaults(),
		queue: make(chan *request), tickets: make(chan struct{}, queueTickets), done: make(chan struct{}),
	}
	s.cache = segment.NewCache(s.o.CacheBytes)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create directory of the trace and log store: %w", err)
	}
	ctx := context.Background()
	if err := s.openFiles(ctx); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	s.wg.Go(s.write)
	s.wg.Go(s.maintain)
	return s, nil
}

// Close waits for accepted records to be stored and closes the files. Queries
// under way end first.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.done)
	s.wg.Wait()
	return s.closeFiles()
}
