package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Environment variables that the manifest of a deployment sets.
const (
	EnvVersion     = "APP_VERSION"
	EnvTrack       = "DEPLOYMENT_TRACK"
	EnvEnvironment = "DEPLOYMENT_ENVIRONMENT"
	EnvPodName     = "POD_NAME"
	EnvNamespace   = "POD_NAMESPACE"
)

// Resource attributes that tell the tracks of a service apart.
const (
	ServiceName           = attribute.Key("service.name")
	ServiceVersion        = attribute.Key("service.version")
	DeploymentTrack       = attribute.Key("deployment.track")
	DeploymentEnvironment = attribute.Key("deployment.environment")
	// DeploymentEnvironmentName is the name that semantic conventions 1.27
	// gave to DeploymentEnvironment. Both are set: dashboards use either.
	DeploymentEnvironmentName = attribute.Key("deployment.environment.name")
	K8sPodName                = attribute.Key("k8s.pod.name")
	K8sNamespaceName          = attribute.Key("k8s.namespace.name")
)

// Values of attributes whose variable is not set.
const (
	Unknown     = "unknown" // of service.version and k8s.pod.name
	TrackStable = "stable"  // of deployment.track
	TrackCanary = "canary"
)

// newResource describes this instance. Later sources win: defaults, the
// caller's attributes, OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, and
// last the variables of this package, which are the most specific.
func newResource(ctx context.Context, c config) (*resource.Resource, error) {
	defaults := []attribute.KeyValue{
		ServiceVersion.String(Unknown),
		DeploymentTrack.String(TrackStable),
		K8sPodName.String(Unknown),
	}
	res, err := resource.New(ctx,
		// The random service.instance.id of WithService keeps two processes
		// apart whose pod name is unknown.
		resource.WithService(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(append(defaults, c.attributes...)...),
		resource.WithFromEnv(),
		resource.WithAttributes(fromDeployment()...),
	)
	if err != nil {
		return res, fmt.Errorf("describe this service: %w", err)
	}
	return res, nil
}

// fromDeployment returns the attributes whose variable is set.
func fromDeployment() []attribute.KeyValue {
	var attrs []attribute.KeyValue
	for _, v := range []struct {
		env  string
		keys []attribute.Key
	}{
		{EnvVersion, []attribute.Key{ServiceVersion}},
		{EnvTrack, []attribute.Key{DeploymentTrack}},
		{EnvEnvironment, []attribute.Key{DeploymentEnvironment, DeploymentEnvironmentName}},
		{EnvPodName, []attribute.Key{K8sPodName}},
		{EnvNamespace, []attribute.Key{K8sNamespaceName}},
	} {
		value := strings.TrimSpace(os.Getenv(v.env))
		if value == "" {
			continue
		}
		for _, key := range v.keys {
			attrs = append(attrs, key.String(value))
		}
	}
	return attrs
}
