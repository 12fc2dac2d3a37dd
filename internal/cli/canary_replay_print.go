package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/replay"
)

// lookLine is a line of -o jsonl. Its fields are documented in docs/replay.md.
type lookLine struct {
	Type     string             `json:"type"` // look
	At       time.Time          `json:"at"`
	Elapsed  float64            `json:"elapsed_s"`
	Step     int                `json:"step"`
	Weight   float64            `json:"weight"`
	Promoted bool               `json:"promoted,omitempty"`
	Decision analysis.Decision  `json:"decision"`
	Reason   analysis.Reason    `json:"reason"`
	Message  string             `json:"message"`
	Results  analysis.Results   `json:"results"`
	Evidence *analysis.Evidence `json:"evidence,omitempty"`
	Checks   []analysis.Check   `json:"checks"`
	Problems []analysis.Problem `json:"problems,omitempty"`
}

// decisionLine is the last line of -o jsonl.
type decisionLine struct {
	Type       string             `json:"type"` // decision
	Decision   analysis.Decision  `json:"decision"`
	Reason     analysis.Reason    `json:"reason"`
	At         time.Time          `json:"at"`
	Elapsed    float64            `json:"elapsed_s"`
	Step       int                `json:"step"`
	Message    string             `json:"message"`
	Ended      bool               `json:"recording_ended,omitempty"`
	Attributed []string           `json:"attributed,omitempty"`
	Results    analysis.Results   `json:"results"`
	Evidence   *analysis.Evidence `json:"evidence,omitempty"`
	Checks     []analysis.Check   `json:"checks"`
	Against    []decided          `json:"against,omitempty"`
	Service    string             `json:"service"`
	Start      time.Time          `json:"start"`
	Problems   []analysis.Problem `json:"problems,omitempty"`
}

// decided is what another rule decided on the same recording.
type decided struct {
	Rule     analysis.Rule     `json:"rule"`
	Decision analysis.Decision `json:"decision"`
	Reason   analysis.Reason   `json:"reason"`
	At       time.Time         `json:"at"`
	Elapsed  float64           `json:"elapsed_s"`
	Step     int               `json:"step"`
	Message  string            `json:"message"`
}

func newDecided(rule analysis.Rule, o replay.Outcome) decided {
	return decided{Rule: rule, Decision: o.Decision, Reason: o.Reason, At: o.At.UTC(), Elapsed: o.Elapsed.Seconds(), Step: o.Step, Message: o.Message}
}

// replayPrinter writes looks as they come, and the decision.
type replayPrinter struct {
	o       replayOptions
	session *judge.Session
	start   time.Time
	looks   []lookLine
}

func (p *replayPrinter) head(segments []replay.Segment) {
	if p.o.output.value != "table" {
		return
	}
	w := p.o.streams.Out
	f := p.session.Frozen()
	fmt.Fprintf(w, "start     %s\n", p.start.UTC().Format(time.RFC3339))
	if f.Fallback != "" {
		fmt.Fprintf(w, "history   %s\n", f.Fallback)
	} else {
		fmt.Fprintf(w, "history   %s of %d stable pods, %.4g requests/s, %.3g %% errors\n", short(f.To.Sub(f.From)), f.Pods, f.RequestRate, 100*f.Pool)
	}
	var shown []string
	for _, s := range segments {
		shown = append(shown, fmt.Sprintf("%.3g %% from +%s", 100*s.Weight, short(s.Start.Sub(p.start))))
	}
	if len(shown) == 0 {
		shown = []string{"the canary has no requests"}
	}
	fmt.Fprintf(w, "weights   %s\n\n", strings.Join(shown, ", "))
	fmt.Fprintf(w, "%-8s %-4s %6s  %-8s %-17s %11s  %-22s %-22s\n", "AFTER", "STEP", "WEIGHT", "DECISION", "REASON", "EVIDENCE", "CANARY ERRORS", "STABLE ERRORS")
}

