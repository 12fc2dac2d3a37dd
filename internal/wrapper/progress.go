package wrapper

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

const (
	// quiet is how long Helm may work before progress says anything: most
	// operations end before it, and their output stays Helm's alone.
	quiet = 3 * time.Second
	// lineEvery bounds plain lines: a log is read later, by people.
	lineEvery = 2 * time.Second
	// stillEvery is when a plain log says that nothing has changed: CI systems
	// end jobs that are silent for ten minutes, people ask after one.
	stillEvery = 60 * time.Second
	// redraw is how often the line on a terminal counts up.
	redraw = time.Second
	// maxDetail bounds the words about one pod.
	maxDetail = 100
	// maxListed is how many waits a plain line names.
	maxListed = 3
)

// progress shows what Helm waits for.
type progress struct {
	mode    ProgressMode // tty, plain or none
	console *console
	width   func() int
	color   bool
	redact  func(string) string
	started time.Time
	// waiting returns what Helm waits for, changed signals that it may differ;
	// both may have nothing yet.
	waiting func() []release.Wait
	changed func() <-chan struct{}
}

// run shows progress until ctx ends and leaves nothing behind on a terminal.
func (p *progress) run(ctx context.Context) {
	if p.mode == ProgressNone {
		return
	}
	defer p.console.Status("")
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	var last string
	var lastAt time.Time
	for {
		var changed <-chan struct{}
		if p.mode == ProgressTTY {
			changed = p.changed()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
		now := time.Now()
		waits := p.waiting()
		if now.Sub(p.started) < quiet {
			continue
		}
		if p.mode == ProgressTTY {
			p.console.Status(p.statusLine(waits, now))
			continue
		}
		state := stateOf(waits)
		switch {
		case state == "" && last == "":
		case state != last && now.Sub(lastAt) >= lineEvery, state != "" && now.Sub(lastAt) >= stillEvery:
			if line := p.plainLine(waits, now); line != "" {
				p.console.Print(line)
			}
			last, lastAt = state, now
		}
	}
}

// stateOf is equal for equal waits, whatever their age.
func stateOf(waits []release.Wait) string {
	var b strings.Builder
	for _, w := range waits {
		fmt.Fprintf(&b, "%s|%s|%s|%s\n", w.Object, w.Text, w.Pod, w.Reason)
	}
	return b.String()
}

func (p *progress) plainLine(waits []release.Wait, now time.Time) string {
	if len(waits) == 0 {
		return fmt.Sprintf("fairlead: %s all ready\n", age(now.Sub(p.started)))
	}
	var parts []string
	for _, w := range waits[:min(len(waits), maxListed)] {
		parts = append(parts, p.describe(w, now))
	}
	more := ""
	if n := len(waits) - len(parts); n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("fairlead: %s waiting for %s%s\n", age(now.Sub(p.started)), strings.Join(parts, "; "), more)
}

func (p *progress) statusLine(waits []release.Wait, now time.Time) string {
	spinner := []string{"⠋", "⠙", "⠸", "⠴", "⠦", "⠇"}[int(now.Unix())%6]
	line := fmt.Sprintf("%s %s", spinner, age(now.Sub(p.started)))
	if len(waits) == 0 {
		return ""
	}
	line += "  waiting for " + p.describe(waits[0], now)
	if n := len(waits) - 1; n > 0 {
		line += fmt.Sprintf("  (+%d more)", n)
	}
	// One column less: a full line wraps, and then \r clears half of it.
	if limit := p.width() - 1; limit > 0 {
		if r := []rune(line); len(r) > limit {
			line = string(r[:max(limit-1, 0)]) + "…"
		}
	}
	if p.color {
		line = "\x1b[2m" + line + "\x1b[0m"
	}
	return line
}

func (p *progress) describe(w release.Wait, now time.Time) string {
	text := fmt.Sprintf("%s: %s", w.Object, w.Text)
	if !w.Since.IsZero() {
		text += " for " + age(now.Sub(w.Since))
	}
	if w.Pod == "" || w.Reason == "" {
		return text
	}
	text += fmt.Sprintf(", pod %s %s", w.Pod, w.Reason)
	if w.Detail != "" {
		detail := strings.Join(strings.Fields(p.redact(w.Detail)), " ")
		if r := []rune(detail); len(r) > maxDetail {
			detail = string(r[:maxDetail-1]) + "…"
		}
		text += " (" + detail + ")"
	}
	return text
}

// age says a duration shortly: 8s, 2m10s, 1h5m.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
