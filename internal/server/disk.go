package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"fairlead.dev/fairlead/internal/config"
)

// spaceInterval is how often the free space is read: one system call, and at
// the 100 MB/s that a busy server may write, a fraction of the reserve.
const spaceInterval = time.Second

// space watches the free space of the data directory's disk. Writes stop above
// a full disk, not on it: a log that ends in the middle of a record costs what
// follows the record.
type space struct {
	dir  string
	min  atomic.Int64
	free atomic.Int64
	seen func(free float64)
}

func newSpace(dir string, minFree config.Bytes, seen func(float64)) (*space, error) {
	s := &space{dir: dir, seen: seen}
	s.min.Store(int64(minFree))
	return s, s.read()
}

func (s *space) read() error {
	usage, err := disk.Usage(s.dir)
	if err != nil {
		return fmt.Errorf("read free space of %s: %w", s.dir, err)
	}
	free := int64(usage.Free)
	s.free.Store(free)
	s.seen(float64(free))
	return nil
}

// low returns an error while there is too little space to write.
func (s *space) low() error {
	free := s.free.Load()
	least := s.min.Load()
	if free >= least {
		return nil
	}
	return fmt.Errorf("the disk of %s is full: %d MiB free, store.minFree is %s; writes are refused, reads go on", s.dir, free>>20, config.Bytes(least))
}

func (s *space) watch(ctx context.Context) {
	t := time.NewTicker(spaceInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			_ = s.read() // the directory is gone: the stores will say so
		}
	}
}
