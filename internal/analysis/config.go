package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Rule is how a verdict is reached.
type Rule string

// The rules.
const (
	RuleSequential Rule = "sequential" // e-processes with margins; may look at any time
	RuleThreshold  Rule = "threshold"  // fixed limits over a sliding window
	RuleKayenta    Rule = "kayenta"    // Mann-Whitney per metric at the gate's end, as Kayenta's judge
	RuleFlagger    Rule = "flagger"    // absolute limits, failed checks counted; for comparisons only
)

// ErrorsAbsent is what a missing errors series means while requests exist.
type ErrorsAbsent string

// What a missing errors series means.
const (
	ErrorsAbsentNoData ErrorsAbsent = "noData" // nothing is known, unless the service has had one at some time
	ErrorsAbsentZero   ErrorsAbsent = "zero"   // no errors
)

// Config is the `analysis` structure that users write: in the CLI's file, in a
// CanaryRelease and in the demo. Decode and the JSON decoder start from
// Default, refuse unknown fields, and accept the aliases analysis_window,
// error_rate_threshold, latency_threshold_pct and min_analysis_minutes.
type Config struct {
	Rule   Rule   `json:"rule"`
	Preset Preset `json:"preset"`
	// Window is the sliding window of the threshold rule, and how far the
	// results' plain figures look back.
	Window Duration `json:"window"`
	// MinRequests the canary must have served before any verdict from
	// telemetry, in both directions, for every rule.
	MinRequests int `json:"minRequests"`
	// MinAnalysisMinutes is the canary's least age for a promotion outside a
	// gate; inside one the gate's length takes its place.
	MinAnalysisMinutes float64    `json:"minAnalysisMinutes"`
	ErrorRate          ErrorRate  `json:"errorRate"`
	Latency            Latency    `json:"latency"`
	Routes             Routes     `json:"routes"`
	Business           []Business `json:"business,omitempty"`
	// Required checks must be testable for a promotion: error_rate,
	// p99_latency, ..., or a business check's name.
	Required     []string     `json:"required"`
	ErrorsAbsent ErrorsAbsent `json:"errorsAbsent"`
	// Alpha bounds the probability that a rollout of a canary that does no
	// harm is ever rolled back by the continuous test; the planned looks add
	// Looks per gate.
	Alpha float64 `json:"alpha"`
	Looks Looks   `json:"looks"`
	// Beta is the confidence of the bound on the excess error rate that a
	// promotion asks for (it holds with 1-Beta).
	Beta float64 `json:"beta"`
	// Weights split Alpha over metrics (route tests get a share of their
	// metric's): error_rate, p50_latency, ..., a business check's name, and
	// the same with the suffix ".routes". Missing ones have their default.
	Weights map[string]float64 `json:"weights,omitempty"`
	// Extend is how many times its length a gate may last for want of evidence.
	Extend float64 `json:"extend"`
	// ErrorBudget is how many failed requests the next step may risk when a
	// step is promoted without proof that none come.
	ErrorBudget float64 `json:"errorBudget"`
	// History is how much of the stable track's past is used to choose bounds
	// and to measure its noise.
	History Duration `json:"history"`
	// ScrapeInterval is the length of one interval of samples.
	ScrapeInterval Duration `json:"scrapeInterval"`
	// WarmUp freezes latency tests after a step or a restart of the canary; it
	// never takes more than a fifth of the gate.
	WarmUp Duration `json:"warmUp"`
	// Traffic is the check of the canary's share of the requests.
	Traffic Traffic `json:"traffic"`
	// StableLimit is the error rate from which stable itself is ill, and a
	// canary is not blamed for sharing it. 0 switches the guard off.
	StableLimit float64 `json:"stableLimit"`
	// Metrics overrides names of the preset.
	Metrics Metrics `json:"metrics,omitzero"`
}

// ErrorRate configures the comparison of error rates.
type ErrorRate struct {
	// Threshold is the threshold rule's limit of canary - stable, 0..1.
	Threshold float64 `json:"threshold"`
	// Margin is what the sequential rule calls no harm.
	Margin Margin `json:"margin"`
}

// Latency configures the comparison of latency distributions.
type Latency struct {
	// Quantiles are compared each: of 0.5, 0.9, 0.95, 0.99, 0.999.
	Quantiles []float64 `json:"quantiles"`
	// ThresholdPct is the threshold rule's limit of (canary-stable)/stable, as
	// a fraction: 0.20 is 20 %.
	ThresholdPct float64 `json:"thresholdPct"`
	// Margin is the factor of latency that is no harm: 0.10 is 10 % slower.
	Margin float64 `json:"margin"`
	// TailMargin is Margin for quantiles above 0.99.
	TailMargin float64 `json:"tailMargin"`
	// Limit is the flagger rule's absolute limit of p99, in seconds.
	Limit float64 `json:"limit,omitempty"`
}

// Routes configures the comparison per route.
type Routes struct {
	// Label is the metric label that holds the route; "" compares in aggregate only.
	Label string `json:"label"`
	// Max is how many routes are told apart, those with most stable traffic;
	// the rest are together "other".
	Max int `json:"max"`
}

