package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/otlp"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
)

// Sizes of the queues on disk, in items. Each kind has its own, so that a flood
// of events displaces no operation. An hour of 100 events a second fits.
var queueSizes = map[string]int{"operations": 100_000, "traces": 200_000, "metrics": 200_000, "events": 400_000}

// flushSize is how many items are written to the queue at once.
const flushSize = 512

// closeBound is how long the end waits for what is under way; the rest is sent
// by the next start.
const closeBound = 5 * time.Second

// outbox takes what the emitter made, keeps it on disk until it was delivered,
// and derives the agent's own metrics. It implements emit.Sink.
type outbox struct {
	logger   *slog.Logger
	queue    *otlp.Queue
	senders  map[string]*otlp.Forwarder
	counting *operations.Store // nil: no metrics of our own
	resource pcommon.Map
	toLearn  []release.Operation // of the goroutine of agent.work

	mu      sync.Mutex
	traces  ptrace.Traces
	ops     plog.Logs
	events  plog.Logs
	items   int
	uncount map[string]bool // operations that a wrapper counts by itself
	dropped map[string]int
	said    time.Time

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// openOutbox opens the queue in dir and begins to send what the last process
// left there.
func openOutbox(ctx context.Context, o Options) (*outbox, error) {
	dir := o.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--data %s: %w", dir, err)
	}
	b := &outbox{
		logger: o.Logger, senders: make(map[string]*otlp.Forwarder), resource: pcommon.NewMap(),
		traces: ptrace.NewTraces(), ops: plog.NewLogs(), events: plog.NewLogs(),
		uncount: make(map[string]bool), dropped: make(map[string]int),
	}
	sizes := o.queueSizes
	if sizes == nil {
		sizes = queueSizes
	}
	var err error
	if b.queue, err = otlp.OpenQueue(filepath.Join(dir, "queue.db")); err != nil {
		return nil, err
	}
	for kind, signal := range map[string]string{"operations": "logs", "events": "logs", "traces": "traces", "metrics": "metrics"} {
		u, ok := o.Upstreams[signal]
		if !ok {
			continue
		}
		u.Name, u.Signals, u.QueueSize = kind, []string{signal}, sizes[kind]
		u.BatchSize, u.BatchTimeout = flushSize, tick
		u.RetryInitial, u.RetryMax = time.Second, 30*time.Second
		fw, err := otlp.NewForwarder(u, b.queue, otlp.TelemetryTo(o.Logger))
		if err == nil {
			err = fw.Start(ctx)
		}
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.senders[kind] = fw
	}
	if b.senders["metrics"] != nil && (o.Metrics == On || o.Metrics != Off && !o.Server) {
		if b.counting, err = operations.Open(dir, operations.Options{}); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// run writes and derives until ctx ends.
func (b *outbox) run(ctx context.Context) {
	ctx, b.cancel = context.WithCancel(ctx)
	if b.counting != nil {
		b.wg.Go(func() {
			b.counting.Run(ctx, b.sendMetrics, func(err error) { b.logger.Error("derive metrics", "error", err) })
		})
	}
	b.wg.Go(func() {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				b.flush(ctx)
			}
		}
	})
}

func (b *outbox) sendMetrics(ctx context.Context, md pmetric.Metrics) error {
	if md.DataPointCount() == 0 {
		return nil
	}
	for _, rm := range md.ResourceMetrics().All() {
		b.resource.CopyTo(rm.Resource().Attributes())
	}
	return b.senders["metrics"].ConsumeMetrics(ctx, md)
}

// Traces keeps the spans for the next flush.
func (b *outbox) Traces(td ptrace.Traces) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items += td.SpanCount()
	td.ResourceSpans().MoveAndAppendTo(b.traces.ResourceSpans())
}

