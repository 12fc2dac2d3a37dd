//go:build tools

// Package jaeger pins the Jaeger that tests run.
package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
