package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Analysis is the structure `analysis` as package analysis decodes it; the same
// YAML works in the command line's file. What is left out has that package's
// default, and its limits are checked by the controller, which says field and
// value in the condition Accepted.
type Analysis struct {
	// +kubebuilder:validation:Enum=sequential;threshold;kayenta
	// +optional
	Rule string `json:"rule,omitempty"`
	// +kubebuilder:validation:Enum=semconv;legacy;rpc
	// +optional
	Preset string `json:"preset,omitempty"`
	// +optional
	Window Duration `json:"window,omitempty"`
	// +kubebuilder:validation:Minimum=1
	// +optional
	MinRequests *int32 `json:"minRequests,omitempty"`
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinAnalysisMinutes *float64 `json:"minAnalysisMinutes,omitempty"`
	// +optional
	ErrorRate *ErrorRate `json:"errorRate,omitempty"`
	// +optional
	Latency *Latency `json:"latency,omitempty"`
	// +optional
	Routes *Routes `json:"routes,omitempty"`
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	// +optional
	Business []Business `json:"business,omitempty"`
	// +kubebuilder:validation:MaxItems=30
	// +listType=set
	// +optional
	Required []string `json:"required,omitempty"`
	// +kubebuilder:validation:Enum=noData;zero
	// +optional
	ErrorsAbsent string `json:"errorsAbsent,omitempty"`
	// +optional
	Alpha *float64 `json:"alpha,omitempty"`
	// +optional
	Looks *Looks `json:"looks,omitempty"`
	// +optional
	Beta *float64 `json:"beta,omitempty"`
	// +kubebuilder:validation:MaxProperties=60
	// +optional
	Weights map[string]float64 `json:"weights,omitempty"`
	// +optional
	Extend *float64 `json:"extend,omitempty"`
	// +optional
	ErrorBudget *float64 `json:"errorBudget,omitempty"`
	// +optional
	History Duration `json:"history,omitempty"`
	// +optional
	ScrapeInterval Duration `json:"scrapeInterval,omitempty"`
	// +optional
	WarmUp Duration `json:"warmUp,omitempty"`
	// +optional
	Traffic *TrafficCheck `json:"traffic,omitempty"`
	// +optional
	StableLimit *float64 `json:"stableLimit,omitempty"`
	// +optional
	Metrics *Metrics `json:"metrics,omitempty"`

	// Other names of window, errorRate.threshold, latency.thresholdPct and
	// minAnalysisMinutes.
	// +optional
	AnalysisWindow Duration `json:"analysis_window,omitempty"`
	// +optional
	ErrorRateThreshold *float64 `json:"error_rate_threshold,omitempty"`
	// +optional
	LatencyThresholdPct *float64 `json:"latency_threshold_pct,omitempty"`
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
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	// +optional
	Threshold *float64 `json:"threshold,omitempty"`
	// +optional
	Margin *Margin `json:"margin,omitempty"`
}

// Margin is what counts as no harm: canary <= (1+relative)*stable + absolute.
type Margin struct {
	// +kubebuilder:validation:Minimum=0
	// +optional
	Relative *float64 `json:"relative,omitempty"`
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
	// +kubebuilder:validation:Minimum=0
	// +optional
	ThresholdPct *float64 `json:"thresholdPct,omitempty"`
	// +kubebuilder:validation:Minimum=0
	// +optional
	Margin *float64 `json:"margin,omitempty"`
	// +kubebuilder:validation:Minimum=0
	// +optional
	TailMargin *float64 `json:"tailMargin,omitempty"`
	// +kubebuilder:validation:Minimum=0
	// +optional
	Limit *float64 `json:"limit,omitempty"`
}

// Routes configures the comparison per route.
type Routes struct {
	// Label that holds the route; "" compares in aggregate only.
	// +optional
	Label *string `json:"label,omitempty"`
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Max *int32 `json:"max,omitempty"`
}

// Business is a check of a business metric: good of exposures, or a mean.
type Business struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// +optional
	Good string `json:"good,omitempty"`
	// +optional
	Sum string `json:"sum,omitempty"`
	// +kubebuilder:validation:MinLength=1
	Of string `json:"of"`
	// +optional
	MaxDrop *float64 `json:"maxDrop,omitempty"`
	// +optional
	MaxRise *float64 `json:"maxRise,omitempty"`
	// +optional
	MinSamples *int32 `json:"minSamples,omitempty"`
}

// Looks is the error probability of the planned looks of one gate.
type Looks struct {
	// +optional
	Gate *float64 `json:"gate,omitempty"`
	// +optional
	Extension *float64 `json:"extension,omitempty"`
}

// TrafficCheck configures the check of the canary's share of the requests.
type TrafficCheck struct {
	// +optional
	Tolerance *float64 `json:"tolerance,omitempty"`
	// +optional
	Check *bool `json:"check,omitempty"`
}

// Metrics overrides names of the preset.
type Metrics struct {
	// +optional
	Requests string `json:"requests,omitempty"`
	// +optional
	Errors string `json:"errors,omitempty"`
	// +optional
	ErrorMatch string `json:"errorMatch,omitempty"`
	// +optional
	Latency string `json:"latency,omitempty"`
	// +kubebuilder:validation:Enum=s;ms
	// +optional
	LatencyUnit string `json:"latencyUnit,omitempty"`
	// +optional
	Match string `json:"match,omitempty"`
	// +optional
	Labels *Labels `json:"labels,omitempty"`
}

// Labels are the metric labels that tell series apart.
type Labels struct {
	// +optional
	Service string `json:"service,omitempty"`
	// +optional
	Version string `json:"version,omitempty"`
	// +optional
	Track string `json:"track,omitempty"`
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
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