// Business is a check of a business metric. With Good it is a ratio of
// counters: events Good of exposures Of. With Sum it is a mean: Sum per Of.
type Business struct {
	Name string `json:"name"`
	// Good, Sum and Of are metric names or PromQL selectors.
	Good string `json:"good,omitempty"`
	Sum  string `json:"sum,omitempty"`
	Of   string `json:"of"`
	// MaxDrop is the relative drop that is no harm; MaxRise the relative rise,
	// for what should stay low. One of them.
	MaxDrop float64 `json:"maxDrop,omitempty"`
	MaxRise float64 `json:"maxRise,omitempty"`
	// MinSamples are the exposures of the canary needed before it counts.
	MinSamples int `json:"minSamples,omitempty"`
}

// Looks is the error probability of the planned looks of one gate, shared by
// all checks.
type Looks struct {
	Gate      float64 `json:"gate"`      // at the gate's end
	Extension float64 `json:"extension"` // at the end of the gate's extension
}

// Traffic configures the check of the canary's share of the requests.
type Traffic struct {
	// Tolerance is how far the share may be off its weight, as a fraction of
	// the weight (and of the stable share), before it counts as off.
	Tolerance float64 `json:"tolerance"`
	// Check false switches the check off: sticky sessions, mirrored traffic.
	Check bool `json:"check"`
}

// Default returns the configuration of someone who configured nothing.
func Default() Config {
	return Config{
		Rule:               RuleSequential,
		Preset:             PresetSemconv,
		Window:             Duration(5 * time.Minute),
		MinRequests:        100,
		MinAnalysisMinutes: 10,
		ErrorRate:          ErrorRate{Threshold: 0.10, Margin: Margin{Relative: 0.10, Absolute: 0.0002}},
		Latency:            Latency{Quantiles: []float64{0.5, 0.99, 0.999}, ThresholdPct: 0.20, Margin: 0.10, TailMargin: 0.25, Limit: 0.5},
		Routes:             Routes{Label: "http_route", Max: 50},
		Required:           []string{MetricErrorRate},
		ErrorsAbsent:       ErrorsAbsentNoData,
		Alpha:              0.01,
		Looks:              Looks{Gate: 0.0025, Extension: 0.0008},
		Beta:               0.05,
		Extend:             2,
		ErrorBudget:        200,
		History:            Duration(time.Hour),
		ScrapeInterval:     Duration(15 * time.Second),
		WarmUp:             Duration(2 * time.Minute),
		Traffic:            Traffic{Tolerance: 0.5, Check: true},
		StableLimit:        0.5,
	}
}

// Decode reads a Config from YAML or JSON, over the defaults, and validates it.
// Its errors name field and value.
func Decode(data []byte) (Config, error) {
	var c Config
	js, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return c, fmt.Errorf("analysis: read YAML: %w", err)
	}
	if err := json.Unmarshal(js, &c); err != nil {
		return c, err
	}
	return c, c.Validate()
}

// aliases are the specification's names of fields and where they live here.
var aliases = map[string][]string{
	"analysis_window":       {"window"},
	"error_rate_threshold":  {"errorRate", "threshold"},
	"latency_threshold_pct": {"latency", "thresholdPct"},
	"min_analysis_minutes":  {"minAnalysisMinutes"},
}

// UnmarshalJSON decodes over the defaults, strictly. It does not validate.
func (c *Config) UnmarshalJSON(data []byte) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		*c = Default()
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return &ConfigError{Field: "analysis", Value: string(data), Problem: "want a map of settings"}
	}
	for alias, path := range aliases {
		v, ok := fields[alias]
		if !ok {
			continue
		}
		delete(fields, alias)
		if err := setPath(fields, path, v); err != nil {
			return &ConfigError{Field: alias, Value: string(v), Problem: err.Error()}
		}
	}
	canonical, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	type plain Config // without this method
	out := plain(Default())
	dec := json.NewDecoder(bytes.NewReader(canonical))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &ConfigError{Field: "analysis", Problem: "more than one value"}
	}
	*c = Config(out)
	return nil
}

// setPath puts v at path unless something is there already.
func setPath(fields map[string]json.RawMessage, path []string, v json.RawMessage) error {
	if len(path) == 1 {
		if _, ok := fields[path[0]]; ok {
			return fmt.Errorf("is another name of %s, which is set too: keep one", path[0])
		}
		fields[path[0]] = v
		return nil
	}
	inner := map[string]json.RawMessage{}
	if have, ok := fields[path[0]]; ok {
		if err := json.Unmarshal(have, &inner); err != nil {
			return fmt.Errorf("%s must be a map", path[0])
		}
	}
	if err := setPath(inner, path[1:], v); err != nil {
		return err
	}
	b, err := json.Marshal(inner)
	fields[path[0]] = b
	return err
}

// decodeError turns encoding/json's errors into ones that name the field.
func decodeError(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return &ConfigError{Field: typ.Field, Value: typ.Value, Problem: "want " + typ.Type.String()}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return &ConfigError{Field: strings.Trim(name, `"`), Problem: "no such setting; see docs/how-canaries-are-judged.md for all of them"}
	}
	return fmt.Errorf("analysis: %w", err)
}

// ConfigError is a setting that cannot be. Field is its path below `analysis`.
type ConfigError struct {
	Field   string
	Value   any
	Problem string
}

// Error names field, value and what is wanted.
func (e *ConfigError) Error() string {
	if e.Value == nil || e.Value == "" {
		return fmt.Sprintf("analysis.%s: %s", strings.TrimPrefix(e.Field, "analysis."), e.Problem)
	}
	return fmt.Sprintf("analysis.%s = %v: %s", e.Field, e.Value, e.Problem)
}
