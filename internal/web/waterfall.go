package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/web/chart"
)

// maxSpans is how many spans a waterfall shows, the earliest of each parent
// first; beyond that nobody reads on.
const maxSpans = 2000

// waterfall is the spans of a trace as a tree over time.
type waterfall struct {
	Roots    []*bar
	Spans    int // shown
	Total    int
	Failed   int
	Start    time.Time
	Duration time.Duration
	Ticks    []string
}

// bar is a span in the waterfall.
type bar struct {
	Name, Object     string
	Service          string
	Start            time.Time
	Offset, Duration time.Duration
	X, W             float64 // in thousandths of the whole
	Failed           bool
	Critical         bool // its end is what the whole waited for
	Open             bool // shown unfolded
	Unfinished       bool
	Message          string
	Depth            int
	Children         []*bar

	id, parent otlpwire.SpanID
	end        int64
	start      int64
}

// trace reads a trace as a waterfall.
func (s *site) trace(ctx context.Context, traceID string) (*waterfall, State) {
	id, ok := traceKey(traceID)
	if !ok {
		return nil, empty("The operation has no trace.", "A release record alone tells of no spans; the wrapper or the agent emits them.")
	}
	ctx, cancel := context.WithTimeout(ctx, panelTimeout)
	defer cancel()
	found, scanned, err := s.o.Telemetry.Traces(ctx, []otlpwire.TraceID{id})
	if err != nil {
		return nil, failed(err)
	}
	spans := found[id]
	if len(spans) == 0 {
		return nil, empty("The trace "+traceID+" is not in the store.", "It was sampled out, went elsewhere, or is older than store.telemetry.retention.")
	}
	w := buildWaterfall(spans)
	switch {
	case len(scanned.Skipped) > 0:
		return w, partial(fmt.Sprintf("Spans may be missing: %d files or chunks of the store are damaged.", len(scanned.Skipped)))
	case w.Total > w.Spans:
		return w, partial(fmt.Sprintf("%d of %d spans are shown, the first of each parent.", w.Spans, w.Total))
	}
	return w, State{}
}

func buildWaterfall(spans []*telemetry.StoredSpan) *waterfall {
	slices.SortStableFunc(spans, func(a, b *telemetry.StoredSpan) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	w := &waterfall{Total: len(spans)}
	byID := map[otlpwire.SpanID]*bar{}
	from, to := spans[0].Start, spans[0].End
	all := make([]*bar, 0, len(spans))
	for _, span := range spans {
		b := barOf(span)
		from, to = min(from, span.Start), max(to, span.End)
		byID[b.id] = b
		all = append(all, b)
	}
	total := max(to-from, 1)
	w.Start, w.Duration = time.Unix(0, from).UTC(), time.Duration(total)
	for i := range 5 {
		w.Ticks = append(w.Ticks, chart.Duration(time.Duration(total*int64(i)/4)))
	}
	for _, b := range all {
		b.Offset = time.Duration(b.start - from)
		b.X = float64(b.start-from) / float64(total) * chart.Width
		b.W = max(float64(b.end-b.start)/float64(total)*chart.Width, 2)
		b.X = min(b.X, chart.Width-b.W)
		if b.Failed {
			w.Failed++
		}
		parent := byID[b.parent]
		if parent == nil || parent == b {
			w.Roots = append(w.Roots, b)
			continue
		}
		parent.Children = append(parent.Children, b)
	}
	w.limit()
	for _, root := range w.Roots {
		root.open(0)
		root.critical()
		root.sayOnce()
	}
	return w
}

// sayOnce leaves a message where it comes from, the deepest span that has it: the
// spans above hand it on in the same words. It returns what is said below.
func (b *bar) sayOnce() map[string]bool {
	said := map[string]bool{}
	for _, c := range b.Children {
		maps.Copy(said, c.sayOnce())
	}
	if said[b.Message] {
		b.Message = ""
	} else if b.Message != "" {
		said[b.Message] = true
	}
	return said
}

func barOf(span *telemetry.StoredSpan) *bar {
	b := &bar{
		Name: span.Name, Service: span.Resource.Attributes["service.name"], Start: time.Unix(0, span.Start).UTC(),
		Duration: time.Duration(span.Duration()), Failed: span.Status == otlpwire.StatusError,
		id: span.SpanID, parent: span.ParentID, start: span.Start, end: max(span.End, span.Start),
	}
	if b.Failed {
		b.Message = span.StatusMessage
	}
	for _, key := range []string{"k8s.pod.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name", "k8s.replicaset.name", "helm.release", "http.route", "rpc.method", "db.operation.name"} {
		if v, ok := span.Span.Attribute(key); ok {
			b.Object = v.Text()
			break
		}
	}
	if v, ok := span.Span.Attribute("container.image.name"); ok {
		b.Object = v.Text()
	}
	if v, ok := span.Span.Attribute("fairlead.step.unfinished"); ok {
		b.Unfinished = v.Text() == "true"
	}
	if v, ok := span.Span.Attribute("fairlead.step.reason"); ok && b.Message == "" {
		b.Message = strings.TrimSpace(v.Text())
	}
	return b
}

// limit leaves out spans beyond maxSpans, level by level, so that what is near
// the root and what failed stays.
func (w *waterfall) limit() {
	level, left := w.Roots, maxSpans
	if len(level) > left {
		w.Roots = level[:left]
		level = w.Roots
	}
	for len(level) > 0 {
		left -= len(level)
		w.Spans += len(level)
		var next []*bar
		for _, b := range level {
			slices.SortStableFunc(b.Children, func(a, c *bar) int { return cmp.Compare(failedFirst(a), failedFirst(c)) })
			room := max(left-len(next), 0)
			if len(b.Children) > room {
				b.Children = b.Children[:room]
			}
			slices.SortStableFunc(b.Children, func(a, c *bar) int { return cmp.Compare(a.start, c.start) })
			next = append(next, b.Children...)
		}
		level = next
	}
}

// failedFirst ranks failed spans before others.
func failedFirst(b *bar) int {
	if b.Failed {
		return 0
	}
	return 1
}

// smallTrace is the size up to which everything is unfolded.
const smallTrace = 40

// open unfolds the path to what failed, and the first two levels. It reports
// whether something failed below.
func (b *bar) open(depth int) bool {
	b.Depth = depth
	below := false
	for _, c := range b.Children {
		below = c.open(depth+1) || below
	}
	b.Open = below || depth < 2 && len(b.Children) <= smallTrace
	return below || b.Failed
}

// critical marks the chain of spans whose ends the end of b waited for: the
// child that ended last, and again before its start.
func (b *bar) critical() {
	b.Critical = true
	until := b.end
	left := slices.Clone(b.Children)
	slices.SortFunc(left, func(a, c *bar) int { return cmp.Compare(c.end, a.end) })
	for _, c := range left {
		if c.end <= until && c.end > c.start {
			c.critical()
			until = c.start
		}
	}
}
