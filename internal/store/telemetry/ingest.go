package telemetry

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/segment"
)

const (
	// The queue is bounded by bytes: a ticket stands for ticketBytes of encoded
	// records, and callers wait for theirs.
	ticketBytes  = 1 << 20
	queueTickets = 64
	// maxGroup bounds what is committed together, so that a commit stays short.
	maxGroup = 16 << 20
)

// request is what one caller wants stored.
type request struct {
	kind    segment.Kind
	records []segment.Record
	size    int
	done    chan error
}

// Capabilities says that consumed data is not modified.
func (s *Store) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeTraces stores the spans and returns when they are committed: they
// survive a crash of the process, and queries find them. An error means that
// none of them is stored.
func (s *Store) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if td.SpanCount() == 0 {
		return nil
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return fmt.Errorf("encode traces: %w", err)
	}
	return s.consume(ctx, segment.Spans, data)
}

// ConsumeLogs stores the log records and returns when they are committed, as
// ConsumeTraces does.
func (s *Store) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if ld.LogRecordCount() == 0 {
		return nil
	}
	ld = s.stampLogs(ld)
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		return fmt.Errorf("encode logs: %w", err)
	}
	return s.consume(ctx, segment.Logs, data)
}

func (s *Store) consume(ctx context.Context, kind segment.Kind, data []byte) error {
	records, err := segment.Records(kind, data)
	if err != nil {
		return fmt.Errorf("read %s: %w", kind, err)
	}
	r := &request{kind: kind, records: records, size: len(data), done: make(chan error, 1)}
	tickets := min(queueTickets, 1+len(data)/ticketBytes)
	for i := range tickets {
		select {
		case s.tickets <- struct{}{}:
		case <-ctx.Done():
			s.release(i)
			return fmt.Errorf("wait to store %s: %w", kind, ctx.Err())
		case <-s.done:
			s.release(i)
			return ErrClosed
		}
	}
	defer s.release(tickets)
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return fmt.Errorf("wait to store %s: %w", kind, ctx.Err())
	case <-s.done:
		return ErrClosed
	}
	// The writer answers every request that it took, also while it closes.
	if err := <-r.done; err != nil {
		s.refused.Add(int64(len(records)))
		return fmt.Errorf("store %s: %w", kind, err)
	}
	s.received[kind].Add(int64(len(records)))
	return nil
}

func (s *Store) release(n int) {
	for range n {
		<-s.tickets
	}
}

// write commits requests until the store is closed. Requests that arrive while
// one commit is under way share the next: no request waits for others that may
// not come.
func (s *Store) write() {
	for {
		select {
		case r := <-s.queue:
			s.commit(s.group(r))
		case <-s.done:
			return
		}
	}
}

func (s *Store) group(first *request) []*request {
	group, size := []*request{first}, first.size
	for size < maxGroup {
		select {
		case r := <-s.queue:
			group, size = append(group, r), size+r.size
		default:
			return group
		}
	}
	return group
}

func (s *Store) commit(group []*request) {
	var batch segment.Batch
	for _, r := range group {
		batch[r.kind] = append(batch[r.kind], r.records...)
	}
	err := s.append(batch)
	for _, r := range group {
		r.done <- err
	}
}

func (s *Store) append(batch segment.Batch) error {
	ctx := context.Background()
	err := s.checkRoom()
	for try := 0; err == nil; try++ {
		var f *file
		if f, err = s.current(ctx); err != nil {
			break
		}
		err = f.Append(ctx, batch)
		f.users.Done()
		if !errors.Is(err, segment.ErrCorrupt) || try > 0 {
			break
		}
		// The file written to is damaged: set it aside, go on with a new one.
		err = s.abandon(f, err)
		if err != nil {
			break
		}
		continue
	}
	isFull := errors.Is(err, ErrFull)
	if was := s.full.Swap(isFull); was != isFull {
		if isFull {
			s.o.Log.Error("no room for traces and logs: they are refused until there is, reads go on", "dir", s.dir, "error", err)
		} else {
			s.o.Log.Info("there is room for traces and logs again", "dir", s.dir)
		}
	}
	return err
}

// checkRoom refuses writes while the disk has less than MinFree: SQLite itself
// needs some to go on reading and to recover.
func (s *Store) checkRoom() error {
	if s.o.MinFree < 0 {
		return nil
	}
	free, ok := freeBytes(s.dir)
	if ok && free < s.o.MinFree {
		return fmt.Errorf("%w: %d MiB free in %s, %d MiB are kept free: make room, or lower the store's size", ErrFull, free>>20, s.dir, s.o.MinFree>>20)
	}
	return nil
}

// stampLogs returns the logs with an observed time on each record that has no
// time at all, in a copy: the sender's data may be shared.
func (s *Store) stampLogs(ld plog.Logs) plog.Logs {
	if !anyLog(ld, untimed) {
		return ld
	}
	stamped := plog.NewLogs()
	ld.CopyTo(stamped)
	now := pcommon.NewTimestampFromTime(s.o.Now())
	anyLog(stamped, func(l plog.LogRecord) bool {
		if untimed(l) {
			l.SetObservedTimestamp(now)
		}
		return false
	})
	return stamped
}

func untimed(l plog.LogRecord) bool { return l.Timestamp() == 0 && l.ObservedTimestamp() == 0 }

// anyLog calls test for the records until it is true.
func anyLog(ld plog.Logs, test func(plog.LogRecord) bool) bool {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				if test(l) {
					return true
				}
			}
		}
	}
	return false
}
