package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/rbac"
	"fairlead.dev/fairlead/internal/release"
)

// agent is one term of watching and telling.
type agent struct {
	opts    Options
	emitter *emit.Emitter
	box     *outbox
	watch   *kube.Watch
	claims  *claims
	keeper  *keeper
	memory  release.Memory
	synced  time.Time // since when all that was there before is known
	ready   *atomic.Bool

	mu    sync.Mutex
	queue []release.Observation // records and events, as they came
	noisy map[release.Ref]bool  // observed since the last housekeeping

	// What follows belongs to the goroutine of work.
	releases map[release.Ref]*tracked
	touched  map[release.Ref]bool
	initial  map[release.Ref]bool // there at the start, and not all told yet
	closed   map[string]bool      // operations that were closed for a silent wrapper
	caughtUp bool
	missing  []string
	skew     time.Duration // of the API server's clock, as it was said
	checked  time.Time     // of missing
	cleaned  time.Time
}

// tracked is a release with the operation that its events belong to.
type tracked struct {
	ledger *release.Ledger
	last   story
	seen   time.Time
	learnt bool // our own metrics know it
}

// Run watches and tells until ctx ends. With leader election it waits for its
// turn first. The error says what could not begin; what cannot be seen of the
// cluster is said in the log, once, and stops nothing.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o.Data = cmp.Or(o.Data, "fairlead-agent-data")
	o.OwnNamespace = cmp.Or(o.OwnNamespace, o.Client.ContextNamespace())
	if o.Identity == "" {
		host, _ := os.Hostname()
		o.Identity = fmt.Sprintf("fairlead-agent on %s (%d)", cmp.Or(host, "unknown host"), os.Getpid())
	}
	if o.Redact == nil {
		o.Redact = helm.NewRedactor(helm.Invocation{}, nil).Redact
	}
	kube.SilenceClientLogs()
	var ready atomic.Bool
	stop, err := serveHealth(ctx, o, &ready)
	if err != nil {
		return err
	}
	defer stop()
	if !o.LeaderElect {
		return lead(ctx, o, &ready)
	}
	return kube.Lead(ctx, o.Client, kube.LeaderOptions{
		Namespace: o.OwnNamespace, Name: rbac.LeaderName, Identity: o.Identity,
		Changed: func(who string) {
			if who != o.Identity {
				ready.Store(true) // waiting for one's turn is being ready
			}
			o.Logger.Info("leader elected", "leader", who, "me", who == o.Identity)
		},
	}, func(ctx context.Context) error { return lead(ctx, o, &ready) })
}

// lead is one term.
func lead(ctx context.Context, o Options, ready *atomic.Bool) error {
	box, err := openOutbox(ctx, o)
	if err != nil {
		return err
	}
	a := &agent{
		opts: o, box: box, claims: newClaims(o), ready: ready, noisy: make(map[release.Ref]bool),
		releases: make(map[release.Ref]*tracked), touched: make(map[release.Ref]bool), closed: make(map[string]bool),
	}
	a.emitter = emit.Open(ctx, emit.Options{Version: o.Version, SinksOnly: true, Sinks: []emit.Sink{box}, Resource: a.resource(ctx)})
	for _, kv := range a.emitter.ResourceAttributes() {
		box.resource.PutStr(string(kv.Key), kv.Value.Emit())
	}
	box.run(ctx)
	defer func() {
		_ = a.emitter.Close(context.Background())
		if err := box.close(); err != nil {
			o.Logger.Error("close the queue", "error", err)
		}
	}()
	a.keeper = newKeeper(o)
	if a.memory, err = a.keeper.load(ctx, a.claims); err != nil {
		return err
	}
	a.start(ctx)
	a.work(ctx)
	return nil
}

// resource is what everything carries about the cluster.
func (a *agent) resource(ctx context.Context) []attribute.KeyValue {
	var out []attribute.KeyValue
	if name := a.opts.Client.ClusterName(); name != "" {
		out = append(out, attribute.String(release.AttrCluster, name))
	}
	uid, err := a.opts.Client.ClusterUID(ctx)
	if err != nil {
		a.opts.Logger.Warn("missing: get namespaces kube-system: no k8s.cluster.uid", "reason", kube.Why(err))
		return out
	}
	return append(out, attribute.String("k8s.cluster.uid", uid))
}

func (a *agent) start(ctx context.Context) {
	where := "all namespaces"
	if len(a.opts.Namespaces) > 0 {
		where = strings.Join(a.opts.Namespaces, ", ")
	}
	a.opts.Logger.Info("watching Helm releases", "namespaces", where, "storage", cmp.Or(a.opts.Storage, "secrets"),
		"cluster", cmp.Or(a.opts.Client.ClusterName(), "not named"), "firstStart", a.memory.None)
	a.watch = kube.StartWatch(ctx, a.opts.Client, kube.WatchOptions{
		Namespaces: a.opts.Namespaces, Driver: a.opts.Storage, Decode: helm.ReadRecord, Fetchers: fetchers,
		Redact: a.opts.Redact, Snapshot: &kube.SnapshotOptions{Redact: a.opts.Redact},
		Handler: a.observe, AllEvents: a.opts.Events != Off,
	})
}