func (p *replayPrinter) look(l replay.Look, j *analysis.Judge) error {
	v := j.Verdict()
	line := lookLine{
		Type: "look", At: l.At.UTC(), Elapsed: l.Elapsed.Seconds(), Step: l.Step, Weight: l.Weight, Promoted: l.Promoted,
		Decision: l.Decision, Reason: l.Reason, Message: v.Message, Results: v.Results, Evidence: v.Evidence, Checks: v.Checks, Problems: v.Problems,
	}
	if !p.o.allChecks {
		line.Checks = slices.DeleteFunc(slices.Clone(v.Checks), func(c analysis.Check) bool {
			return c.Route != "" && c.State != analysis.CheckFailed
		})
	}
	switch p.o.output.value {
	case "jsonl":
		return json.NewEncoder(p.o.streams.Out).Encode(line)
	case "table":
		_, err := fmt.Fprintln(p.o.streams.Out, lookRow(l, v))
		return err
	default:
		p.looks = append(p.looks, line)
		return nil
	}
}

// lookRow is a look in one line for people.
func lookRow(l replay.Look, v analysis.Verdict) string {
	evidence := "-"
	if v.Evidence != nil {
		evidence = fmt.Sprintf("%.3g/%.3g", v.Evidence.E, v.Evidence.Limit)
	}
	canary, stable := "-", "-"
	for _, c := range v.Checks {
		if c.Metric == analysis.MetricErrorRate && c.Route == "" {
			canary, stable = countText(c.Counts.Canary), countText(c.Counts.Stable)
		}
	}
	return strings.TrimRight(fmt.Sprintf("%-8s %-4d %5.3g%%  %-8s %-17s %11s  %-22s %-22s", short(l.Elapsed), l.Step+1, 100*l.Weight, l.Decision, l.Reason, evidence, canary, stable), " ")
}

// countText is "12/3400 (0.35 %)".
func countText(c analysis.Count) string {
	return fmt.Sprintf("%.0f/%.0f (%.2g %%)", c.Events, c.Units, 100*c.Rate())
}

func (p *replayPrinter) end(o replay.Outcome, others []decided) error {
	last := decisionLine{
		Type: "decision", Decision: o.Decision, Reason: o.Reason, At: o.At.UTC(), Elapsed: o.Elapsed.Seconds(), Step: o.Step, Message: o.Message, Ended: o.Ended,
		Attributed: o.Verdict.Attributed, Results: o.Verdict.Results, Evidence: o.Verdict.Evidence, Checks: o.Verdict.Checks,
		Against: others, Start: p.start.UTC(), Problems: o.Verdict.Problems, Service: p.o.subject.Service,
	}
	w := p.o.streams.Out
	switch p.o.output.value {
	case "jsonl":
		return json.NewEncoder(w).Encode(last)
	case "table":
		fmt.Fprintf(w, "\n%s (%s) after %s, step %d: %s\n", strings.ToUpper(string(o.Decision)), o.Reason, short(o.Elapsed), o.Step+1, o.Message)
		if len(o.Verdict.Attributed) > 0 {
			fmt.Fprintf(w, "traced to: %s\n", strings.Join(o.Verdict.Attributed, ", "))
		}
		if len(others) > 0 {
			fmt.Fprintln(w)
			rows := [][]string{{"RULE", "DECISION", "REASON", "AFTER", "STEP"}, {string(o.Verdict.Rule) + "*", string(o.Decision), string(o.Reason), short(o.Elapsed), strconv.Itoa(o.Step + 1)}}
			for _, d := range others {
				rows = append(rows, []string{string(d.Rule), string(d.Decision), string(d.Reason), short(time.Duration(d.Elapsed * float64(time.Second))), strconv.Itoa(d.Step + 1)})
			}
			if err := table(w, rows); err != nil {
				return err
			}
		}
		for _, note := range p.session.Notes() {
			fmt.Fprintln(p.o.streams.Err, "note:", note)
		}
		return nil
	default:
		_, err := p.o.output.encode(w, struct {
			decisionLine
			Looks []lookLine `json:"looks"`
		}{last, p.looks})
		return err
	}
}
