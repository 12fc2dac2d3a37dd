package telemetry

import (
	"context"
	"fmt"
	"os"
	"time"

	prometheusbridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
)

// MetricInterval is the time between two exports of metrics, unless
// OTEL_METRIC_EXPORT_INTERVAL (milliseconds) says otherwise. OpenTelemetry's
// own default of 60 s would let a broken canary serve for minutes before a
// judge has seen two points of it.
const MetricInterval = 15 * time.Second

// newMetricReader returns the reader that OTEL_METRICS_EXPORTER asks for. OTLP,
// the default, is built here because autoexport gives no way to set the
// interval; every other exporter is autoexport's.
func newMetricReader(ctx context.Context) (metric.Reader, error) {
	switch os.Getenv("OTEL_METRICS_EXPORTER") {
	case "", "otlp":
	default:
		return autoexport.NewMetricReader(ctx)
	}
	exporter, err := newMetricExporter(ctx)
	if err != nil {
		return nil, err
	}
	var opts []metric.PeriodicReaderOption
	if os.Getenv("OTEL_METRIC_EXPORT_INTERVAL") == "" {
		opts = append(opts, metric.WithInterval(MetricInterval))
	}
	if os.Getenv("OTEL_METRIC_EXPORT_TIMEOUT") == "" {
		opts = append(opts, metric.WithTimeout(MetricInterval))
	}
	switch producers := os.Getenv("OTEL_METRICS_PRODUCERS"); producers {
	case "", "none":
	case "prometheus":
		opts = append(opts, metric.WithProducer(prometheusbridge.NewMetricProducer()))
	default:
		return nil, fmt.Errorf("OTEL_METRICS_PRODUCERS=%q: want prometheus or none", producers)
	}
	return metric.NewPeriodicReader(exporter, opts...), nil
}

func newMetricExporter(ctx context.Context) (metric.Exporter, error) {
	name := "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
	protocol := os.Getenv(name)
	if protocol == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
		protocol = os.Getenv(name)
	}
	switch protocol {
	case "grpc":
		return otlpmetricgrpc.New(ctx)
	case "", "http/protobuf":
		return otlpmetrichttp.New(ctx)
	default:
		return nil, fmt.Errorf("%s=%q: want http/protobuf or grpc", name, protocol)
	}
}

// httpServerView keeps the Host header out of the metrics. The instrumentation
// records it as server.address, so that whoever sends requests could make a
// new series with each; semantic conventions make it opt-in for that reason.
func httpServerView() metric.View {
	return metric.NewView(
		metric.Instrument{Name: "http.server.*"},
		metric.Stream{AttributeFilter: attribute.NewDenyKeysFilter("server.address", "server.port")},
	)
}