// observe is the watch's handler.
func (a *agent) observe(o release.Observation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !o.Release.IsZero() && !o.Initial {
		a.noisy[o.Release] = true
	}
	if o.Record != nil || o.Event != nil && a.opts.Events != Off {
		a.queue = append(a.queue, o)
	}
}

// work tells what has settled, until ctx ends.
func (a *agent) work(ctx context.Context) {
	watch := kube.WatchClaims(ctx, a.opts.Client, a.opts.Namespaces, func(ch kube.ClaimChange) { a.claims.observe(ctx, ch) })
	began := time.Now()
	t := time.NewTicker(tick)
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.C:
			a.step(ctx, began, watch)
		}
	}
	watch.Stop()
	a.claims.wg.Wait()
	a.watch.Stop()
	a.save(context.WithoutCancel(ctx), true)
}

// step is one tick.
func (a *agent) step(ctx context.Context, began time.Time, watch *kube.ClaimWatch) {
	now := time.Now()
	if a.synced.IsZero() {
		if !isClosed(a.watch.Synced()) || !isClosed(watch.Synced()) {
			return
		}
		a.synced = now
	}
	if now.Sub(a.synced) < settle {
		return
	}
	for _, o := range a.due(now) {
		a.take(ctx, o)
	}
	if isClosed(a.watch.RecordsListed()) {
		a.recallLost()
	}
	if !a.caughtUp {
		a.initial = maps.Clone(a.touched)
	}
	a.tellDue(ctx, now)
	a.tellSilent(ctx, now)
	if isClosed(a.watch.Listed()) {
		a.ready.Store(true)
	}
	if !a.caughtUp {
		a.caughtUp = true
		a.opts.Logger.Info("caught up", "releases", len(a.releases), "after", now.Sub(began).Round(time.Millisecond).String())
	}
	a.save(ctx, false)
	a.sayMissing(now, watch)
	a.clean(now)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// due takes what has settled from the queue, in order.
func (a *agent) due(now time.Time) []release.Observation {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.queue) && now.Sub(a.queue[n].At) >= settle {
		n++
	}
	out := a.queue[:n:n]
	a.queue = slices.Clone(a.queue[n:])
	return out
}

func (a *agent) take(ctx context.Context, o release.Observation) {
	if o.Event != nil {
		a.event(ctx, o)
		return
	}
	t := a.track(o.Release)
	t.seen = o.At
	t.ledger.Observe(o)
	a.touched[o.Release] = true
}

func (a *agent) track(ref release.Ref) *tracked {
	t := a.releases[ref]
	if t == nil {
		t = &tracked{ledger: release.NewLedger(ref, a.memory, a.keeper.recall(ref))}
		a.releases[ref] = t
	}
	return t
}

// recallLost makes ledgers of the releases that the checkpoint names and whose
// records are all gone: they were uninstalled meanwhile.
func (a *agent) recallLost() {
	for _, ref := range a.keeper.rest(a.opts.Namespaces) {
		a.track(ref)
		a.touched[ref] = true
	}
}

// tellDue tells what the ledgers of changed releases have for us.
func (a *agent) tellDue(ctx context.Context, now time.Time) {
	for ref := range a.touched {
		t := a.releases[ref]
		ops, want, more := t.ledger.Due(now)
		for _, n := range want {
			a.watch.Of(ref).Fetch(n)
		}
		for _, op := range ops {
			a.tellOperation(ctx, t, op, now)
		}
		a.keeper.remember(ref, t.ledger)
		a.learn(t)
		if !more {
			delete(a.touched, ref)
			delete(a.initial, ref)
		}
	}
	if err := a.box.learn(ctx); err != nil {
		a.opts.Logger.Error("learn of releases", "error", err)
	}
}

// learn makes our own metrics know a release whose operations were all told by
// an agent before us: its gauges go on.
func (a *agent) learn(t *tracked) {
	if t.learnt || a.box.counting == nil {
		return
	}
	if t.last.op.ID != "" { // we told it ourselves
		t.learnt = true
		return
	}
	if op, ok := t.ledger.Current(); ok && op.State.Done() && !op.End.IsZero() {
		t.learnt = true
		op.Cluster = a.opts.Client.ClusterName()
		a.box.toLearn = append(a.box.toLearn, op)
	}
}

func (a *agent) tellOperation(ctx context.Context, t *tracked, op release.Operation, now time.Time) {
	op.Cluster = a.opts.Client.ClusterName()
	c, main := a.claims.of(op)
	s := place(op, c, main)
	if op.State.Done() {
		a.explain(ctx, &s)
	}
	t.last = s
	if c != nil && op.State.Done() && !a.claims.counted(c) {
		a.box.leaveUncounted(op.ID)
	}
	within := s.within(ctx)
	a.emitter.Operation(within, s.op)
	if !op.State.Done() || op.Historic {
		return
	}
	a.opts.Logger.Info("operation ended", "release", op.Namespace+"/"+op.Release, "revision", op.Revision, "operation", op.Kind,
		"state", op.State, "cause", s.op.Cause, "wrapper", c != nil)
	if s.snapshot != nil {
		if err := a.emitter.Snapshot(within, s.op, *s.snapshot); err != nil {
			a.opts.Logger.Error("send snapshot", "error", err)
		}
	}
	if a.closed[op.ID] || c != nil && a.claims.leave(c, s, now) {
		return
	}
	a.tell(ctx, s)
}

