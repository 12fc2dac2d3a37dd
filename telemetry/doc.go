// Package telemetry sets up OpenTelemetry for an application that is deployed
// as a canary beside a stable version. One call, [Start], gives traces,
// metrics and logs whose resource says which version and which track of the
// service they come from, so that a judge can compare the two.
//
// The deployment's manifest sets the environment; the same image runs in both
// tracks:
//
//	APP_VERSION             service.version              default "unknown"
//	DEPLOYMENT_TRACK        deployment.track             default "stable", or "canary"
//	DEPLOYMENT_ENVIRONMENT  deployment.environment       left out when unset
//	                        and deployment.environment.name
//	POD_NAME                k8s.pod.name                 default "unknown"
//	POD_NAMESPACE           k8s.namespace.name           left out when unset
//
// Every standard OTEL_* variable is honoured: the exporters and their
// protocol, endpoint, headers and TLS, samplers, propagators, limits, batch
// sizes, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME and OTEL_SDK_DISABLED.
// For a resource attribute that is named twice the order is: its own variable
// above, OTEL_RESOURCE_ATTRIBUTES, an [Option], the default.
//
// Metrics are exported every 15 seconds ([MetricInterval]): the time to detect
// a bad canary depends on it. OTEL_METRIC_EXPORT_INTERVAL changes it.
//
// [Middleware] records the current HTTP server metric,
// http.server.request.duration, with http.route, and counts a handler that
// panics as the failed request it is.
package telemetry
