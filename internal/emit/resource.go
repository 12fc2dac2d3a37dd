package emit

import (
	"cmp"
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"fairlead.dev/fairlead/internal/release"
)

// newResource describes the pipeline. It holds no identity of the process,
// host or user: the next run of the pipeline is the same service.
func newResource(ctx context.Context, opts Options) *resource.Resource {
	attrs := []attribute.KeyValue{
		semconv.ServiceName(cmp.Or(opts.ServiceName, release.ServiceName)),
		semconv.TelemetryDistroName("fairlead"),
	}
	if opts.Version != "" {
		attrs = append(attrs, semconv.TelemetryDistroVersion(opts.Version))
	}
	attrs = append(attrs, opts.Resource...)
	// A malformed OTEL_RESOURCE_ATTRIBUTES is reported by the SDK's error
	// handler; what could be read is kept.
	res, _ := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attrs...),
		resource.WithFromEnv(),
	)
	return res
}

// ResourceAttributes returns the resource of metrics: what everything carries,
// without what differs from run to run.
func (e *Emitter) ResourceAttributes() []attribute.KeyValue { return e.metricsResource.Attributes() }

// perRun are resource attributes that differ from run to run or host to host.
// On metrics each value would be a series of its own, first seen at 1, which
// no increase() ever sees.
var perRun = []string{
	"cicd.pipeline.run.", "cicd.pipeline.task.run.", "cicd.worker.", "vcs.ref.head.revision", "vcs.change.",
	"process.", "host.", "os.", "container.", "k8s.pod.", "k8s.node.", "service.instance.id", "service.version",
	"telemetry.",
}

// stableResource is res without what would keep the metrics of two runs of one
// pipeline apart.
func stableResource(res *resource.Resource) *resource.Resource {
	var keep []attribute.KeyValue
	for _, kv := range res.Attributes() {
		if !hasAnyPrefix(string(kv.Key), perRun) {
			keep = append(keep, kv)
		}
	}
	return resource.NewSchemaless(keep...)
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
