package server

import (
	"context"
	"fmt"
	"path/filepath"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"fairlead.dev/fairlead/internal/store/operations"
)

// openOperations adds the record of Helm operations and the metrics derived
// from it.
func (s *Server) openOperations(context.Context) error {
	store, err := operations.Open(s.cfg.Store.Dir, operations.Options{})
	if err != nil {
		return fmt.Errorf("open operations in %s: %w", filepath.Join(s.cfg.Store.Dir, operations.FileName), err)
	}
	logger := s.logger.With("part", "operations")
	s.operations = store
	s.add(Part{
		Name: "operations",
		FilterMetrics: func(ctx context.Context, md pmetric.Metrics) error {
			dropped, err := store.DropCounted(ctx, md)
			if dropped > 0 {
				logger.Debug("dropped metrics of recorded operations: the server derives them", "points", dropped)
			}
			return err
		},
		JoinLogs: store.JoinEvents,
		Traces:   store.ConsumeTraces,
		Logs: func(ctx context.Context, ld plog.Logs) error {
			bad, err := store.ConsumeLogs(ctx, ld)
			if err != nil {
				return err
			}
			if len(bad) > 0 {
				logger.Warn("records of operations that cannot be read", "records", len(bad), "first", bad[0])
			}
			return nil
		},
		Run: func(ctx context.Context) {
			store.Run(ctx, s.ingest.derived, func(err error) { logger.Error("derive metrics", "error", err) })
		},
		Backup: store.Backup,
		Close:  store.Close,
	})
	return nil
}
