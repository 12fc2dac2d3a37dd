package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/rollouts"
	"fairlead.dev/fairlead/internal/tracing"
	"fairlead.dev/fairlead/internal/web/chart"
)

type canaryData struct {
	Rollout   rollout.Record
	Badge     badge
	Headline  string
	Freshness State
	Rail      []railStep
	Commands  []command
	CanAct    bool // the forms work, else the commands are shown
	Control   bool // a cluster is configured

	Gauge      gauge
	GaugeState State

	Verdict      *analysis.Verdict
	Checks       []checkRow
	VerdictState State

	Charts     []chart.Chart
	ChartState State
	Tails      []tailRow
	TailState  State

	Why      *tracing.Explanation
	WhyState State

	Failures     []failureGroup
	FailureCount int
	FailureState State

	Log      []rollouts.Change
	LogState State

	From, To time.Time
}

// railStep is a step of the rollout on the rail of gates.
type railStep struct {
	rollout.RecordStep
	Class  string // done, now, next, stopped
	Word   string
	Share  float64 // of the gate that has passed, 0 to 1; only now
	Passed string
}

func (s *site) canary(r *http.Request, p *page) error {
	ctx := r.Context()
	record, err := s.o.Rollouts.Rollout(ctx, r.PathValue("id"))
	if errors.Is(err, rollouts.ErrNotFound) {
		return notFound("The server has no record of a rollout %s.", r.PathValue("id"))
	}
	if err != nil {
		return err
	}
	if err := s.places(ctx, p); err != nil {
		return err
	}
	p.Name, p.Title = "canary", "Canary "+record.Name
	d := canaryData{Rollout: record, Badge: badgeOf(record), Rail: rail(record, p.Now), Commands: commandsFor(record), Control: s.o.Control != nil}
	d.CanAct = d.Control && p.MayWrite
	if !record.Phase.Ended() {
		p.Live = "rollouts tick"
		if p.Now.Sub(record.At) > staleAfter {
			d.Freshness = stale(record.At, p.Now, "Whoever drives the rollout reports each look: is it still running?")
		}
	}
	d.From, d.To = window(record, p.Now)
	d.verdict()
	d.gauge()
	d.Headline = headline(d)
	s.canaryCharts(ctx, &d)
	s.why(&d)
	s.failures(ctx, &d)
	if d.Log, err = s.o.Rollouts.Changes(ctx, record.ID); err != nil {
		d.LogState = failed(err)
	}
	slices.Reverse(d.Log)
	p.Data = d
	return nil
}

// staleAfter is how long a rollout that runs may be silent: looks are taken
// every 15 s or so.
const staleAfter = 3 * time.Minute

// window is the time that the page shows: from just before the rollout until
// now, or until just after its end.
func window(r rollout.Record, now time.Time) (from, to time.Time) {
	from, to = r.Started, now
	if from.IsZero() {
		from = r.At.Add(-30 * time.Minute)
	}
	if r.Phase.Ended() {
		to = r.Ended
		if to.IsZero() {
			to = r.At
		}
		to = to.Add(15 * time.Second)
	}
	// Whole quarters of a minute, so that the next one who asks gets the same.
	from = from.Add(-time.Minute).Truncate(15 * time.Second)
	to = to.Truncate(15 * time.Second)
	if to.Sub(from) < 2*time.Minute {
		from = to.Add(-2 * time.Minute)
	}
	return from, to
}

