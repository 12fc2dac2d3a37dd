//go:build integration

package tracing_test

import (
	"os"
	"testing"

	"fairlead.dev/fairlead/internal/tracing"
	"fairlead.dev/fairlead/internal/tracing/jaegertest"
)

// TestIntegrationJaeger runs the contract against a real Jaeger.
func TestIntegrationJaeger(t *testing.T) {
	query, otlp := jaegertest.Start(t)
	source, err := tracing.NewJaeger(query, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	contract(t, sender(t, otlp), source)
}

// TestIntegrationGivenBackends runs the contract against the backends that the
// environment names, each with the OTLP/HTTP endpoint that feeds it.
func TestIntegrationGivenBackends(t *testing.T) {
	for _, b := range []struct {
		name string
		open func(url string) (tracing.Source, error)
	}{
		{"TEMPO", func(url string) (tracing.Source, error) { return tracing.NewTempo(url, tracing.Options{}) }},
		{"JAEGER", func(url string) (tracing.Source, error) { return tracing.NewJaeger(url, tracing.Options{}) }},
	} {
		t.Run(b.name, func(t *testing.T) {
			url, otlp := os.Getenv(b.name+"_URL"), os.Getenv(b.name+"_OTLP_URL")
			if url == "" || otlp == "" {
				t.Skipf("unverified: set %s_URL and %s_OTLP_URL to run the contract against yours", b.name, b.name)
			}
			source, err := b.open(url)
			if err != nil {
				t.Fatal(err)
			}
			contract(t, sender(t, otlp), source)
		})
	}
}
