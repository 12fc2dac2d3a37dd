package wrapper

import (
	"fmt"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// maxLogLines is how many lines of a container's end the explanation shows; the
// snapshot in telemetry has more.
const maxLogLines = 12

// explanation is what an engineer reads after a failure, after Helm's own
// output: what failed, why, what the evidence is, how the release stands now,
// what to do next.
type explanation struct {
	op    release.Operation
	cause release.Cause
	now   time.Time
	// state says how the release stands now, next what can be done: commands.
	state string
	next  []string
	// trace is a link or an id, "" without telemetry.
	trace string
	// missing says what could not be looked at.
	missing []string
	color   bool
	redact  func(string) string
}

// render returns whole lines.
func (x explanation) render() string {
	var b strings.Builder
	what := fmt.Sprintf("%s of %s/%s", x.op.Kind, x.op.Namespace, x.op.Release)
	if x.op.Release == "" {
		what = string(x.op.Kind)
	}
	if x.op.Revision > 0 {
		what += fmt.Sprintf(" revision %d", x.op.Revision)
	}
	word := "failed"
	if x.op.State == release.StateCancelled {
		word = "was cancelled"
	}
	head := fmt.Sprintf("fairlead: %s %s after %s", what, word, seconds(x.op.Duration()))
	if x.op.ErrorType != "" {
		head += fmt.Sprintf(" (%s)", x.op.ErrorType)
	}
	b.WriteString(tint(x.color, "1;31", head) + "\n")

	x.row(&b, "cause", x.op.Cause)
	if e := x.cause.LastEvent; e != nil {
		x.row(&b, "event", fmt.Sprintf("%s %s%s: %s", e.Object, e.Reason, ago(e, x.now), oneLine(x.redact(e.Message), 300)))
	}
	if t := x.cause.Termination; t != nil {
		ended := fmt.Sprintf("container %s exited with code %d", x.cause.Container, t.ExitCode)
		if t.Reason != "" && t.Reason != "Error" {
			ended += " (" + t.Reason + ")"
		}
		if t.Message != "" {
			ended += ": " + oneLine(x.redact(t.Message), 300)
		}
		x.row(&b, "exit", ended)
	}
	if l := x.cause.Log; l != nil && len(l.Lines) > 0 {
		which := ""
		if l.Previous {
			which = ", the run before"
		}
		lines := l.Lines
		if len(lines) > maxLogLines {
			lines = lines[len(lines)-maxLogLines:]
		}
		x.row(&b, "log", fmt.Sprintf("%s/%s%s, last %d lines:", l.Pod, l.Container, which, len(lines)))
		for _, line := range lines {
			fmt.Fprintf(&b, "           | %s\n", oneLine(x.redact(line), 400))
		}
	}
	x.row(&b, "now", x.state)
	for i, n := range x.next {
		label := "next"
		if i > 0 {
			label = ""
		}
		x.row(&b, label, n)
	}
	if len(x.missing) > 0 {
		x.row(&b, "unseen", strings.Join(x.missing, "; "))
	}
	x.row(&b, "trace", x.trace)
	return b.String()
}

func (x explanation) row(b *strings.Builder, label, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, "  %s %s\n", tint(x.color, "2", fmt.Sprintf("%-7s", label)), text)
}

func ago(e *release.Event, now time.Time) string {
	at := e.Last
	if !e.Received.IsZero() {
		at = e.Received
	}
	text := ""
	if !at.IsZero() && !at.After(now) {
		text = ", " + age(now.Sub(at)) + " ago"
	}
	if e.Count > 1 {
		text += fmt.Sprintf(", %d times", e.Count)
	}
	return text
}

// oneLine folds white space and control characters, which a log line could use
// to repaint the terminal, and bounds the length.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, strings.TrimRight(s, " \t\r\n"))
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}

func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func tint(on bool, code, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