// Logs keeps the records for the next flush, events apart from the others.
func (b *outbox) Logs(ld plog.Logs) {
	b.mu.Lock()
	b.items += ld.LogRecordCount()
	for _, rl := range ld.ResourceLogs().All() {
		to := b.ops
		if _, event := rl.Resource().Attributes().Get("k8s.object.kind"); event {
			to = b.events
		}
		rl.MoveTo(to.ResourceLogs().AppendEmpty())
	}
	full := b.items >= flushSize
	b.mu.Unlock()
	if full {
		b.flush(context.Background())
	}
}

// Metrics does nothing: the agent derives its own.
func (b *outbox) Metrics(pmetric.Metrics) {}

// leaveUncounted keeps an operation out of our own metrics.
func (b *outbox) leaveUncounted(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uncount[id] = true
}

// flush writes what was given so far to the queue on disk. When it returns, all
// of it survives the end of the process, or has been counted as dropped.
func (b *outbox) flush(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.items == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	traces, ops, events := b.traces, b.ops, b.events
	b.traces, b.ops, b.events, b.items = ptrace.NewTraces(), plog.NewLogs(), plog.NewLogs(), 0
	if fw := b.senders["traces"]; fw != nil && traces.SpanCount() > 0 {
		b.check("traces", traces.SpanCount(), fw.ConsumeTraces(ctx, traces))
	}
	if fw := b.senders["operations"]; fw != nil && ops.LogRecordCount() > 0 {
		b.check("operations", ops.LogRecordCount(), fw.ConsumeLogs(ctx, ops))
	}
	if fw := b.senders["events"]; fw != nil && events.LogRecordCount() > 0 {
		b.check("events", events.LogRecordCount(), fw.ConsumeLogs(ctx, events))
	}
	b.count(ctx, ops)
}

// count gives operations to our own metrics.
func (b *outbox) count(ctx context.Context, ops plog.Logs) {
	if b.counting == nil || ops.LogRecordCount() == 0 {
		return
	}
	ops.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			sl.LogRecords().RemoveIf(func(rec plog.LogRecord) bool {
				id, _ := rec.Attributes().Get(release.AttrID)
				return rec.EventName() != release.EventName || b.uncount[id.AsString()]
			})
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
	if _, err := b.counting.ConsumeLogs(ctx, ops); err != nil {
		b.logger.Error("count operations", "error", err)
	}
}

// learn gives operations that were told and counted before to our own metrics,
// where those do not know their releases.
func (b *outbox) learn(ctx context.Context) error {
	if len(b.toLearn) == 0 {
		return nil
	}
	b.flush(ctx)
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, op := range b.toLearn {
		known, err := b.counting.Knows(ctx, op.Namespace, op.Release)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		op.Historic = true
		rec := records.AppendEmpty()
		rec.SetEventName(release.EventName)
		if err := rec.Attributes().FromRaw(op.Attributes()); err != nil {
			return err
		}
	}
	b.toLearn = nil
	_, err := b.counting.ConsumeLogs(ctx, ld)
	return err
}

// check says aloud, once a minute, what the queue did not take.
func (b *outbox) check(kind string, items int, err error) {
	if err == nil {
		return
	}
	b.dropped[kind] += items
	if time.Since(b.said) > time.Minute {
		b.said = time.Now()
		b.logger.Warn("dropped: the queue on disk takes no more; is the OTLP endpoint down?", "kind", kind, "dropped", b.dropped[kind], "error", err)
	}
}

// close writes what is left and stops sending; what was not delivered is sent
// by the next start.
func (b *outbox) close() error {
	if b.cancel != nil {
		b.cancel()
	}
	b.wg.Wait()
	b.flush(context.Background())
	var errs []error
	if b.counting != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeBound)
		errs = append(errs, b.counting.Derive(ctx, b.sendMetrics))
		cancel()
		errs = append(errs, b.counting.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeBound)
	defer cancel()
	for _, fw := range b.senders {
		if err := fw.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, b.queue.Close())...)
}
