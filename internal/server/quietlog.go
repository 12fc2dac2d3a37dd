package server

import (
	"context"
	"log/slog"
)

// quiet passes a library's news on one level lower: what is information about
// Prometheus' database is detail about this server.
type quiet struct{ slog.Handler }

func quietly(l *slog.Logger) *slog.Logger { return slog.New(quiet{l.Handler()}) }

// Enabled reports whether the lowered level is logged.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(l))
}

// Handle logs the record at the lowered level.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs keeps lowering.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

// WithGroup keeps lowering.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

func lower(l slog.Level) slog.Level {
	if l == slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}
