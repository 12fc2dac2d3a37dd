package analysis

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// latencyQuantiles are the quantiles that can be compared, with their metric names.
var latencyQuantiles = []struct {
	q    float64
	name string
}{
	{0.5, "p50_latency"}, {0.9, "p90_latency"}, {0.95, "p95_latency"}, {0.99, "p99_latency"}, {0.999, "p999_latency"},
}

// MetricErrorRate and MetricTrafficShare name checks; latency checks are named
// by LatencyMetric, business checks by the user.
const (
	MetricErrorRate    = "error_rate"
	MetricTrafficShare = "traffic_share"
)

// LatencyMetric names the check of a latency quantile: p99_latency for 0.99.
// "" for a quantile that cannot be compared.
func LatencyMetric(q float64) string {
	for _, l := range latencyQuantiles {
		if l.q == q {
			return l.name
		}
	}
	return ""
}

// Validate says which setting cannot be, with its value. It returns the first.
func (c *Config) Validate() error {
	for _, section := range []func() error{c.validateRule, c.validateLimits, c.validateLatency, c.validateTimes, c.validateBusiness, c.validateWeights} {
		if err := section(); err != nil {
			return err
		}
	}
	return nil
}

func bad(field string, value any, format string, args ...any) error {
	return &ConfigError{Field: field, Value: value, Problem: fmt.Sprintf(format, args...)}
}

