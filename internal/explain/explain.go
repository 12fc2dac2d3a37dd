package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Input are the traces to compare: samples, the newest first where there were
// more than fit.
type Input struct {
	Service string
	// Failing and Healthy are the canary's, StableFailing and StableHealthy the
	// stable track's. With Slow, "failing" means slower than stable's p99 on the
	// same route, and "healthy" all others.
	Failing, Healthy, StableFailing, StableHealthy []Trace
	Slow                                           bool
	Filter                                         Filter
}

// Attribute is one attribute with one value.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// String returns key=value.
func (a Attribute) String() string { return a.Key + "=" + a.Value }

// Contrast is how often something occurs among the failing traces and among
// those they are compared with.
type Contrast struct {
	Failing      int     `json:"failing"`      // failing traces that have it
	OfFailing    int     `json:"ofFailing"`    // of so many
	Other        int     `json:"other"`        // compared traces that have it
	OfOther      int     `json:"ofOther"`      // of so many
	Difference   float64 `json:"difference"`   // of the two shares, 0 to 1
	LowerBound95 float64 `json:"lowerBound95"` // of the difference, two-sided 95 %
}

// Finding is something that the failing traces have in common.
type Finding struct {
	// Attributes is one, or two that fail only together.
	Attributes []Attribute `json:"attributes"`
	// Where compares with the canary's healthy traces, New with the failing
	// traces of stable; nil where the question cannot be asked of it.
	Where *Contrast `json:"where,omitempty"`
	New   *Contrast `json:"new,omitempty"`
	// Same are other attributes that cover the same traces.
	Same []Attribute `json:"same,omitempty"`
	// Examples are ids of failing traces that have it.
	Examples []string `json:"examples"`
	// Text says it in a sentence, as an association.
	Text string `json:"text"`

	covers bitset
	bound  float64
}

// Report is what [Explain] found.
type Report struct {
	Failing       int       `json:"failing"`
	Healthy       int       `json:"healthy"`
	StableFailing int       `json:"stableFailing"`
	StableHealthy int       `json:"stableHealthy"`
	Findings      []Finding `json:"findings"` // the best first
	// Groups are the failing traces by where and how they failed, the largest
	// first; none for slow traces.
	Groups []Group `json:"groups,omitempty"`
	// Note says why nothing was named, or what limits the answer.
	Note string `json:"note,omitempty"`
}

const (
	// MinFailing is the least number of failing traces that are compared, and
	// minShared of those that must share something: fewer say nothing.
	MinFailing = 5
	minShared  = 3
	// maxValues is how many values an attribute may have before it is taken for
	// an id and dropped.
	maxValues = 200
	// maxFindings bounds a report to what somebody reads.
	maxFindings = 5
	// maxExamples bounds the traces that are linked to a finding.
	maxExamples = 3
	// maxSame bounds the attributes that are told beside a finding.
	maxSame = 10
	// sameTraces is the Jaccard index from which two findings are one.
	sameTraces = 0.95
	// rankAlpha is one side of the 95 % interval by which findings are ranked.
	rankAlpha = 0.025
	// nameAlpha bounds the chance that anything is named where there is nothing.
	// It is divided by the number of comparisons (Bonferroni).
	nameAlpha = 0.05
	// minBound is the least difference worth telling: with many traces a
	// difference of a percent is certain, and useless.
	minBound = 0.05
	// pairCandidates is how many single attributes are tried in pairs.
	pairCandidates = 12
	// pairCover is the share of the failing traces of each part that a pair must
	// cover: it may lose those that fail for other reasons.
	pairCover = 0.8
	// minStratum is the least number of healthy traces with one part of a pair
	// from which the share of the other is read.
	minStratum = 10
)

// Explain compares the failing traces and returns what is over-represented
// among them. It looks at single attributes, then at pairs of the best. It
// names nothing unless the lower bound of the difference, corrected for the
// number of comparisons, is above zero.
func Explain(in Input) Report {
	report := Report{
		Failing: len(in.Failing), Healthy: len(in.Healthy), StableFailing: len(in.StableFailing), StableHealthy: len(in.StableHealthy),
		Findings: []Finding{},
	}
	if !in.Slow {
		report.Groups = groups(in.Failing, in.Service)
	}
	if len(in.Failing) < MinFailing {
		report.Note = fmt.Sprintf("%d failing traces: at least %d are needed to compare", len(in.Failing), MinFailing)
		return report
	}
	c := newComparison(in)
	found := c.singles()
	// Pairs first: of two findings that cover the same traces the first is kept.
	found = append(c.pairs(found), found...)
	zName := zOf(nameAlpha / float64(max(c.comparisons, 1)))
	found = slices.DeleteFunc(found, func(f Finding) bool {
		return f.bound < minBound || max(c.lower(f.Where, zName), c.lower(f.New, zName)) <= 0
	})
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(b.bound, a.bound) })
	report.Findings = merge(found)
	for i := range report.Findings {
		f := &report.Findings[i]
		f.Examples = c.examples(f.covers)
		f.Text = sentence(*f, in)
	}
	if len(report.Findings) == 0 {
		report.Note = "nothing sets the failing traces apart from the others in the attributes that they carry"
	}
	return report
}

