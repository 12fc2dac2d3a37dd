// Package metrics keeps metrics in an embedded Prometheus: its time series
// database, its query engine and its HTTP API, as libraries.
//
// Start with [Open]. [Store.ConsumeMetrics] takes OTLP, [Store.Append] raw
// samples; [Store.Handler] serves the HTTP API, and [Store.Engine] with
// [Store.Queryable] answer PromQL in-process.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	prw "github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
)

// Options configure [Open]. Zero values mean the defaults named here.
type Options struct {
	Retention  time.Duration // default 31 days
	MaxBytes   int64         // of blocks; default no bound
	OutOfOrder time.Duration // how late a sample may come; default 0

	// Promote are resource attributes that become labels beside [Promoted].
	Promote []string

	// SyncInterval is how often written samples are forced to the disk; 0
	// forces them before each call returns.
	SyncInterval time.Duration

	QueryTimeout    time.Duration // default 2 minutes
	QueryMaxSamples int           // default 50 million

	Logger *slog.Logger // default: discard
	Now    func() time.Time

	walSegmentSize int // tests: the library's default when 0
}

// Promoted are the resource attributes that always become labels: what the
// comparison of two versions of a service needs, and what keeps two instances
// of it in two series.
var Promoted = []string{
	"service.name", "service.version", "service.instance.id",
	"deployment.track", "deployment.environment", "deployment.environment.name",
	"k8s.namespace.name", "k8s.pod.name", "k8s.cluster.name",
}

const (
	// Lookback is how old the last sample of a series may be to count as its
	// current value; Prometheus' default.
	Lookback = 5 * time.Minute
	// maxAhead is how far in the future a sample may lie: Prometheus' bound for
	// pushed samples. One clock that is years ahead would otherwise move the
	// head of the database and make everyone else's samples too old.
	maxAhead = 10 * time.Minute
	// maxExemplars bounds the ring of exemplars in memory, about 100 B each.
	maxExemplars = 100_000
)

// Store is a metrics store in one directory. Its methods may be called from
// many goroutines at once.
type Store struct {
	dir    string
	opts   Options
	logger *slog.Logger

	db       *tsdb.DB
	engine   *promql.Engine
	parser   parser.Parser
	registry *prometheus.Registry

	promote    *prw.PromoteResourceAttributes
	converters sync.Pool
	metadata   *familyStore
	deltas     *deltas
	aside      []Aside
	stats      ingestStats

	cancel context.CancelFunc
	wg     sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// Open opens the store in dir, which it creates when it is missing, and
// replays what the last process left behind. It fails when another process
// has it open. The caller must call [Store.Close].
func Open(dir string, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Retention == 0 {
		opts.Retention = 31 * 24 * time.Hour
	}
	if opts.QueryTimeout == 0 {
		opts.QueryTimeout = 2 * time.Minute
	}
	if opts.QueryMaxSamples == 0 {
		opts.QueryMaxSamples = 50_000_000
	}
	s := &Store{dir: dir, opts: opts, logger: opts.Logger, registry: prometheus.NewRegistry()}
	var err error
	r := &recovery{dir: dir, logger: opts.Logger, now: opts.Now()}
	if s.db, err = r.open(s.registry, dbOptions(opts)); err != nil {
		return nil, fmt.Errorf("open metrics store %s: %w", dir, err)
	}
	s.aside = r.aside
	if s.metadata, err = openFamilies(filepath.Join(dir, "families.json")); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.parser = parser.NewParser(parser.Options{})
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger:               opts.Logger,
		Reg:                  s.registry,
		MaxSamples:           opts.QueryMaxSamples,
		Timeout:              opts.QueryTimeout,
		LookbackDelta:        Lookback,
		EnableAtModifier:     true,
		EnableNegativeOffset: true,
		Parser:               s.parser,
		// The step of a subquery that names none: the evaluation interval of
		// Prometheus' default configuration.
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	s.promote = promotion(opts.Promote)
	s.converters.New = func() any { return prw.NewPrometheusConverter(nil) }
	s.stats = newIngestStats(s.registry)
	s.deltas = newDeltas(s)
	if err := s.deltas.load(s.checkpointPath(), opts.OutOfOrder); err != nil {
		// The samples of the retention remain; older totals start at 0 again.
		s.logger.Error("the running totals of delta counters could not be read", "error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.background(ctx) })
	return s, nil
}

func dbOptions(o Options) *tsdb.Options {
	t := tsdb.DefaultOptions()
	t.RetentionDuration = o.Retention.Milliseconds()
	t.MaxBytes = o.MaxBytes
	t.OutOfOrderTimeWindow = o.OutOfOrder.Milliseconds()
	// The library leaves compression of the log and exemplars off.
	t.WALCompression = compression.Snappy
	t.EnableExemplarStorage = true
	t.MaxExemplars = maxExemplars
	// Blocks up to a tenth of the retention, as Prometheus has it: deletion
	// goes by whole blocks.
	t.MaxBlockDuration = min(max(t.RetentionDuration/10, t.MinBlockDuration), (31 * 24 * time.Hour).Milliseconds())
	if o.walSegmentSize > 0 {
		t.WALSegmentSize = o.walSegmentSize
	}
	// A cumulative counter starts at 0 when its process does. Without that
	// sample a process that reports once, as pipelines do, has no increase.
	t.EnableSTAsZeroSample = true
	// A snapshot of the head at a clean stop makes the next start independent
	// of how much the log holds.
	t.EnableMemorySnapshotOnShutdown = true
	return t
}

// Close writes down what is in memory and releases the directory. Closing
// again does nothing.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.cancel()
		s.wg.Wait()
		s.closeErr = errors.Join(s.metadata.save(), s.saveDeltas(), s.db.Close())
	})
	return s.closeErr
}