func rail(r rollout.Record, now time.Time) []railStep {
	var out []railStep
	backwards := r.Phase == rollout.PhaseRollingBack || r.Phase == rollout.PhaseRolledBack || r.Phase == rollout.PhasePromotionFailed
	for i, step := range r.Steps {
		one := railStep{RecordStep: step, Class: "next", Word: "to come"}
		switch {
		case r.Phase == rollout.PhaseSucceeded || i < r.Step:
			one.Class, one.Word = "done", "passed"
		case i > r.Step:
		case backwards:
			one.Class, one.Word = "stopped", "stopped here"
		case r.Phase == rollout.PhaseIdle:
		default:
			one.Class, one.Word = "now", "now"
			gate, err := time.ParseDuration(step.Gate)
			if err == nil && gate > 0 && !r.GateStarted.IsZero() {
				passed := max(now.Sub(r.GateStarted), 0)
				one.Share = min(float64(passed)/float64(gate), 1)
				switch {
				case r.Reason == rollout.ReasonApproval:
					one.Passed = "gate passed, waits for a person"
				case passed > gate:
					one.Passed = chart.Duration(gate) + " and " + chart.Duration((passed - gate).Round(time.Second)) + " more"
				default:
					one.Passed = chart.Duration(passed.Round(time.Second)) + " of " + chart.Duration(gate)
				}
			}
		}
		if backwards && i > r.Step {
			one.Word = "not reached"
		}
		out = append(out, one)
	}
	return out
}

// GateText is the gate of a step in words.
func (s railStep) GateText() string {
	gate, err := time.ParseDuration(s.Gate)
	switch {
	case s.Approval && (err != nil || gate == 0):
		return "approval"
	case err != nil || gate == 0:
		return "no gate"
	case s.Approval:
		return "gate " + chart.Duration(gate) + ", approval"
	default:
		return "gate " + chart.Duration(gate)
	}
}

func (d *canaryData) verdict() {
	r := d.Rollout
	if len(r.Verdict) == 0 || string(r.Verdict) == "null" {
		d.VerdictState = empty("No look has been taken yet.", "The first is due when the step's weight is on the route.")
		if r.AnalysisError != "" {
			d.VerdictState = State{Kind: "error", Text: "The last look could not be taken: " + r.AnalysisError, Next: "The rollout holds until it can be asked, and acts at its deadline."}
		}
		return
	}
	var v analysis.Verdict
	if err := json.Unmarshal(r.Verdict, &v); err != nil {
		d.VerdictState = State{Kind: "error", Text: "The verdict cannot be read: " + err.Error()}
		return
	}
	d.Verdict = &v
	d.Checks = checkRows(v.Checks)
	if r.AnalysisError != "" {
		d.VerdictState = State{Kind: "partial", Text: "The newest look could not be taken: " + r.AnalysisError + ". This is the one before."}
	}
}

// headline says in a sentence how the rollout stands.
func headline(d canaryData) string {
	r := d.Rollout
	switch {
	case r.Message != "":
		return readable(r.Message)
	case d.Verdict != nil && d.Verdict.Message != "":
		return readable(d.Verdict.Message)
	case r.Phase == rollout.PhaseProgressing:
		return fmt.Sprintf("At step %d of %d, %d %% of the traffic.", r.Step+1, len(r.Steps), r.Weight)
	default:
		return strings.TrimSpace(string(r.Phase) + " " + string(r.Reason))
	}
}

// metricWords are the names of checks as they stand in a sentence.
var metricWords = strings.NewReplacer("error_rate is", "the error rate is", "p50_latency is", "the median latency is", "p99_latency is", "the P99 latency is", "p999_latency is", "the P99.9 latency is")

// readable makes a sentence of a message: without what the badge beside it says,
// and in words.
func readable(message string) string {
	for _, decision := range []rollout.Decision{rollout.DecisionPromote, rollout.DecisionRollback, rollout.DecisionContinue} {
		message = strings.TrimPrefix(message, "the verdict is "+string(decision)+": ")
	}
	message = metricWords.Replace(message)
	if message == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(message)
	message = string(unicode.ToUpper(first)) + message[size:]
	if !strings.HasSuffix(message, ".") {
		message += "."
	}
	return message
}

// gauge is the canary's traffic: wanted, on the route, and seen.
type gauge struct {
	Wanted, Route, Seen    float64 // percent
	RouteKnown, SeenKnown  bool
	WantedX, RouteX, SeenX float64 // in thousandths
	Off                    bool
	AtLastLook             bool // Seen is of the last look of a rollout that has ended
	Lower, Upper           float64
}

