package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Analysis is the structure `analysis` as package analysis decodes it; the same
// YAML works in the command line's file. What is left out has that package's
// default, and its limits are checked by the controller, which says field and
// value in the condition Accepted.
type Analysis struct {
	// Rule is how a verdict is reached: sequential may look at any time, threshold
	// has fixed limits over the window, kayenta compares at the gate's end.
	// +kubebuilder:validation:Enum=sequential;threshold;kayenta
	// +optional
	Rule string `json:"rule,omitempty"`
	// Preset names the metrics: semconv (OpenTelemetry's HTTP conventions), legacy
	// (http_server_request_total and its kin) or rpc.
	// +kubebuilder:validation:Enum=semconv;legacy;rpc
	// +optional
	Preset string `json:"preset,omitempty"`
	// Window is the sliding window of the threshold rule, and how far the plain
	// figures of a result look back.
	// +optional
	Window Duration `json:"window,omitempty"`
	// MinRequests the canary must have served before any verdict, in both
	// directions.
	// +kubebuilder:validation:Minimum=1
	// +optional
	MinRequests *int32 `json:"minRequests,omitempty"`
	// MinAnalysisMinutes is the canary's least age for a promotion outside of a
	// gate, by the threshold rule.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinAnalysisMinutes *float64 `json:"minAnalysisMinutes,omitempty"`
	// +optional
	ErrorRate *ErrorRate `json:"errorRate,omitempty"`
	// +optional
	Latency *Latency `json:"latency,omitempty"`
	// +optional
	Routes *Routes `json:"routes,omitempty"`
	// Business are checks of business metrics.
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	// +optional
	Business []Business `json:"business,omitempty"`
	// Required checks must be testable for a promotion: error_rate, p99_latency,
	// or a business check's name.
	// +kubebuilder:validation:MaxItems=30
	// +listType=set
	// +optional
	Required []string `json:"required,omitempty"`
	// ErrorsAbsent says what a missing errors series means while there are
	// requests: noData, or zero errors.
	// +kubebuilder:validation:Enum=noData;zero
	// +optional
	ErrorsAbsent string `json:"errorsAbsent,omitempty"`
	// Alpha bounds the probability that the continuous test ever rolls back a
	// canary that does no harm.
	// +optional
	Alpha *float64 `json:"alpha,omitempty"`
	// +optional
	Looks *Looks `json:"looks,omitempty"`
	// Beta is the confidence of the bound on the excess error rate that a
	// promotion asks for: it holds with 1-beta.
	// +optional
	Beta *float64 `json:"beta,omitempty"`
	// Weights split alpha over metrics: error_rate, p99_latency, a business
	// check's name, and the same with the suffix .routes.
	// +kubebuilder:validation:MaxProperties=60
	// +optional
	Weights map[string]float64 `json:"weights,omitempty"`
	// Extend is how many times its length a gate may last for want of evidence.
	// +optional
	Extend *float64 `json:"extend,omitempty"`
	// ErrorBudget is how many failed requests the next step may risk when a step
	// is passed without proof that none come.
	// +optional
	ErrorBudget *float64 `json:"errorBudget,omitempty"`
	// History is how much of stable's past is used to choose bounds and to measure
	// its noise.
	// +optional
	History Duration `json:"history,omitempty"`
	// ScrapeInterval is the length of one interval of samples.
	// +optional
	ScrapeInterval Duration `json:"scrapeInterval,omitempty"`
	// WarmUp leaves latency out after a step or a restart of the canary, for at
	// most a fifth of the gate.
	// +optional
	WarmUp Duration `json:"warmUp,omitempty"`
	// +optional
	Traffic *TrafficCheck `json:"traffic,omitempty"`
	// StableLimit is the error rate from which stable itself is ill, and a canary
	// is not blamed for sharing it; 0 switches that off.
	// +optional
	StableLimit *float64 `json:"stableLimit,omitempty"`
	// +optional
	Metrics *Metrics `json:"metrics,omitempty"`

	// Other names of window, errorRate.threshold, latency.thresholdPct and
	// minAnalysisMinutes.
	// +optional
	AnalysisWindow Duration `json:"analysis_window,omitempty"`
	// Another name of errorRate.threshold.
	// +optional
	ErrorRateThreshold *float64 `json:"error_rate_threshold,omitempty"`
	// Another name of latency.thresholdPct.
	// +optional
	LatencyThresholdPct *float64 `json:"latency_threshold_pct,omitempty"`
	// Another name of minAnalysisMinutes.
	// +optional
	MinAnalysisMinutesAlias *float64 `json:"min_analysis_minutes,omitempty"`
}

// Duration is a duration as text: 30s, 5m, 1h30m.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
type Duration string

// ErrorRate configures the comparison of error rates.
type ErrorRate struct {
	// Threshold is the threshold rule's limit of canary - stable, from 0 to 1.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	// +optional
	Threshold *float64 `json:"threshold,omitempty"`
	// +optional
	Margin *Margin `json:"margin,omitempty"`
}

// Margin is what counts as no harm: canary <= (1+relative)*stable + absolute.
type Margin struct {
	// Relative is the share of stable's rate that the canary may have more: 0.1 is
	// 10 %.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Relative *float64 `json:"relative,omitempty"`
	// Absolute is what it may have more whatever stable's rate is.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Absolute *float64 `json:"absolute,omitempty"`
}

