package server

import (
	"context"
	"path/filepath"

	"fairlead.dev/fairlead/internal/server/lokiapi"
	"fairlead.dev/fairlead/internal/server/tempoapi"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// openTelemetry adds the store of traces and logs, and the HTTP
// APIs of Tempo and Loki.
func (s *Server) openTelemetry(ctx context.Context) error {
	logger := s.logger.With("part", "telemetry")
	store, err := telemetry.Open(filepath.Join(s.cfg.Store.Dir, "telemetry"), telemetry.Options{
		Retention: s.cfg.Store.Telemetry.Retention.Std(),
		MaxBytes:  int64(s.cfg.Store.Telemetry.MaxBytes),
		MinFree:   -1, // the server refuses earlier, for all stores at once
		Log:       logger,
	})
	if err != nil {
		return err
	}
	s.telemetry = store
	s.tempo = tempoapi.New(store, tempoapi.Options{Version: s.opts.Version, Log: logger})
	s.add(Part{
		Name:   "telemetry",
		Traces: store.ConsumeTraces,
		Logs:   store.ConsumeLogs,
		Routes: []Route{{
			Pattern: "/tempo/", Strip: "/tempo",
			Handler: s.tempo,
		}, {
			Pattern: "/loki/", Strip: "/loki",
			Handler: lokiapi.New(store, lokiapi.Options{Version: s.opts.Version, Log: logger}),
		}},
		Backup: func(ctx context.Context, dir string) error { return store.Backup(ctx, filepath.Join(dir, "telemetry")) },
		Close:  store.Close,
	})
	s.openOwnTraces(ctx, store)
	return nil
}