// merge makes one finding of those that cover the same traces, best first.
func merge(found []Finding) []Finding {
	out := []Finding{}
next:
	for _, f := range found {
		for i := range out {
			if out[i].covers.jaccard(f.covers) < sameTraces {
				continue
			}
			for _, a := range f.Attributes {
				if len(out[i].Same) < maxSame && !slices.Contains(out[i].Attributes, a) && !slices.Contains(out[i].Same, a) {
					out[i].Same = append(out[i].Same, a)
				}
			}
			continue next
		}
		if len(out) < maxFindings {
			out = append(out, f)
		}
	}
	return out
}

// sentence says what a finding is, as an association.
func sentence(f Finding, in Input) string {
	var names []string
	for _, a := range f.Attributes {
		names = append(names, a.String())
	}
	what, healthy := "failing", "healthy"
	if in.Slow {
		what, healthy = "slow", "other"
	}
	c := f.Where
	if c == nil {
		c = f.New
	}
	text := fmt.Sprintf("%s is over-represented: %s of the canary's %s traces", strings.Join(names, " with "), share(c.Failing, c.OfFailing), what)
	if f.Where != nil {
		text += fmt.Sprintf(", %s of its %s ones", share(f.Where.Other, f.Where.OfOther), healthy)
	}
	if f.New != nil {
		text += f.New.onStable(what)
	}
	return text
}

// summaryKeys are what people ask for first, in this order. They are added to a
// summary where they cover the same traces as the best finding.
var summaryKeys = []string{"http.route", "exception.type", "k8s.pod.name", "cloud.region"}

// minStableTraces is from how many traces of stable on it is worth telling that
// none failed.
const minStableTraces = 100

// maxSummary is how many attributes a summary names.
const maxSummary = 3

// Summary says the best finding in one sentence, "" when there is none. what
// are the traces that it is about, others those they are compared with.
func (r Report) Summary(what, others string) string {
	if len(r.Findings) == 0 {
		return ""
	}
	f := r.Findings[0]
	names := slices.Clone(f.Attributes)
	for _, key := range summaryKeys {
		for _, a := range f.Same {
			if a.Key == key && len(names) < maxSummary {
				names = append(names, a)
			}
		}
	}
	var texts []string
	for _, a := range names {
		texts = append(texts, a.String())
	}
	c := f.Where
	if c == nil {
		c = f.New
	}
	text := fmt.Sprintf("%s of the canary's %s traces have %s", share(c.Failing, c.OfFailing), what, strings.Join(texts, " and "))
	if f.Where != nil {
		text += fmt.Sprintf(" (%s of its %s ones)", share(f.Where.Other, f.Where.OfOther), others)
	}
	switch {
	case f.New != nil:
		text += f.New.onStable(what)
	case r.StableFailing == 0 && r.StableHealthy >= minStableTraces:
		text += fmt.Sprintf("; no %s trace of stable was found", what)
	}
	if len(r.Groups) > 0 && r.Groups[0].Error != "" && !slices.ContainsFunc(names, func(a Attribute) bool { return a.Key == "exception.type" }) {
		text += fmt.Sprintf("; most often %s (%s)", r.Groups[0].Error, share(r.Groups[0].Count, r.Failing))
	}
	// What is new may be another finding: the exception of a fault that is
	// everywhere has no place.
	if i := slices.IndexFunc(r.Findings[1:], func(g Finding) bool { return g.New != nil && f.New == nil }); i >= 0 {
		g := r.Findings[1+i]
		text += fmt.Sprintf("; %s has %s%s", share(g.New.Failing, g.New.OfFailing), g.Attributes[0], g.New.onStable(what))
	}
	return text
}

// onStable says how the failing traces of stable compare.
func (c *Contrast) onStable(what string) string {
	switch {
	case c.Other == 0 && c.OfOther >= MinFailing:
		return fmt.Sprintf("; not seen among %d %s traces of stable", c.OfOther, what)
	case c.OfOther > 0:
		return fmt.Sprintf("; %s of stable's %s ones", share(c.Other, c.OfOther), what)
	}
	return ""
}

func share(a, n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d (%.0f %%)", a, n, math.Round(100*float64(a)/float64(n)))
}
