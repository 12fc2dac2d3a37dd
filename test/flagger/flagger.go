//go:build tools

// Package flagger pins Flagger, which a bench runs beside fairlead's controller:
// its dependencies stay out of the main module's.
package flagger

import _ "github.com/fluxcd/flagger/cmd/flagger"