func (s *Store) checkpointPath() string { return filepath.Join(s.dir, "deltas.bin") }

func (s *Store) saveDeltas() error {
	s.deltas.mu.Lock()
	defer s.deltas.mu.Unlock()
	return s.deltas.save(s.checkpointPath(), s.opts.Now(), s.opts.Retention)
}

// SetAside lists what was found damaged when the store was opened.
func (s *Store) SetAside() []Aside { return s.aside }

// Queryable gives access to the samples, as PromQL engines take it.
func (s *Store) Queryable() storage.SampleAndChunkQueryable { return s.db }

// Engine is the PromQL engine that the HTTP API uses, with its limits.
func (s *Store) Engine() *promql.Engine { return s.engine }

// Registry holds the store's own metrics.
func (s *Store) Registry() *prometheus.Registry { return s.registry }

// Query evaluates a PromQL expression at one instant.
func (s *Store) Query(ctx context.Context, expr string, at time.Time) (*promql.Result, func(), error) {
	q, err := s.engine.NewInstantQuery(ctx, s.db, nil, expr, at)
	if err != nil {
		return nil, nil, fmt.Errorf("query %q: %w", expr, err)
	}
	r := q.Exec(ctx)
	if r.Err != nil {
		q.Close()
		return nil, nil, fmt.Errorf("query %q: %w", expr, r.Err)
	}
	return r, q.Close, nil
}

// Range evaluates a PromQL expression at each step from from to to. The answer
// is the caller's.
func (s *Store) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	q, err := s.engine.NewRangeQuery(ctx, s.db, nil, expr, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", expr, err)
	}
	defer q.Close()
	m, err := q.Exec(ctx).Matrix()
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", expr, err)
	}
	// Close gives the points back to the engine.
	out := make(promql.Matrix, len(m))
	for i, series := range m {
		out[i] = promql.Series{Metric: series.Metric.Copy(), Floats: slices.Clone(series.Floats)}
	}
	return out, nil
}

// background saves what may lag behind: the catalogue of metric families, and,
// with an interval, the forced write of the log.
func (s *Store) background(ctx context.Context) {
	save := time.NewTicker(time.Minute)
	defer save.Stop()
	checkpoint := time.NewTicker(checkpointInterval)
	defer checkpoint.Stop()
	interval := s.opts.SyncInterval
	if interval <= 0 {
		interval = math.MaxInt64
	}
	sync := time.NewTicker(interval)
	defer sync.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-save.C:
			if err := s.metadata.save(); err != nil {
				s.logger.Warn("save metric families", "error", err)
			}
		case <-checkpoint.C:
			if err := s.saveDeltas(); err != nil {
				s.logger.Warn("save delta totals", "error", err)
			}
		case <-sync.C:
			if err := s.syncLog(); err != nil {
				s.logger.Error("force metrics to disk", "error", err)
			}
		}
	}
}
