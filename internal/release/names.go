package release

// Scope is the instrumentation scope of spans, logs and metrics of operations;
// the meter's name is part of the interface.
const Scope = "helm.deployments"

// ServiceName is the default service.name of the wrapper's telemetry.
const ServiceName = "helm-deployment-pipeline"

// EventName is the event name of the OTLP log record that an operation's start,
// binding to its Secret, and end emit.
const EventName = "helm.operation"

// EventSnapshot is the event name of the log record with the state of the
// cluster when an operation failed.
const EventSnapshot = "helm.snapshot"

// Metric names. Units: none, none, s.
const (
	MetricDeployCount         = "helm.deploy.count"
	MetricRollbackCount       = "helm.rollback.count"
	MetricDeployDuration      = "helm.deploy.duration"
	MetricRevision            = "helm.release.revision"             // gauge
	MetricLastDeployTime      = "helm.release.last_deploy_time"     // gauge, unix s
	MetricLastDuration        = "helm.release.last_duration"        // gauge, s
	MetricConsecutiveFailures = "helm.release.consecutive_failures" // gauge
	MetricPendingSince        = "helm.release.pending_since"        // gauge, unix s
)

// DurationBounds are the histogram bounds of helm.deploy.duration in seconds.
// They reach from a hook-less install to the hour after which pipelines give up.
var DurationBounds = []float64{1, 2.5, 5, 10, 15, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1800, 3600}

// Attribute keys of the spec.
const (
	AttrRelease          = "helm.release"
	AttrNamespace        = "helm.namespace"
	AttrPreviousRevision = "helm.previous_revision"
	AttrRevision         = "helm.revision"
	AttrChartName        = "helm.chart.name"
	AttrChartVersion     = "helm.chart.version"
	AttrAppVersion       = "helm.chart.app_version"
	AttrOperation        = "helm.operation" // the Kind
	AttrExitCode         = "helm.exit_code"
	AttrWait             = "helm.wait"
	AttrRollbackTo       = "helm.rollback_to_revision"
	AttrSuccess          = "helm.success" // "true" or "false", metrics only
	AttrErrorType        = "error.type"
	AttrCause            = "helm.cause" // the one-sentence cause
	AttrCluster          = "k8s.cluster.name"
)

// Attribute keys of the operation record, beside the spec's.
const (
	AttrID        = "helm.operation.id"
	AttrState     = "helm.operation.state"
	AttrCommand   = "helm.operation.command"
	AttrObserver  = "helm.operation.observer"
	AttrStart     = "helm.operation.start_unix_nano" // int64 in text: JSON readers lose it as a number
	AttrEnd       = "helm.operation.end_unix_nano"
	AttrAutomatic = "helm.operation.automatic"
	AttrParentID  = "helm.operation.parent_id"
	AttrHistoric  = "helm.operation.historic"
)

// AttrObjects names the objects of an operation's manifest, "Kind/name" by
// commas, so that events of them can be told whose they are.
const AttrObjects = "helm.objects"

// SpanName returns the name of an operation's root span for the command typed.
func SpanName(command string) string { return "helm-" + command }

// FailedSpanName returns the name of the instant child span of a failed operation.
func FailedSpanName(command string) string { return "helm-" + command + "-failed" }

// SpanRollback is the name of a rollback's span, automatic or by hand.
const SpanRollback = "helm-rollback"
