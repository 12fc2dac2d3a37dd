package emit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/release"
)

// Tree keeps the spans that were exported and prints them as a tree for people
// without a trace backend.
type Tree struct {
	mu    sync.Mutex
	spans []ptrace.Span
}

// Traces keeps the spans.
func (t *Tree) Traces(td ptrace.Traces) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				span := ptrace.NewSpan()
				s.CopyTo(span)
				t.spans = append(t.spans, span)
			}
		}
	}
}

// Logs does nothing.
func (t *Tree) Logs(plog.Logs) {}

// Metrics does nothing.
func (t *Tree) Metrics(pmetric.Metrics) {}

// TreeOptions are the options of [Tree.Print].
type TreeOptions struct {
	Color bool
	// Bar is the width of the time bars in columns; 0 = 32.
	Bar int
}

// barFloor is the least width of a time bar.
const barFloor = 8

type treeRow struct {
	label  string
	span   ptrace.Span
	indent int
}

// Print writes the tree: a line a span, with its duration and where it lay in
// the whole, and the cause under the span that failed.
func (t *Tree) Print(w io.Writer, opts TreeOptions) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.spans) == 0 {
		_, err := fmt.Fprintln(w, "trace: no spans (sampled out, or nothing was recorded)")
		return err
	}
	known := map[string]bool{}
	children := map[string][]ptrace.Span{}
	for _, s := range t.spans {
		known[s.SpanID().String()] = true
	}
	var roots []ptrace.Span
	from, to := t.spans[0].StartTimestamp(), t.spans[0].EndTimestamp()
	for _, s := range t.spans {
		from, to = min(from, s.StartTimestamp()), max(to, s.EndTimestamp())
		if p := s.ParentSpanID(); !p.IsEmpty() && known[p.String()] {
			children[p.String()] = append(children[p.String()], s)
		} else {
			roots = append(roots, s)
		}
	}
	byStart := func(a, b ptrace.Span) int {
		return cmp.Or(cmp.Compare(a.StartTimestamp(), b.StartTimestamp()), cmp.Compare(b.EndTimestamp(), a.EndTimestamp()),
			cmp.Compare(a.Name(), b.Name()))
	}
	var rows []treeRow
	var walk func(s ptrace.Span, prefix, next string)
	walk = func(s ptrace.Span, prefix, next string) {
		rows = append(rows, treeRow{label: prefix + spanLabel(s), span: s, indent: len([]rune(next))})
		kids := children[s.SpanID().String()]
		slices.SortFunc(kids, byStart)
		for i, kid := range kids {
			if i == len(kids)-1 {
				walk(kid, next+"└─ ", next+"   ")
			} else {
				walk(kid, next+"├─ ", next+"│  ")
			}
		}
	}
	slices.SortFunc(roots, byStart)
	for _, r := range roots {
		walk(r, "", "")
	}
	return printRows(w, rows, from.AsTime(), to.AsTime(), opts)
}

func printRows(w io.Writer, rows []treeRow, from, to time.Time, opts TreeOptions) error {
	width := 0
	for _, r := range rows {
		width = max(width, len([]rune(r.label)))
	}
	bar := max(cmp.Or(opts.Bar, 32), barFloor)
	var b strings.Builder
	fmt.Fprintf(&b, "trace %s\n", rows[0].span.TraceID())
	for _, r := range rows {
		mark := "✓"
		switch {
		case r.span.Status().Code() == ptrace.StatusCodeError:
			mark = paint(opts.Color, "31", "✗")
		case unfinished(r.span):
			mark = paint(opts.Color, "33", "…")
		case opts.Color:
			mark = paint(true, "32", mark)
		}
		pad := strings.Repeat(" ", width-len([]rune(r.label)))
		fmt.Fprintf(&b, "%s%s %s %8s  %s\n", r.label, pad, mark, spanDuration(r.span), timeBar(r.span, from, to, bar))
		if cause, ok := r.span.Attributes().Get(release.AttrCause); ok && strings.HasSuffix(r.span.Name(), "-failed") {
			fmt.Fprintf(&b, "%s   %s\n", strings.Repeat(" ", r.indent), cause.AsString())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// spanLabel names a span by what it was about: its own name, and the object.
func spanLabel(s ptrace.Span) string {
	label := s.Name()
	if strings.HasPrefix(label, "k8s.pod.") {
		return label // it stands under its pod
	}
	if v, ok := s.Attributes().Get(release.AttrErrorType); ok && strings.HasSuffix(label, "-failed") {
		return label + " " + v.AsString()
	}
	for _, key := range []string{"fairlead.object", "k8s.pod.name", "k8s.deployment.name", "k8s.statefulset.name",
		"k8s.daemonset.name", "k8s.job.name", "k8s.replicaset.name"} {
		if v, ok := s.Attributes().Get(key); ok {
			return label + " " + v.AsString()
		}
	}
	if v, ok := s.Attributes().Get(release.AttrRelease); ok && s.ParentSpanID().IsEmpty() {
		return label + " " + v.AsString()
	}
	return label
}

func unfinished(s ptrace.Span) bool {
	v, ok := s.Attributes().Get(attrUnfinished)
	return ok && v.Bool()
}

func spanDuration(s ptrace.Span) string {
	d := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime())
	switch {
	case d < time.Millisecond:
		return "·"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

func timeBar(s ptrace.Span, from, to time.Time, width int) string {
	total := max(to.Sub(from), 1)
	column := func(at time.Time) int {
		return min(int(float64(at.Sub(from))/float64(total)*float64(width)), width-1)
	}
	a, b := column(s.StartTimestamp().AsTime()), column(s.EndTimestamp().AsTime())
	return strings.Repeat(" ", a) + strings.Repeat("█", b-a+1)
}

func paint(on bool, code, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