// within checks lo <= v <= hi, and that v is a number.
func within(field string, v, lo, hi float64, why string) error {
	if !(v >= lo && v <= hi) {
		return bad(field, v, "want %g to %g: %s", lo, hi, why)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) validateRule() error {
	switch c.Rule {
	case RuleSequential, RuleThreshold, RuleKayenta, RuleFlagger:
	default:
		return bad("rule", c.Rule, "want sequential, threshold or kayenta")
	}
	if _, ok := presets[c.Preset]; !ok {
		return bad("preset", c.Preset, "want semconv, legacy or rpc")
	}
	if u := c.Metrics.LatencyUnit; u != "" && u != "s" && u != "ms" {
		return bad("metrics.latencyUnit", u, "want s or ms")
	}
	if c.Metrics.Errors != "" && c.Metrics.ErrorMatch != "" {
		return bad("metrics.errorMatch", c.Metrics.ErrorMatch, "errors is set too: errors are either a metric of their own or a match on requests")
	}
	switch c.ErrorsAbsent {
	case ErrorsAbsentNoData, ErrorsAbsentZero:
	default:
		return bad("errorsAbsent", c.ErrorsAbsent, "want noData or zero")
	}
	return nil
}

func (c *Config) validateLimits() error {
	if c.MinRequests < 1 {
		return bad("minRequests", c.MinRequests, "want at least 1: without requests nothing is known")
	}
	if c.Routes.Max < 1 && c.Routes.Label != "" {
		return bad("routes.max", c.Routes.Max, "want at least 1, or routes.label \"\" to compare in aggregate only")
	}
	if c.Routes.Max > 1000 {
		return bad("routes.max", c.Routes.Max, "want at most 1000: every route costs memory and evidence")
	}
	return first(
		within("errorRate.threshold", c.ErrorRate.Threshold, 0, 1, "it is a difference of two rates"),
		within("errorRate.margin.relative", c.ErrorRate.Margin.Relative, 0, 10, "a fraction of stable's rate"),
		within("errorRate.margin.absolute", c.ErrorRate.Margin.Absolute, 0, 0.5, "a rate"),
		within("alpha", c.Alpha, 1e-6, 0.2, "a probability of a false alarm"),
		within("looks.gate", c.Looks.Gate, 0, 0.2, "a probability of a false alarm"),
		within("looks.extension", c.Looks.Extension, 0, 0.2, "a probability of a false alarm"),
		within("beta", c.Beta, 1e-6, 0.5, "a probability"),
		within("extend", c.Extend, 1, 10, "a multiple of the gate"),
		within("errorBudget", c.ErrorBudget, 0, 1e9, "a number of requests"),
		within("traffic.tolerance", c.Traffic.Tolerance, 0.01, 1, "a fraction of the weight"),
		within("stableLimit", c.StableLimit, 0, 1, "an error rate; 0 switches it off"),
	)
}

func (c *Config) validateLatency() error {
	for _, q := range c.Latency.Quantiles {
		if LatencyMetric(q) == "" {
			return bad("latency.quantiles", q, "want any of 0.5, 0.9, 0.95, 0.99, 0.999")
		}
	}
	if sorted := slices.Clone(c.Latency.Quantiles); len(sorted) > 1 {
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(c.Latency.Quantiles) {
			return bad("latency.quantiles", c.Latency.Quantiles, "one is there twice")
		}
	}
	return first(
		within("latency.thresholdPct", c.Latency.ThresholdPct, 0, 100, "a fraction of stable's latency: 0.20 is 20 %"),
		within("latency.margin", c.Latency.Margin, 0, 10, "a fraction of stable's latency: 0.10 is 10 %"),
		within("latency.tailMargin", c.Latency.TailMargin, 0, 10, "a fraction of stable's latency: 0.25 is 25 %"),
		within("latency.limit", c.Latency.Limit, 0, 3600, "seconds"),
	)
}

func (c *Config) validateTimes() error {
	scrape := time.Duration(c.ScrapeInterval)
	if scrape < time.Second || scrape > 5*time.Minute {
		return bad("scrapeInterval", c.ScrapeInterval, "want 1s to 5m")
	}
	if time.Duration(c.Window) < scrape || time.Duration(c.Window) > 24*time.Hour {
		return bad("window", c.Window, "want at least one scrape interval (%s) and at most 24h", c.ScrapeInterval)
	}
	if h := time.Duration(c.History); h < 0 || h > 24*time.Hour {
		return bad("history", c.History, "want 0s to 24h")
	}
	if w := time.Duration(c.WarmUp); w < 0 || w > time.Hour {
		return bad("warmUp", c.WarmUp, "want 0s to 1h")
	}
	return within("minAnalysisMinutes", c.MinAnalysisMinutes, 0, 7*24*60, "minutes")
}

func (c *Config) validateBusiness() error {
	seen := map[string]bool{MetricErrorRate: true, MetricTrafficShare: true}
	for _, l := range latencyQuantiles {
		seen[l.name] = true
	}
	for i, b := range c.Business {
		at := func(f string) string { return fmt.Sprintf("business[%d].%s", i, f) }
		switch {
		case b.Name == "":
			return bad(at("name"), nil, "every business check needs a name")
		case strings.ContainsAny(b.Name, " \t\n"):
			return bad(at("name"), b.Name, "no spaces, please: it becomes a label")
		case seen[b.Name]:
			return bad(at("name"), b.Name, "is taken")
		case b.Of == "":
			return bad(at("of"), nil, "the counter of exposures (sessions, carts) is missing")
		case (b.Good == "") == (b.Sum == ""):
			return bad(at("good"), b.Good, "set either good (events of a ratio) or sum (of a mean)")
		case (b.MaxDrop == 0) == (b.MaxRise == 0):
			return bad(at("maxDrop"), b.MaxDrop, "set either maxDrop or maxRise above 0")
		case b.MinSamples < 0:
			return bad(at("minSamples"), b.MinSamples, "want 0 or more")
		}
		if err := first(
			within(at("maxDrop"), b.MaxDrop, 0, 0.95, "a fraction of stable's rate"),
			within(at("maxRise"), b.MaxRise, 0, 10, "a fraction of stable's rate"),
		); err != nil {
			return err
		}
		seen[b.Name] = true
	}
	for _, name := range c.Required {
		if !slices.Contains(c.metricNames(), name) {
			return bad("required", name, "no such check; there are %s", strings.Join(c.metricNames(), ", "))
		}
	}
	return nil
}

// metricNames are the configured checks, in the order of their importance.
func (c *Config) metricNames() []string {
	names := []string{MetricErrorRate}
	for _, q := range c.Latency.Quantiles {
		names = append(names, LatencyMetric(q))
	}
	for _, b := range c.Business {
		names = append(names, b.Name)
	}
	return names
}

func (c *Config) validateWeights() error {
	sum := 0.0
	for name, w := range c.Weights {
		base := strings.TrimSuffix(name, routesSuffix)
		if !slices.Contains(c.metricNames(), base) {
			return bad("weights", name, "no such check; there are %s, each also with %s", strings.Join(c.metricNames(), ", "), routesSuffix)
		}
		if err := within("weights."+name, w, 0, 1, "a share of alpha"); err != nil {
			return err
		}
		sum += w
	}
	if sum > 1+1e-9 {
		return bad("weights", sum, "the weights add up to more than 1")
	}
	return nil
}
