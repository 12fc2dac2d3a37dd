package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/ci"
	"fairlead.dev/fairlead/internal/emit"
)

// writeRolloutSummary writes where pipelines look: GitHub's step summary, and an
// annotation of the job where it did not end in a promotion.
func writeRolloutSummary(stderr io.Writer, getenv func(string) string, asked, end *v1alpha1.CanaryRelease, code int, failure error) {
	if ci.Detect(getenv).Provider != ci.GitHub {
		return
	}
	title, text := rolloutStory(asked, end, code, failure)
	if code != ExitOK {
		fmt.Fprintf(stderr, "::error title=%s::%s\n", commandText(title), commandText(text))
	}
	path := getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(printRolloutSummary(f, title, text, end), f.Close())
	}
	if err != nil {
		fmt.Fprintln(stderr, "GITHUB_STEP_SUMMARY:", err)
	}
}

func rolloutStory(asked, end *v1alpha1.CanaryRelease, code int, failure error) (title, text string) {
	what := map[int]string{ExitOK: "promoted", ExitRollback: "rolled back", ExitContinue: "held", ExitTimeout: "timed out", ExitInterrupted: "interrupted"}[code]
	title = fmt.Sprintf("Rollout of %s %s", asked.Spec.Service, nameOr(what, "could not be made"))
	switch {
	case failure != nil:
		text = failure.Error()
	case end != nil:
		text = messageOf(end)
	}
	return title, text
}

func printRolloutSummary(w io.Writer, title, text string, end *v1alpha1.CanaryRelease) error {
	fmt.Fprintf(w, "### %s\n\n%s\n\n", markdown(title), markdown(text))
	if end == nil {
		return nil
	}
	s := &end.Status
	fmt.Fprintln(w, "| | |\n|---|---|")
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "| %s | %s |\n", name, markdown(value))
		}
	}
	row("Version", strings.TrimPrefix(strings.Join([]string{s.StableVersion, s.CanaryVersion}, " → "), " → "))
	row("Phase", s.Phase)
	row("Step", s.Step)
	row("Weight", percentText(s.Weight))
	if v := s.Verdict; v != nil {
		row("Last verdict", v.Decision+": "+v.Message)
		row("Canary requests", fmt.Sprintf("%d, of which %d failed", v.CanaryRequests, v.CanaryErrors))
		for _, c := range v.FailedChecks {
			row("Failed check", strings.TrimSpace(c.Metric+" "+c.Route))
		}
		row("Failed traces", strings.Join(v.SampleTraces, ", "))
	}
	row("Trace", s.TraceID)
	_, err := fmt.Fprintln(w)
	return err
}

// commandText escapes what GitHub would read as the end of a workflow command.
func commandText(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// traceOut is a file of OTLP/JSON lines; nil is none.
type traceOut struct {
	lines *emit.JSONLines
	file  *os.File
}

func openTraceOut(path string, stderr io.Writer) (*traceOut, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return &traceOut{lines: emit.NewJSONLines(stderr)}, nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--trace-out: %w", err)
	}
	return &traceOut{lines: emit.NewJSONLines(f), file: f}, nil
}

func (t *traceOut) sinks() []emit.Sink {
	if t == nil {
		return nil
	}
	return []emit.Sink{t.lines}
}

func (t *traceOut) close() {
	if t != nil && t.file != nil {
		t.file.Close()
	}
}