func (d *canaryData) gauge() {
	r := d.Rollout
	g := gauge{Wanted: float64(r.Weight)}
	if r.WeightObserved != nil {
		g.Route, g.RouteKnown = float64(*r.WeightObserved), true
	}
	switch {
	case r.TrafficShare != nil:
		g.Seen, g.SeenKnown = *r.TrafficShare*100, true
	case r.Phase.Ended() && d.Verdict != nil && d.Verdict.Evidence != nil:
		g.Seen, g.SeenKnown, g.AtLastLook = d.Verdict.Evidence.TrafficShare*100, true, true
	}
	g.WantedX, g.RouteX, g.SeenX = g.Wanted*10, g.Route*10, min(g.Seen*10, 1000)
	// Off by a tenth of the weight and two points: noise is less.
	g.Off = g.SeenKnown && math.Abs(g.Seen-g.Wanted) > 2+g.Wanted/10 && !r.Phase.Ended()
	d.Gauge = g
	if !g.RouteKnown && !g.SeenKnown {
		d.GaugeState = State{Kind: "partial", Text: "Neither the route nor telemetry has said yet how much traffic the canary gets."}
	}
}

// checkRow is a check as a row with its interval drawn.
type checkRow struct {
	analysis.Check
	Name    string
	Unit    func(float64) string
	Plot    intervalPlot
	HasPlot bool
}

// Untested reports whether the check could not be made: it has no interval.
func (c checkRow) Untested() bool {
	return c.State == analysis.CheckUntestable || c.State == analysis.CheckNoData
}

// Untested are the checks that could not be made.
func (d canaryData) Untested() (out []checkRow) {
	for _, c := range d.Checks {
		if c.Untested() {
			out = append(out, c)
		}
	}
	return out
}

// intervalPlot places an interval on a scale that holds it, zero and the margin.
type intervalPlot struct{ Zero, Low, High, Point, Margin float64 }

func checkRows(checks []analysis.Check) []checkRow {
	out := make([]checkRow, 0, len(checks))
	for _, c := range checks {
		row := checkRow{Check: c, Name: checkName(c), Unit: chart.Percent}
		if c.Interval != nil && c.Estimate != nil {
			margin := (c.Margin.Relative-1)*c.Estimate.Stable + c.Margin.Absolute
			lo, hi := min(c.Interval.Low, margin, 0, c.Estimate.Diff), max(c.Interval.High, margin, 0, c.Estimate.Diff)
			pad := max((hi-lo)*0.06, 1e-9)
			lo, hi = lo-pad, hi+pad
			at := func(v float64) float64 { return (v - lo) / (hi - lo) * chart.Width }
			row.Plot = intervalPlot{Zero: at(0), Low: at(c.Interval.Low), High: at(c.Interval.High), Point: at(c.Estimate.Diff), Margin: at(margin)}
			row.HasPlot = true
		}
		out = append(out, row)
	}
	slices.SortStableFunc(out, func(a, b checkRow) int { return stateRank(a.State) - stateRank(b.State) })
	return out
}

func stateRank(s analysis.CheckState) int {
	return slices.Index([]analysis.CheckState{analysis.CheckFailed, analysis.CheckInconclusive, analysis.CheckUntestable, analysis.CheckNoData, analysis.CheckPassed}, s)
}

func checkName(c analysis.Check) string {
	switch c.Metric {
	case "error_rate":
		return "Error rate"
	case "p50_latency":
		return "Slower than stable's median"
	case "p99_latency":
		return "Slower than stable's P99"
	case "p999_latency":
		return "Slower than stable's P99.9"
	default:
		return c.Metric
	}
}

