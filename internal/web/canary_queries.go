package web

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
)

// arm is one of the two populations that are compared.
type arm struct{ track, class, matcher string }

func arms(r rollout.Record) []arm {
	one := func(track, class, version string) arm {
		m := fmt.Sprintf("service_name=%s,deployment_track=%s", strconv.Quote(r.Service), strconv.Quote(track))
		if version != "" {
			m += ",service_version=" + strconv.Quote(version)
		}
		return arm{track, class, m}
	}
	return []arm{one("canary", "canary", r.CanaryVersion), one("stable", "stable", r.StableVersion)}
}

// judged are the metrics that a verdict rests on, read back from the queries of
// its checks, so that what was judged under names of one's own is drawn too.
type judged struct {
	metrics  *analysis.Metrics
	arms     []arm // canary, stable
	business []businessQuery
}

// businessQuery is a business check's ratio, for each arm.
type businessQuery struct {
	name string
	arms [2][]string // its one or two selectors: good, of
}

var selectors = parser.NewParser(parser.Options{})

// judgedBy reads the queries of the verdict's checks. What cannot be read is
// left out.
func judgedBy(v *analysis.Verdict, r rollout.Record) (j judged) {
	if v == nil {
		return j
	}
	both := tracks{[]string{"canary", regexp.QuoteMeta(r.CanaryVersion)}, []string{"stable", regexp.QuoteMeta(r.StableVersion)}}
	var errors, latency selector
	seen := map[string]bool{}
	for _, c := range v.Checks {
		if c.Query == "" || seen[c.Metric] {
			continue
		}
		seen[c.Metric] = true
		parts := split(c.Query)
		switch {
		case len(parts) == 0:
		case c.Metric == "error_rate":
			errors = parts[0]
		case strings.HasSuffix(c.Metric, "_latency"):
			latency = parts[0]
		default:
			b := businessQuery{name: c.Metric}
			for _, one := range parts {
				canary, stable := both.narrow(one)
				b.arms[0], b.arms[1] = append(b.arms[0], canary.String()), append(b.arms[1], stable.String())
			}
			j.business = append(j.business, b)
		}
	}
	name, isHistogram := strings.CutSuffix(latency.name(), "_bucket")
	if !isHistogram || errors == nil {
		return j
	}
	common := latency.without(labels.MetricName)
	var failed selector // what tells a failed request from others
	for _, m := range errors.without(labels.MetricName) {
		if !slices.ContainsFunc(common, func(o *labels.Matcher) bool { return o.String() == m.String() }) {
			failed = append(failed, m)
		}
	}
	j.metrics = &analysis.Metrics{Requests: name + "_count", Latency: name, LatencyUnit: unitOf(name)}
	if len(failed) > 0 {
		j.metrics.Requests, j.metrics.ErrorMatch = errors.name(), failed.inner()
	} else {
		j.metrics.Errors = errors.name()
	}
	canary, stable := both.narrow(common)
	j.arms = []arm{{"canary", "canary", canary.inner()}, {"stable", "stable", stable.inner()}}
	return j
}

// unitOf is the unit of a histogram, by its name.
func unitOf(name string) string {
	for _, preset := range []analysis.Preset{analysis.PresetSemconv, analysis.PresetLegacy, analysis.PresetRPC} {
		if m := (&analysis.Config{Preset: preset}).ResolvedMetrics(); m.Latency == name {
			return m.LatencyUnit
		}
	}
	if strings.HasSuffix(name, "_milliseconds") || strings.HasSuffix(name, "_ms") {
		return "ms"
	}
	return "s"
}

// selector is a PromQL selector's matchers.
type selector []*labels.Matcher

// split reads a check's query: one selector, or two of a ratio. Nil when it is
// neither.
func split(query string) []selector {
	expr, err := selectors.ParseExpr(query)
	if err != nil {
		return nil
	}
	var out []selector
	switch e := expr.(type) {
	case *parser.VectorSelector:
		out = append(out, e.LabelMatchers)
	case *parser.BinaryExpr:
		good, ok1 := e.LHS.(*parser.VectorSelector)
		of, ok2 := e.RHS.(*parser.VectorSelector)
		if ok1 && ok2 {
			out = append(out, good.LabelMatchers, of.LabelMatchers)
		}
	}
	return out
}

func (s selector) name() string {
	for _, m := range s {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

func (s selector) without(label string) selector {
	return slices.DeleteFunc(slices.Clone(s), func(m *labels.Matcher) bool { return m.Name == label })
}

// tracks are the values of labels that tell canary and stable apart, as regular
// expressions.
type tracks struct{ canary, stable []string }

// pair is a matcher of two values.
var pair = regexp.MustCompile(`^((?:[^|\\]|\\.)+)\|((?:[^|\\]|\\.)+)$`)

// narrow turns the matchers of both tracks into those of each.
func (t tracks) narrow(both selector) (canary, stable selector) {
	canary, stable = slices.Clone(both), slices.Clone(both)
	for i, m := range both {
		values := pair.FindStringSubmatch(m.Value)
		if m.Type != labels.MatchRegexp || values == nil {
			continue
		}
		a, b := values[1], values[2]
		switch {
		case slices.Contains(t.canary, a), slices.Contains(t.stable, b):
		case slices.Contains(t.canary, b), slices.Contains(t.stable, a):
			a, b = b, a
		default:
			continue // alternatives of something else
		}
		canary[i] = labels.MustNewMatcher(labels.MatchRegexp, m.Name, a)
		stable[i] = labels.MustNewMatcher(labels.MatchRegexp, m.Name, b)
	}
	return canary, stable
}

func (s selector) inner() string {
	parts := make([]string, len(s))
	for i, m := range s {
		parts[i] = m.String()
	}
	return strings.Join(parts, ",")
}

func (s selector) String() string { return "{" + s.inner() + "}" }
