// Package otlp is the server's OTLP edge: the OpenTelemetry Collector's own
// receiver and exporters as libraries.
//
// [NewReceiver] accepts traces, metrics and logs over gRPC and HTTP and hands
// each request to one function, whose return is the acknowledgement.
// [NewForwarder] sends copies on to upstreams through a queue on disk.
package otlp

import (
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/metric"
	mnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tnoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// Telemetry is where the edge reports on itself. Nil fields report nowhere.
type Telemetry struct {
	Logger *zap.Logger
	Meter  metric.MeterProvider
	Tracer trace.TracerProvider
}

func (t Telemetry) settings() component.TelemetrySettings {
	if t.Logger == nil {
		t.Logger = zap.NewNop()
	}
	if t.Meter == nil {
		t.Meter = mnoop.NewMeterProvider()
	}
	if t.Tracer == nil {
		t.Tracer = tnoop.NewTracerProvider()
	}
	return component.TelemetrySettings{
		Logger:         t.Logger,
		MeterProvider:  t.Meter,
		TracerProvider: t.Tracer,
		Resource:       pcommon.NewResource(),
	}
}

// host lends extensions to Collector components.
type host map[component.ID]component.Component

// GetExtensions returns the extensions.
func (h host) GetExtensions() map[component.ID]component.Component { return h }
