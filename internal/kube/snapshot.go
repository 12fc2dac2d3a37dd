package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fairlead.dev/fairlead/internal/release"
)

// SnapshotOptions bound a snapshot. Zero values take the defaults.
type SnapshotOptions struct {
	// Redact is applied to log lines, and to the messages of what the snapshot
	// lists itself (a watch has redacted its own); nil changes nothing.
	Redact func(string) string

	Timeout       time.Duration // of the whole; default 2.5 s
	MaxPods       int           // default 50, failing ones first
	MaxEvents     int           // default 100, newest
	MaxContainers int           // whose logs are read; default 6
	MaxLines      int           // of each log; default 25
	MaxLogBytes   int           // of each log; default 8 KiB
	MaxBytes      int           // of the snapshot's JSON; default 128 KiB
}

func (o SnapshotOptions) withDefaults() SnapshotOptions {
	o.Timeout = orDefault(o.Timeout, 2500*time.Millisecond)
	o.MaxPods = orDefault(o.MaxPods, 50)
	o.MaxEvents = orDefault(o.MaxEvents, 100)
	o.MaxContainers = orDefault(o.MaxContainers, 6)
	o.MaxLines = orDefault(o.MaxLines, 25)
	o.MaxLogBytes = orDefault(o.MaxLogBytes, 8<<10)
	o.MaxBytes = orDefault(o.MaxBytes, 128<<10)
	return o
}

// TakeSnapshot completes facts (from a [Watch], or the zero Facts with Release
// set, which are then read from the cluster) to a snapshot: nodes, quotas and
// log tails. Take it before a rollback removes the evidence. What could not be
// read in time is in Missing; there is no error: a snapshot may be poor, never
// absent.
func TakeSnapshot(ctx context.Context, c *Client, facts release.Facts, opts SnapshotOptions) release.Snapshot {
	return takeSnapshot(ctx, c, facts, nil, opts)
}

func takeSnapshot(ctx context.Context, c *Client, facts release.Facts, kept []release.LogTail, opts SnapshotOptions) release.Snapshot {
	opts = opts.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	s := release.Snapshot{Version: release.SnapshotVersion, Taken: time.Now().UTC(), Cluster: c.ClusterName(), Facts: facts}
	if len(facts.Workloads) == 0 && len(facts.Pods) == 0 {
		s.Facts, s.Missing = readFacts(ctx, c, facts, opts)
	}
	g := &gatherer{client: c, opts: opts, snapshot: &s}
	g.wg.Go(func() { g.nodes(ctx) })
	g.wg.Go(func() { g.quotas(ctx) })
	failing := s.Failing()
	if len(failing) > opts.MaxContainers {
		s.Omitted = append(s.Omitted, fmt.Sprintf("the logs of %d of %d failing containers", len(failing)-opts.MaxContainers, len(failing)))
		failing = failing[:opts.MaxContainers]
	}
	logs := make([][]release.LogTail, len(failing))
	for i, f := range failing {
		g.wg.Go(func() { logs[i] = g.logs(ctx, f) })
	}
	g.wg.Wait()
	s.Logs = slices.Concat(logs...)
	for _, l := range kept {
		if _, ok := s.LogOf(l.Pod, l.Container); !ok && len(s.Logs) < 2*opts.MaxContainers {
			s.Logs = append(s.Logs, l)
		}
	}
	slices.Sort(s.Missing)
	s.Missing = slices.Compact(s.Missing)
	s.Limit(opts.MaxPods, opts.MaxEvents, opts.MaxBytes)
	return s
}

// readFacts watches for as long as it takes to know the present state.
func readFacts(ctx context.Context, c *Client, known release.Facts, opts SnapshotOptions) (release.Facts, []string) {
	w := StartWatch(ctx, c, WatchOptions{
		Namespaces: []string{known.Release.Namespace}, Release: known.Release, Redact: opts.Redact,
	})
	defer w.Stop()
	var missing []string
	select {
	case <-w.Synced():
	case <-ctx.Done():
		missing = append(missing, "the state of the release: no answer in time")
	}
	facts := w.Facts()
	if facts.Revision == 0 {
		facts.Revision, facts.Status = known.Revision, known.Status
	}
	return facts, append(missing, w.Missing()...)
}

// snapshotLater takes a snapshot of what is known now, behind the watch. The
// caller holds the mutex.
func (w *Watch) snapshotLater(t *track, failed *release.Record) {
	if w.opts.Snapshot == nil {
		return
	}
	p := &pendingSnapshot{done: make(chan struct{})}
	t.snapshots[failed.Revision] = p
	facts := t.timeline.Facts()
	facts.Revision, facts.Status = failed.Revision, failed.Status
	var kept []release.LogTail
	if t.logs != nil {
		kept = t.logs.tails()
	}
	w.wg.Go(func() {
		defer close(p.done)
		p.snapshot = takeSnapshot(w.ctx, w.client, facts, kept, *w.opts.Snapshot)
		p.snapshot.Missing = append(p.snapshot.Missing, w.Missing()...)
		slices.Sort(p.snapshot.Missing)
		p.snapshot.Missing = slices.Compact(p.snapshot.Missing)
	})
}

// gatherer reads the parts of a snapshot at once.
type gatherer struct {
	client *Client
	opts   SnapshotOptions
	wg     sync.WaitGroup

	mu       sync.Mutex
	snapshot *release.Snapshot
}

func (g *gatherer) missing(what string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	why := reason(err)
	if isTimeout(err) {
		why = "no answer in time"
	}
	g.snapshot.Missing = append(g.snapshot.Missing, what+": "+why)
}

// logs reads the log of a failing container, and of its run before.
func (g *gatherer) logs(ctx context.Context, f release.Failing) []release.LogTail {
	var out []release.LogTail
	read := func(previous bool) {
		tail, err := g.client.logTail(ctx, f.Namespace, f.Pod, f.Container, previous, g.opts)
		switch {
		case err != nil && previous:
			// The run before may have been removed already: no news.
		case apierrors.IsNotFound(err):
			g.missing("pods/log", fmt.Errorf("pod %s is gone", f.Pod))
		case err != nil:
			g.missing("pods/log", err)
		case len(tail.Lines) > 0:
			out = append(out, tail)
		}
	}
	read(false)
	if f.Restarted && !f.Ended {
		read(true) // the present run has not failed yet; the one before has
	}
	return out
}