func (s *site) why(d *canaryData) {
	r := d.Rollout
	if len(r.Explanation) == 0 || string(r.Explanation) == "null" {
		line := "fairlead canary explain --service " + shellWord(r.Service)
		if r.CanaryVersion != "" {
			line += " --version " + shellWord(r.CanaryVersion)
		}
		if r.Decision == rollout.DecisionRollback || r.Phase == rollout.PhaseRolledBack || r.Phase == rollout.PhaseRollingBack {
			d.WhyState = off("The driver of this rollout had no traces to compare.", "Give it a trace source (spec.traces), or ask now:", line)
			return
		}
		d.WhyState = State{Kind: "empty", Text: "Traces are compared when a gate fails.", Next: "Ask any time:", Command: line}
		return
	}
	var e tracing.Explanation
	if err := json.Unmarshal(r.Explanation, &e); err != nil {
		d.WhyState = State{Kind: "error", Text: "The explanation cannot be read: " + err.Error()}
		return
	}
	d.Why = &e
}

// failureGroup are failed traces that say the same.
type failureGroup struct {
	Message, Route string
	Where          string // the span that the error comes from
	Exception      string
	Count          int // of traces
	Traces         []explain.Failure
	Elsewhere      []string // ids of traces that are not in this server's store
}

// maxFailures is spec B5's limit.
const maxFailures = 20

func (s *site) failures(ctx context.Context, d *canaryData) {
	ctx, cancel := context.WithTimeout(ctx, panelTimeout)
	defer cancel()
	r := d.Rollout
	found, err := tracing.Failed(ctx, s.o.Traces, tracing.Canary{Service: r.Service, Version: r.CanaryVersion, StableVersion: r.StableVersion, Start: d.From, End: d.To.Add(time.Second)}, maxFailures)
	if err != nil {
		d.FailureState = failed(err)
		return
	}
	if len(found.Traces) == 0 {
		if d.elsewhere() {
			return
		}
		d.FailureState = empty("The store has no failed trace of the canary in this time.",
			"There may be none; or they were not sampled, went elsewhere, or carry no service.version and deployment.track.")
		return
	}
	at := map[string]int{}
	for _, f := range explain.Failures(found.Traces, r.Service) {
		d.FailureCount++
		g := failureGroup{Message: f.Message, Route: f.Route}
		if len(f.Errors) > 0 {
			e := f.Errors[0]
			g.Where = strings.TrimPrefix(e.Service+" "+e.Name, " ")
			g.Exception = strings.Trim(e.ExceptionType+": "+e.ExceptionMessage, ": ")
		}
		key := g.Message + "\x00" + g.Route + "\x00" + g.Where + "\x00" + g.Exception
		i, ok := at[key]
		if !ok {
			i = len(d.Failures)
			at[key] = i
			d.Failures = append(d.Failures, g)
		}
		d.Failures[i].Traces = append(d.Failures[i].Traces, f)
		d.Failures[i].Count++
	}
	slices.SortStableFunc(d.Failures, func(a, b failureGroup) int { return len(b.Traces) - len(a.Traces) })
	if found.Truncated {
		d.FailureState = partial(fmt.Sprintf("The newest %d are shown; there are more.", d.FailureCount))
	}
}

// elsewhere shows the failed traces that the rollout's driver read from a trace
// source of its own (spec.traces: a Tempo or Jaeger) and put into its record.
// False when there are none.
func (d *canaryData) elsewhere() bool {
	if d.Why == nil {
		return false
	}
	for _, g := range d.Why.Errors.Groups {
		d.Failures = append(d.Failures, failureGroup{Message: g.Error, Route: g.Route, Where: g.Span, Count: g.Count, Elsewhere: g.Examples})
		d.FailureCount += g.Count
	}
	if len(d.Failures) == 0 {
		for _, one := range d.Why.Traces {
			d.Failures = append(d.Failures, failureGroup{Message: one.Message, Route: one.Route, Count: 1, Elsewhere: []string{one.TraceID}})
			d.FailureCount++
		}
	}
	if len(d.Failures) == 0 {
		return false
	}
	d.FailureState = partial("They are not in this server's store: whoever drives the rollout read them from its own trace source, and told of these when the gate failed.")
	return true
}
