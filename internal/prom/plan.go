package prom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"fairlead.dev/fairlead/internal/analysis"
)

// plan is what is asked for an analysis.Query, and how the answers are read.
type plan struct {
	metrics  analysis.Metrics
	route    string // label
	tracks   [2]Matchers
	failed   Matchers // what makes a request a failed one; empty with a metric of errors
	requests Matchers // of the first request: counters of requests and errors, native histograms
	buckets  Matchers // of the second: classic buckets
	business []businessQuery
}

// businessQuery is one request for the series of business checks.
type businessQuery struct {
	match Matchers
	terms []businessTerm
}

// businessTerm is one metric of a business check.
type businessTerm struct {
	check string
	kind  analysis.Kind
	match Matchers
}

// selectors parses what users write; it holds no state.
var selectors = parser.NewParser(parser.Options{})

// newPlan works out the requests of q; its errors name the setting.
func newPlan(q analysis.Query) (*plan, error) {
	c := q.Config
	p := &plan{metrics: c.ResolvedMetrics(), route: c.Routes.Label}
	m := p.metrics
	common, err := p.trackMatchers(q)
	if err != nil {
		return nil, err
	}
	if m.ErrorMatch != "" {
		if p.failed, err = parseMatchers("metrics.errorMatch", m.ErrorMatch); err != nil {
			return nil, err
		}
	}
	filtered := slices.Clone(common)
	if m.Match != "" {
		extra, err := parseMatchers("metrics.match", m.Match)
		if err != nil {
			return nil, err
		}
		filtered = append(filtered, extra...)
	}
	names := []string{m.Requests}
	if m.Errors != "" {
		names = append(names, m.Errors)
	}
	if m.Latency != "" {
		// A native histogram has no _count series: it is the requests as well.
		names = append(names, m.Latency)
		p.buckets = append(Matchers{equal(labels.MetricName, m.Latency+"_bucket")}, filtered...)
	}
	p.requests = append(Matchers{oneOf(labels.MetricName, names)}, filtered...)
	if err := p.planBusiness(c.Business, common); err != nil {
		return nil, err
	}
	return p, nil
}

// trackMatchers returns the matchers that both tracks' series have in common.
func (p *plan) trackMatchers(q analysis.Query) (Matchers, error) {
	l := p.metrics.Labels
	names := [2]map[string]string{}
	for track, s := range q.Tracks {
		names[track] = map[string]string{}
		for label, value := range map[string]string{l.Service: s.Service, l.Version: s.Version, l.Track: s.Track} {
			if label != "" && value != "" {
				names[track][label] = value
			}
		}
		for label, value := range s.Extra {
			names[track][label] = value
		}
		for _, label := range sortedKeys(names[track]) {
			p.tracks[track] = append(p.tracks[track], equal(label, names[track][label]))
		}
	}
	stable, canary := names[analysis.Stable], names[analysis.Canary]
	if q.StableOnly {
		return slices.Clone(p.tracks[analysis.Stable]), nil
	}
	separate := false
	var common Matchers
	for _, label := range sortedKeys(stable) {
		other, ok := canary[label]
		if !ok {
			continue
		}
		if other == stable[label] {
			common = append(common, equal(label, other))
			continue
		}
		separate = true
		common = append(common, oneOf(label, []string{stable[label], other}))
	}
	if !separate {
		return nil, fmt.Errorf("the tracks cannot be told apart: stable is %s and canary is %s; give two versions, or two values of the label %s",
			p.tracks[analysis.Stable], p.tracks[analysis.Canary], l.Track)
	}
	return common, nil
}

// planBusiness puts all business metrics with a plain name into one request;
// what else their selectors say is matched here.
func (p *plan) planBusiness(checks []analysis.Business, common Matchers) error {
	var shared businessQuery
	var names []string
	for i, b := range checks {
		for _, t := range []struct {
			field, selector string
			kind            analysis.Kind
		}{
			{"good", b.Good, analysis.KindGood}, {"sum", b.Sum, analysis.KindGood}, {"of", b.Of, analysis.KindOf},
		} {
			if t.selector == "" {
				continue
			}
			match, err := selectors.ParseMetricSelector(t.selector)
			if err != nil {
				return fmt.Errorf("analysis.business[%d].%s = %s: want a metric's name or a selector, orders_total{payment=\"card\"} for example: %w", i, t.field, t.selector, err)
			}
			term := businessTerm{check: b.Name, kind: t.kind, match: match}
			if name := plainName(match); name != "" {
				names = append(names, name)
				shared.terms = append(shared.terms, term)
				continue
			}
			p.business = append(p.business, businessQuery{match: slices.Concat(Matchers(match), common), terms: []businessTerm{term}})
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		shared.match = append(Matchers{oneOf(labels.MetricName, slices.Compact(names))}, common...)
		p.business = append([]businessQuery{shared}, p.business...)
	}
	return nil
}

// queries are the requests as people can ask them again: per check.
func (p *plan) queries() map[string]string {
	q := map[string]string{
		"requests": p.narrow(p.requests, p.metrics.Requests).String(),
		"errors":   append(p.narrow(p.requests, p.metrics.Requests), p.failed...).String(),
	}
	if p.metrics.Errors != "" {
		q["errors"] = p.narrow(p.requests, p.metrics.Errors).String()
	}
	if p.metrics.Latency != "" {
		q["latency"] = p.buckets.String()
	}
	for _, b := range p.business {
		for _, t := range b.terms {
			common := b.match[1:]
			if plainName(t.match) == "" {
				common = nil
			}
			if q[t.check] != "" {
				q[t.check] += " / "
			}
			q[t.check] += slices.Concat(t.match, common).String()
		}
	}
	return q
}

// narrow replaces the matcher of the metric's name, which is the first.
func (p *plan) narrow(ms Matchers, name string) Matchers {
	return append(Matchers{equal(labels.MetricName, name)}, ms[1:]...)
}

// track returns the track that a series is of, and false when it is neither's.
func (p *plan) track(l labels.Labels, stableOnly bool) (analysis.Track, bool) {
	if !stableOnly && p.tracks[analysis.Canary].Matches(l) {
		return analysis.Canary, true
	}
	return analysis.Stable, p.tracks[analysis.Stable].Matches(l)
}

func parseMatchers(setting, text string) (Matchers, error) {
	ms, err := selectors.ParseMetricSelector("{" + strings.Trim(strings.TrimSpace(text), "{}") + "}")
	if err == nil && len(ms) == 0 {
		err = fmt.Errorf("no matcher")
	}
	if err != nil {
		return nil, fmt.Errorf("analysis.%s = %s: want PromQL matchers, status=~\"5..\" for example: %w", setting, text, err)
	}
	return ms, nil
}

// plainName is the metric's name of a selector, "" when it is matched otherwise.
func plainName(ms Matchers) string {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// oneOf matches any of the values, which are taken literally.
func oneOf(name string, values []string) *labels.Matcher {
	values = slices.Clone(values)
	slices.Sort(values)
	values = slices.Compact(values)
	if len(values) == 1 {
		return equal(name, values[0])
	}
	for i := range values {
		values[i] = regexp.QuoteMeta(values[i])
	}
	return labels.MustNewMatcher(labels.MatchRegexp, name, strings.Join(values, "|"))
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
