// Package charts holds the Helm chart of fairlead, so that one binary installs
// what it is.
package charts

import "embed"

// Fairlead is the chart, below the directory fairlead.
//
//go:embed all:fairlead
var Fairlead embed.FS

//go:generate go run ./internal/generate
