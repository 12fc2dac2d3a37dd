// Package deploy holds what users apply to their cluster, generated into the
// directories beside it.
package deploy

import "embed"

// CRDs are the custom resource definitions, generated from api/ by go generate.
//
//go:embed crds/*.yaml
var CRDs embed.FS
