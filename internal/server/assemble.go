package server

import (
	"context"
	"path/filepath"

	"fairlead.dev/fairlead/internal/store/metrics"
)

// assemble opens the parts. The order is that in which requests pass through
// them; closing goes the other way.
func (s *Server) assemble(ctx context.Context) error {
	for _, open := range []func(context.Context) error{
		s.openMetrics,
		s.openTelemetry,
		s.openOperations,
		s.openRollouts,
		s.openAudit,
		s.openAlerts,
		s.openAPI,
		s.openJudge,
		s.openForwarding,
		s.openWeb,
	} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) add(p Part) { s.parts = append(s.parts, p) }

// openMetrics adds the metrics store and Prometheus' HTTP API.
func (s *Server) openMetrics(context.Context) error {
	c := s.cfg.Store.Metrics
	store, err := metrics.Open(filepath.Join(s.cfg.Store.Dir, "metrics"), metrics.Options{
		Retention:       c.Retention.Std(),
		MaxBytes:        int64(c.MaxBytes),
		OutOfOrder:      c.OutOfOrder.Std(),
		Promote:         c.Promote,
		SyncInterval:    s.cfg.Store.SyncInterval.Std(),
		QueryTimeout:    c.QueryTimeout.Std(),
		QueryMaxSamples: c.QueryMaxSamples,
		Logger:          quietly(s.logger.With("part", "metrics")),
	})
	if err != nil {
		return err
	}
	s.metricsStore = store
	s.registries = append(s.registries, store.Registry())
	s.add(Part{
		Name:    "metrics",
		Metrics: store.ConsumeMetrics,
		Routes:  []Route{{Pattern: "/prometheus/", Strip: "/prometheus", Handler: store.Handler()}},
		Backup:  func(ctx context.Context, dir string) error { return store.Backup(ctx, filepath.Join(dir, "metrics")) },
		Close:   store.Close,
	})
	return nil
}
