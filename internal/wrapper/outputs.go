package wrapper

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/ci"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/release"
)

// outputs are where the story goes beside telemetry: the trace as a file or a
// tree, and what the CI system shows.
type outputs struct {
	tree    *emit.Tree
	lines   *emit.JSONLines
	file    *os.File
	buffer  *bytes.Buffer // for a trace on stderr: printed at the end, not between Helm's lines
	problem string

	told []string // markdown lines about the rollback, for the summary
	f    *failure
}

func openOutputs(o Options) *outputs {
	out := &outputs{}
	if o.Config.PrintTrace {
		out.tree = &emit.Tree{}
	}
	switch path := o.Config.TraceOut; path {
	case "":
	case "-":
		out.buffer = &bytes.Buffer{}
		out.lines = emit.NewJSONLines(out.buffer)
	default:
		// The user names the file, and its text holds no more than telemetry does.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			out.problem = fmt.Sprintf("fairlead: warning: --trace-out: %v\n", err)
			break
		}
		out.file, out.lines = f, emit.NewJSONLines(f)
	}
	return out
}

func (out *outputs) sinks() []emit.Sink {
	var sinks []emit.Sink
	if out.tree != nil {
		sinks = append(sinks, out.tree)
	}
	if out.lines != nil {
		sinks = append(sinks, out.lines)
	}
	return sinks
}

// failure returns what is printed after a failure, "" after a success.
func (out *outputs) failure(s *session, f failure, inner release.Operation, hasInner bool, d release.RollbackDecision) string {
	if s.op.State == release.StateSucceeded {
		return ""
	}
	out.f = &f
	text := s.explanation(f, inner, hasInner, d).render()
	if d.Action == release.RollbackNone && s.rollbackWanted() && d.Reason != "" {
		text += fmt.Sprintf("fairlead: no automatic rollback: %s\n", d.Reason)
	}
	if hasInner {
		out.told = append(out.told, fmt.Sprintf("Helm's own %s: %s", inner.Kind, inner.State))
	}
	if s.summaryOn() {
		text = annotate(s.run.Provider, s.op, text)
	}
	return text
}

// rolledBack returns what is printed after the automatic rollback.
func (out *outputs) rolledBack(s *session, op release.Operation) string {
	what := fmt.Sprintf("rolled back %s/%s to revision %d", op.Namespace, op.Release, op.RollbackTo)
	if op.Kind == release.KindUninstall {
		what = fmt.Sprintf("uninstalled %s/%s after its first install failed", op.Namespace, op.Release)
	}
	if op.Revision > 0 && op.Kind == release.KindRollback {
		what += fmt.Sprintf(" (as revision %d)", op.Revision)
	}
	var text string
	if op.State == release.StateSucceeded {
		text = fmt.Sprintf("%s in %s", what, seconds(op.Duration()))
	} else {
		text = fmt.Sprintf("NOT %s: %s", what, op.Cause)
	}
	out.told = append(out.told, text)
	code, color := "32", s.color()
	if op.State != release.StateSucceeded {
		code = "1;31"
	}
	return tint(color, code, "fairlead: "+text) + "\n"
}

// finish writes what is left once everything was exported, and returns what is
// to be printed.
func (out *outputs) finish(s *session) string {
	var b strings.Builder
	b.WriteString(out.problem)
	if out.tree != nil {
		_ = out.tree.Print(&b, emit.TreeOptions{Color: s.color()})
	}
	if out.lines != nil {
		if err := out.lines.Err(); err != nil {
			fmt.Fprintf(&b, "fairlead: warning: --trace-out: %v\n", err)
		}
	}
	if out.buffer != nil {
		_, _ = io.Copy(&b, out.buffer)
	}
	if out.file != nil {
		if err := out.file.Close(); err != nil {
			fmt.Fprintf(&b, "fairlead: warning: --trace-out: %v\n", err)
		}
	}
	if s.summaryOn() {
		if path := s.o.Getenv("GITHUB_STEP_SUMMARY"); path != "" && s.run.Provider == ci.GitHub {
			if err := appendFile(path, summary(s.op, out.told, s.traceLink())); err != nil {
				fmt.Fprintf(&b, "fairlead: warning: GITHUB_STEP_SUMMARY: %v\n", err)
			}
		}
	}
	return b.String()
}

func (s *session) summaryOn() bool {
	switch s.o.Config.Summary {
	case Off:
		return false
	case On:
		return true
	default:
		return s.run.Provider != ci.None
	}
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // the CI system's own file, read by its runner
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// annotate adds what makes the CI system show the failure: GitHub an error
// annotation, GitLab a section that folds.
func annotate(p ci.Provider, op release.Operation, text string) string {
	switch p {
	case ci.GitHub:
		escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
		title := strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escape.Replace(
			fmt.Sprintf("helm %s %s/%s %s", op.Command, op.Namespace, op.Release, op.State)))
		return text + fmt.Sprintf("::error title=%s::%s\n", title, escape.Replace(op.Cause))
	case ci.GitLab:
		name := "fairlead_" + op.SpanID
		now := time.Now().Unix()
		return fmt.Sprintf("\x1b[0Ksection_start:%d:%s[collapsed=false]\r\x1b[0Kfairlead: why helm %s failed\n%s\x1b[0Ksection_end:%d:%s\r\x1b[0K\n",
			now, name, op.Command, text, now, name)
	}
	return text
}

// summary is the operation as Markdown, for a page that lists many.
func summary(op release.Operation, told []string, trace string) string {
	var b strings.Builder
	mark := "✅"
	if op.State != release.StateSucceeded {
		mark = "❌"
	}
	fmt.Fprintf(&b, "### %s helm %s %s/%s\n\n", mark, op.Command, op.Namespace, op.Release)
	b.WriteString("| outcome | revision | chart | duration |\n|---|---|---|---|\n")
	revision := "–"
	if op.Revision > 0 {
		revision = fmt.Sprint(op.Revision)
		if op.PreviousRevision != nil && *op.PreviousRevision > 0 {
			revision = fmt.Sprintf("%d → %d", *op.PreviousRevision, op.Revision)
		}
	}
	chart := strings.Trim(op.ChartName+" "+op.ChartVersion, " ")
	outcome := string(op.State)
	if op.ErrorType != "" {
		outcome += " (" + string(op.ErrorType) + ")"
	}
	fmt.Fprintf(&b, "| %s | %s | %s | %s |\n\n", outcome, revision, cell(chart), seconds(op.Duration()))
	if op.Cause != "" {
		fmt.Fprintf(&b, "**Cause:** %s\n\n", cell(op.Cause))
	}
	for _, t := range told {
		fmt.Fprintf(&b, "%s\n\n", cell(t))
	}
	switch {
	case strings.HasPrefix(trace, "http"):
		fmt.Fprintf(&b, "[Trace](%s)\n\n", trace)
	case trace != "":
		fmt.Fprintf(&b, "Trace `%s`\n\n", trace)
	}
	return b.String()
}

// cell makes text safe inside Markdown: no table breaks, tags or links of its own.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;", "[", "\\[", "`", "'", "\n", " ").Replace(text)
}