// Latency configures the comparison of latency distributions.
type Latency struct {
	// Quantiles of 0.5, 0.9, 0.95, 0.99, 0.999.
	// +kubebuilder:validation:MaxItems=5
	// +listType=atomic
	// +optional
	Quantiles []float64 `json:"quantiles,omitempty"`
	// ThresholdPct is the threshold rule's limit of (canary-stable)/stable, as a
	// fraction: 0.20 is 20 %.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ThresholdPct *float64 `json:"thresholdPct,omitempty"`
	// Margin is what is no harm, as a fraction of stable's latency: 0.10 is 10 %
	// slower.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Margin *float64 `json:"margin,omitempty"`
	// TailMargin is the margin of quantiles above 0.99.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TailMargin *float64 `json:"tailMargin,omitempty"`
	// Limit is an absolute limit of p99 in seconds, for comparisons with the rule
	// of Flagger alone.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Limit *float64 `json:"limit,omitempty"`
}

// Routes configures the comparison per route.
type Routes struct {
	// Label that holds the route; "" compares in aggregate only.
	// +optional
	Label *string `json:"label,omitempty"`
	// Max is how many routes are told apart, those with most requests; the rest
	// are together "other".
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Max *int32 `json:"max,omitempty"`
}

// Business is a check of a business metric: good of exposures, or a mean.
type Business struct {
	// Name of the check, in verdicts.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Good counts the events that are wanted of the exposures; a metric's name or
	// a PromQL selector.
	// +optional
	Good string `json:"good,omitempty"`
	// Sum is what a mean is of, in place of good: revenue by order, say.
	// +optional
	Sum string `json:"sum,omitempty"`
	// Of counts the exposures.
	// +kubebuilder:validation:MinLength=1
	Of string `json:"of"`
	// MaxDrop is the relative drop that is no harm.
	// +optional
	MaxDrop *float64 `json:"maxDrop,omitempty"`
	// MaxRise is the relative rise that is no harm, of what should stay low. One
	// of both.
	// +optional
	MaxRise *float64 `json:"maxRise,omitempty"`
	// MinSamples are the canary's exposures without which the check says nothing.
	// +optional
	MinSamples *int32 `json:"minSamples,omitempty"`
}

// Looks is the error probability of the planned looks of one gate.
type Looks struct {
	// Gate is that of the look at the gate's end.
	// +optional
	Gate *float64 `json:"gate,omitempty"`
	// Extension is that of the look at the end of its extension.
	// +optional
	Extension *float64 `json:"extension,omitempty"`
}

// TrafficCheck configures the check of the canary's share of the requests.
type TrafficCheck struct {
	// Tolerance is how far the share may be off the weight, as a fraction of it.
	// +optional
	Tolerance *float64 `json:"tolerance,omitempty"`
	// Check false switches the check off: for sticky sessions and mirrored
	// traffic.
	// +optional
	Check *bool `json:"check,omitempty"`
}

// Metrics overrides names of the preset.
type Metrics struct {
	// Requests is the counter of requests.
	// +optional
	Requests string `json:"requests,omitempty"`
	// Errors is the counter of failed requests; the same as requests with
	// errorMatch.
	// +optional
	Errors string `json:"errors,omitempty"`
	// ErrorMatch are the matchers that make errors of it:
	// http_response_status_code=~"5..".
	// +optional
	ErrorMatch string `json:"errorMatch,omitempty"`
	// Latency is the histogram of durations, classic or native, without _bucket.
	// +optional
	Latency string `json:"latency,omitempty"`
	// LatencyUnit is its unit.
	// +kubebuilder:validation:Enum=s;ms
	// +optional
	LatencyUnit string `json:"latencyUnit,omitempty"`
	// Match are matchers added to every query.
	// +optional
	Match string `json:"match,omitempty"`
	// +optional
	Labels *Labels `json:"labels,omitempty"`
}

// Labels are the metric labels that tell series apart.
type Labels struct {
	// Service is the label of service.name.
	// +optional
	Service string `json:"service,omitempty"`
	// Version is the label of service.version.
	// +optional
	Version string `json:"version,omitempty"`
	// Track is the label of deployment.track.
	// +optional
	Track string `json:"track,omitempty"`
	// Pod is the label that tells the pods of a track apart.
	// +optional
	Pod string `json:"pod,omitempty"`
}

// Source is where the samples are.
type Source struct {
	// +optional
	Prometheus *Backend `json:"prometheus,omitempty"`
}

// Traces is where failed traces are searched: one of both.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.tempo) && has(self.jaeger))",message="set tempo or jaeger, not both"
type Traces struct {
	// +optional
	Tempo *Backend `json:"tempo,omitempty"`
	// +optional
	Jaeger *Backend `json:"jaeger,omitempty"`
}

// Backend is a server that is asked.
type Backend struct {
	// URL without credentials.
	// +kubebuilder:validation:Pattern=`^https?://[^@]+$`
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`
	// SecretRef names a Secret in the CanaryRelease's namespace with the key
	// token, or the keys username and password.
	// +optional
	SecretRef *SecretName `json:"secretRef,omitempty"`
	// Headers of every request, X-Scope-OrgID for example; no secrets.
	// +kubebuilder:validation:MaxProperties=20
	// +optional
	Headers map[string]string `json:"headers,omitempty"`
	// Params are added to every query of a Prometheus, dedup for example.
	// +kubebuilder:validation:MaxProperties=20
	// +optional
	Params map[string]string `json:"params,omitempty"`
	// Timeout of one request.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// AcceptWarnings takes answers that the server warns about.
	// +optional
	AcceptWarnings bool `json:"acceptWarnings,omitempty"`
}

// SecretName refers to a Secret in the CanaryRelease's namespace.
type SecretName struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