// tellSilent tells the operations of wrappers that went without a word: those
// that had ended, and those that they left pending.
func (a *agent) tellSilent(ctx context.Context, now time.Time) {
	left, silent := a.claims.expire(now)
	for _, s := range left {
		a.tell(ctx, s)
	}
	for _, ref := range silent {
		t := a.releases[ref]
		if t == nil {
			continue
		}
		op, ok := t.ledger.Current()
		if !ok || op.State != release.StateRunning || a.closed[op.ID] {
			continue
		}
		c, main := a.claims.of(op)
		if c == nil || now.Sub(c.Renewed) < 2*c.Duration { // its Helm may still be at work
			continue
		}
		a.closed[op.ID] = true
		op.Cluster = a.opts.Client.ClusterName()
		op.State, op.End, op.ErrorType = release.StateCancelled, c.Renewed, release.ErrorCancelled
		op.Cause = fmt.Sprintf("%s ended without a word and left revision %d pending", holder(c), op.Revision)
		if op.Extra == nil {
			op.Extra = make(map[string]string)
		}
		op.Extra[release.AttrLeftPending] = "pending-" + string(op.Kind)
		if op.End.Before(op.Start) {
			op.End = op.Start
		}
		s := place(op, c, main)
		a.emitter.Operation(s.within(ctx), s.op)
		a.tell(ctx, s)
		t.last = s
	}
}

// event sends a Kubernetes event, stamped with what it belongs to.
func (a *agent) event(ctx context.Context, o release.Observation) {
	if o.Initial && !a.keeper.missed(*o.Event) {
		return
	}
	op := release.Operation{Cluster: a.opts.Client.ClusterName(), Namespace: o.Release.Namespace, Release: o.Release.Name}
	if !o.Release.IsZero() {
		t := a.track(o.Release)
		if now, ok := t.ledger.Current(); ok && now.ID != t.last.op.ID {
			c, main := a.claims.of(now)
			t.last = place(now, c, main)
			t.last.op.Cluster = op.Cluster
		}
		if t.last.op.ID != "" {
			op, ctx = t.last.op, t.last.within(ctx)
		}
	}
	a.emitter.Event(ctx, op, *o.Event, a.opts.Redact)
	a.keeper.sent(*o.Event)
}

// save writes what was told to the queue on disk, and then the checkpoint. The
// very first one waits until all that was there has been told: what it did not
// name would be new to the next start, and counted.
func (a *agent) save(ctx context.Context, last bool) {
	if !a.caughtUp || a.memory.None && len(a.initial) > 0 || !a.keeper.due(a.claims, last) {
		return
	}
	a.box.flush(ctx)
	a.keeper.save(ctx, a.claims)
}

// sayMissing says, once, what cannot be seen.
func (a *agent) sayMissing(now time.Time, watch *kube.ClaimWatch) {
	if now.Sub(a.checked) < 2*time.Second {
		return
	}
	a.checked = now
	list := a.watch.Missing()
	if m := watch.Missing(); m != "" {
		list = append(list, m)
	}
	for _, m := range list {
		if !slices.Contains(a.missing, m) {
			a.opts.Logger.Warn("missing: " + m)
		}
	}
	for _, m := range a.missing {
		if !slices.Contains(list, m) {
			a.opts.Logger.Info("there again: " + m)
		}
	}
	a.missing = list
	a.saySkew()
}

// saySkew says when the API server's clock and ours begin to differ, and when they
// agree again.
func (a *agent) saySkew() {
	ahead := a.opts.Client.ClockAhead()
	switch {
	case (ahead - a.skew).Abs() < skewStep:
		return
	case ahead == 0:
		a.opts.Logger.Info("the API server's clock and ours agree again")
	default:
		a.opts.Logger.Warn("clocks differ: durations of what began before we saw it are off by as much", "apiServerAhead", ahead.Round(time.Second).String())
	}
	a.skew = ahead
}

// clean lets go of the evidence of what has been told.
func (a *agent) clean(now time.Time) {
	if now.Sub(a.cleaned) < time.Minute {
		return
	}
	a.cleaned = now
	a.mu.Lock()
	noisy := a.noisy
	a.noisy = make(map[release.Ref]bool)
	a.mu.Unlock()
	for ref := range noisy {
		before := now.Add(-keepFor)
		if t := a.releases[ref]; t != nil {
			if op, ok := t.ledger.Current(); ok && op.State == release.StateRunning && op.Start.Before(before) {
				before = op.Start
			}
		}
		a.watch.Of(ref).Forget(before)
	}
	for ref, t := range a.releases {
		if t.ledger.Gone() && now.Sub(t.seen) > keepFor {
			delete(a.releases, ref)
			a.watch.Of(ref).Drop()
		}
	}
}
