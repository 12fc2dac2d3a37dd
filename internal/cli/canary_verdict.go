package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
)

// mostExcess is the share of an excess from which a route is worth a line.
const mostExcess = 0.2

// mostRows bounds a verdict's table: the rest is in -o json.
const mostRows = 15

// writeVerdict draws a verdict for people.
func writeVerdict(w io.Writer, subject judge.Subject, v analysis.Verdict) error {
	fmt.Fprintf(w, "%s %s (%s): %s\n", decisionMark(v.Decision), strings.ToUpper(string(v.Decision)), v.Reason, v.Message)
	if len(v.Attributed) > 0 {
		fmt.Fprintf(w, "traced to: %s\n", strings.Join(v.Attributed, ", "))
	}
	for _, x := range v.Excess {
		if x.Excess >= mostExcess*x.Of {
			fmt.Fprintf(w, "%s on %s: %.0f of the %.0f more than stable's rates make expect\n", x.Metric, x.Route, x.Excess, x.Of)
		}
	}
	fmt.Fprintf(w, "service %s, canary %s against %s, %s of analysis, rule %s\n", subject.Service,
		nameOr(subject.CanaryVersion, "canary"), nameOr(subject.StableVersion, "stable"), short(time.Duration(v.DurationMinutes*float64(time.Minute))), v.Rule)
	if e := v.Evidence; e != nil {
		fmt.Fprintf(w, "evidence of harm %.3g to 1 (limit %.3g), excess of errors at most %.3g %% (allowed %.3g %%), canary's share of traffic %.3g %%\n",
			e.E, e.Limit, 100*e.ExcessUpper, 100*e.ExcessLimit, 100*e.TrafficShare)
	}
	rows := [][]string{{"CHECK", "ROUTE", "STATE", "CANARY", "STABLE", "DIFFERENCE", "95 % INTERVAL", "NEEDED", "NOTE"}}
	left := 0
	for _, c := range v.Checks {
		if c.Route != "" && c.State != analysis.CheckFailed && len(rows) > mostRows {
			left++
			continue
		}
		rows = append(rows, checkRow(c))
	}
	fmt.Fprintln(w)
	if err := table(w, rows); err != nil {
		return err
	}
	if left > 0 {
		fmt.Fprintf(w, "and %d more checks of single routes; -o json has them all\n", left)
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "problem (%s, %s): %s\n", p.Kind, p.Track, p.Detail)
	}
	return nil
}

func nameOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// decisionMark is the decision's icon; the word stands beside it.
func decisionMark(d analysis.Decision) string {
	switch d {
	case analysis.Promote:
		return "✓"
	case analysis.Rollback:
		return "✗"
	default:
		return "…"
	}
}

func checkRow(c analysis.Check) []string {
	row := []string{c.Metric, nameOr(c.Route, "(all)"), string(c.State), countText(c.Counts.Canary), countText(c.Counts.Stable), "", "", "", c.Note}
	if c.Estimate != nil {
		row[5] = signedPercent(c.Estimate.Diff)
	}
	if c.Interval != nil {
		row[6] = fmt.Sprintf("%s to %s", signedPercent(c.Interval.Low), signedPercent(c.Interval.High))
	}
	if c.Needed > 0 && !math.IsInf(c.Needed, 0) {
		row[7] = fmt.Sprintf("%.0f", c.Needed)
	}
	return row
}

func signedPercent(x float64) string { return fmt.Sprintf("%+.2g %%", 100*x) }

// writeSummary writes a verdict as Markdown, for a pipeline's page.
func writeSummary(w io.Writer, subject judge.Subject, v judge.Report) error {
	fmt.Fprintf(w, "### %s Canary %s: %s (%s)\n\n%s\n\n", decisionMark(v.Decision), markdown(subject.Service), v.Decision, v.Reason, markdown(v.Message))
	if v.Explanation != nil {
		fmt.Fprintf(w, "%s\n\n", markdown(v.Explanation.Summary))
	}
	fmt.Fprintln(w, "| check | route | state | canary | stable | difference | 95 % interval |\n|---|---|---|--:|--:|--:|--:|")
	n := 0
	for _, c := range v.Checks {
		if c.Route != "" && c.State != analysis.CheckFailed {
			continue
		}
		if n++; n > mostRows {
			break
		}
		r := checkRow(c)
		for i := range r {
			r[i] = markdown(r[i])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(r[:7], " | "))
	}
	_, err := fmt.Fprintln(w)
	return err
}

// markdown keeps names from outside from being read as markup.
func markdown(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "\n", " ", "`", "'").Replace(s)
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     float64     `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes a verdict as a JUnit report: a case for the decision and
// one for each check. What is not known is skipped, not passed.
func writeJUnit(w io.Writer, subject judge.Subject, v analysis.Verdict) error {
	s := junitSuite{Name: "canary " + subject.Service, Time: v.DurationMinutes * 60}
	add := func(c junitCase) {
		s.Tests++
		if c.Failure != nil {
			s.Failures++
		}
		if c.Skipped != nil {
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	decision := junitCase{Class: "canary." + subject.Service, Name: "decision"}
	switch v.Decision {
	case analysis.Rollback:
		decision.Failure = &junitMessage{Message: "rollback: " + string(v.Reason), Text: v.Message}
	case analysis.Continue:
		decision.Skipped = &junitMessage{Message: "continue: " + string(v.Reason), Text: v.Message}
	}
	add(decision)
	for _, c := range v.Checks {
		one := junitCase{Class: "canary." + subject.Service + "." + c.Metric, Name: nameOr(c.Route, "all routes")}
		row := checkRow(c)
		text := fmt.Sprintf("canary %s, stable %s, difference %s, interval %s. %s", row[3], row[4], row[5], row[6], c.Note)
		switch c.State {
		case analysis.CheckPassed:
		case analysis.CheckFailed:
			one.Failure = &junitMessage{Message: string(c.State), Text: text}
		default:
			one.Skipped = &junitMessage{Message: string(c.State), Text: text}
		}
		add(one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
