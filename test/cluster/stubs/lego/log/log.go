// Package log takes Traefik's logger and writes nothing.
package log

import "log/slog"

// SetDefault ignores the logger.
func SetDefault(*slog.Logger) {}
