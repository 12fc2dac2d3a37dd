package analysis

// Preset is a set of metric names that services use.
type Preset string

// The presets.
const (
	PresetSemconv Preset = "semconv" // http_server_request_duration_seconds, current conventions
	PresetLegacy  Preset = "legacy"  // http_server_request_total, http_server_request_errors_total
	PresetRPC     Preset = "rpc"     // rpc_server_call_duration_seconds
)

// Metrics names the series that are read. Empty fields have the preset's value.
type Metrics struct {
	// Requests is the counter of requests; with a histogram its _count.
	Requests string `json:"requests,omitempty"`
	// Errors is the counter of failed requests; "" counts those of Requests
	// that ErrorMatch selects.
	Errors string `json:"errors,omitempty"`
	// ErrorMatch is a PromQL matcher on Requests: http_response_status_code=~"5..".
	ErrorMatch string `json:"errorMatch,omitempty"`
	// Latency is the histogram's base name, classic or native.
	Latency string `json:"latency,omitempty"`
	// LatencyUnit is "s" or "ms".
	LatencyUnit string `json:"latencyUnit,omitempty"`
	// Match is a PromQL matcher added to every query of these three.
	Match  string `json:"match,omitempty"`
	Labels Labels `json:"labels,omitzero"`
}

// Labels are the metric labels that tell series apart. The route's is Config.Routes.Label.
type Labels struct {
	Service string `json:"service,omitempty"`
	Version string `json:"version,omitempty"`
	Track   string `json:"track,omitempty"`
	Pod     string `json:"pod,omitempty"`
}

var presets = map[Preset]Metrics{
	PresetSemconv: {
		Requests: "http_server_request_duration_seconds_count", ErrorMatch: `http_response_status_code=~"5.."`,
		Latency: "http_server_request_duration_seconds", LatencyUnit: "s",
	},
	PresetLegacy: {
		Requests: "http_server_request_total", Errors: "http_server_request_errors_total",
		Latency: "http_server_request_duration", LatencyUnit: "ms",
	},
	// gRPC's status codes that are the server's fault: unknown, deadline
	// exceeded, unimplemented, internal, unavailable, data loss.
	PresetRPC: {
		Requests: "rpc_server_call_duration_seconds_count", ErrorMatch: `rpc_grpc_status_code=~"2|4|12|13|14|15"`,
		Latency: "rpc_server_call_duration_seconds", LatencyUnit: "s",
	},
}

// ResolvedMetrics returns the preset's names with the configured ones in their place.
func (c *Config) ResolvedMetrics() Metrics {
	m := presets[c.Preset]
	m.Labels = Labels{Service: "service_name", Version: "service_version", Track: "deployment_track", Pod: "k8s_pod_name"}
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	o := c.Metrics
	set(&m.Requests, o.Requests)
	if o.Errors != "" || o.ErrorMatch != "" {
		m.Errors, m.ErrorMatch = o.Errors, o.ErrorMatch
	}
	set(&m.Latency, o.Latency)
	set(&m.LatencyUnit, o.LatencyUnit)
	set(&m.Match, o.Match)
	set(&m.Labels.Service, o.Labels.Service)
	set(&m.Labels.Version, o.Labels.Version)
	set(&m.Labels.Track, o.Labels.Track)
	set(&m.Labels.Pod, o.Labels.Pod)
	return m
}
