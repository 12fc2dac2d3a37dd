package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
)

// story tells what happens, a line a time, with the time since the beginning.
type story struct {
	mu    sync.Mutex
	out   io.Writer
	color bool
	began time.Time
}

// Write takes log lines of the server.
func (s *story) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

// line writes a line of the story; what is one word.
func (s *story) line(what, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Since(s.began).Round(time.Second)
	fmt.Fprintf(s.out, " %d:%02d  %s %s\n", int(at.Minutes()), int(at.Seconds())%60, s.paint(what, fmt.Sprintf("%-11s", what)), fmt.Sprintf(format, args...))
}

func (s *story) more(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "       %-11s %s\n", "", fmt.Sprintf(format, args...))
}

func (s *story) paint(what, text string) string {
	codes := map[string]string{"promoted": "32;1", "passed": "32", "ROLLED BACK": "31;1", "why": "33", "warning": "33"}
	if !s.color || codes[what] == "" {
		return text
	}
	return "\x1b[" + codes[what] + "m" + text + "\x1b[0m"
}

func (s *story) begin(part Part) {
	if part == PartHelm {
		fmt.Fprintln(s.out, "fairlead demo: the Helm half, on real pods.")
		fmt.Fprintln(s.out)
		return
	}
	fmt.Fprintln(s.out, "fairlead demo: two canaries of a shop, on this machine, in about two minutes; no cluster is needed.")
	fmt.Fprintln(s.out, "Everything is real but the customers: processes, a proxy that splits the traffic, OTLP, the server, the judge.")
	fmt.Fprintln(s.out)
}

func (s *story) server(base, data string) {
	s.line("server", "%s/  pages and query APIs; data in %s", base, data)
}

func (s *story) shop(version, url string) {
	s.line("shop", "%s  version %s in %d processes, and a payment provider", url, version, stableProcess)
}

func (s *story) history(d time.Duration) {
	s.line("history", "%d requests/s for %s: the past that canaries are compared with (in production: the last hour)", rate, d)
	gates := ""
	for _, step := range plan().Steps {
		gates += fmt.Sprintf("%d %% ", step.Weight)
		if step.Gate > 0 {
			gates += fmt.Sprintf("for %s, ", step.Gate)
		}
	}
	s.more("each canary gets %s(in production: 10m, 10m, 15m)", gates)
}

func (s *story) chapter(title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n%s\n", title)
}

// action tells of an action that people would want to know about.
func (s *story) action(d *driver, was rollout.State, a rollout.Action) {
	g := d.gate
	switch {
	case a.State.Phase == rollout.PhaseRollingBack && was.Phase != rollout.PhaseRollingBack:
		why := a.Message
		if a.Reason == rollout.ReasonAnalysis {
			why = g.verdict.Message
		}
		s.line("ROLLED BACK", "%s", why)
		s.evidence(g)
		s.line("traffic", "all of it to stable")
	case a.State.Phase == rollout.PhasePromoting && was.Phase != rollout.PhasePromoting:
		s.line("promoting", "stable's processes are replaced one by one while the canary serves")
	case a.Kind == rollout.ActSetWeight && a.State.Phase == rollout.PhaseProgressing:
		s.line("traffic", "%d %% to the canary", a.Weight)
	case a.State.Step > was.Step && a.State.Phase == was.Phase:
		s.line("passed", "%d %%: no sign of harm", d.plan.Steps[was.Step].Weight)
		s.evidence(g)
	case a.Kind == rollout.ActScaleCanary && a.Replicas > 0:
		s.line("canary", "%d %s", a.Replicas, plural(int(a.Replicas), "process", "processes"))
	}
}

// evidence is both tracks' figures.
func (s *story) evidence(g *gate) {
	if g.session == nil {
		return
	}
	shown := 0
	for _, c := range g.verdict.Checks {
		if c.State != analysis.CheckFailed && !(c.Metric == analysis.MetricErrorRate && c.Route == "") || shown == 3 {
			continue
		}
		shown++
		on := ""
		if c.Route != "" {
			on = " on " + c.Route
		}
		s.more("%s%s: canary %s, stable %s", c.Metric, on, count(c.Counts.Canary), count(c.Counts.Stable))
	}
}

func count(c analysis.Count) string {
	return fmt.Sprintf("%.0f of %.0f (%.2g %%)", c.Events, c.Units, 100*c.Rate())
}

func (s *story) ended(state rollout.State, d *driver, base string) {
	switch state.Phase {
	case rollout.PhaseSucceeded:
		s.line("promoted", "shop %s is stable, %s after it began", d.canary.version.name, d.ended.Sub(state.Started).Round(time.Second))
	case rollout.PhaseRolledBack:
		s.line("gone", "the canary's processes have ended; shop %s serves, %s after the canary began", d.stableVersion, d.ended.Sub(state.Started).Round(time.Second))
	}
	if d.explanation != nil {
		s.why(d, base)
	}
	s.more("the rollout  %s", rolloutPage(base, d.id))
}

// why tells what the failed traces have in common.
func (s *story) why(d *driver, base string) {
	report := d.explanation.Errors
	if len(report.Findings) == 0 {
		s.line("why", "%d failed traces; %s", report.Failing, report.Note)
		return
	}
	for i, f := range report.Findings[:min(2, len(report.Findings))] {
		s.line("why", "%s", f.Text)
		if i == 0 && len(f.Examples) > 0 {
			if d.example != "" {
				s.more("one of them  %s", d.example)
			}
			s.more("its trace    %s", tracePage(base, f.Examples[0]))
		}
	}
}

func (s *story) warn(err error) { s.line("warning", "%s", strings.TrimSpace(err.Error())) }

func (s *story) keep(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\nThat was it. Look around at %s/ as long as you like; Ctrl-C ends everything and leaves nothing behind.\n", base)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
