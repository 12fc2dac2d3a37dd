// Package deploy holds what users apply to their cluster, generated into the
// directories beside it.
package deploy

import "embed"

//go:generate go run ./generate

// CRDs are the custom resource definitions, generated from api/ by go generate.
//
//go:embed crds/*.yaml
var CRDs embed.FS

// Dashboards are Grafana's, one JSON file each, generated from
// internal/dashboards.
//
//go:embed dashboards/*.json
var Dashboards embed.FS

// Manifests are the chart with its defaults, rendered by `make manifests`.
//
//go:embed manifests/fairlead.yaml
var Manifests []byte
