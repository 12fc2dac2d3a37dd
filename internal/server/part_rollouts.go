package server

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/store/rollouts"
)

// openRollouts adds the record of progressive rollouts.
func (s *Server) openRollouts(context.Context) error {
	store, err := rollouts.Open(s.cfg.Store.Dir)
	if err != nil {
		return err
	}
	s.rollouts = store
	logger := s.logger.With("part", "rollouts")
	s.add(Part{
		Name: "rollouts",
		Logs: func(ctx context.Context, ld plog.Logs) error {
			bad, err := store.ConsumeLogs(ctx, ld)
			if len(bad) > 0 {
				logger.Warn("records of rollouts that cannot be read", "records", len(bad), "first", bad[0])
			}
			return err
		},
		Backup: store.Backup,
		Close:  store.Close,
	})
	return nil
}
