package wrapper

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/ci"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
)

const (
	// syncBound is how long Helm waits for the state before it, and only when an
	// automatic rollback may need that state.
	syncBound = 5 * time.Second
	// settleBound is how long the end waits for the watch to show what Helm
	// wrote last; it shows within a round trip.
	settleBound = time.Second
	// settleNothing is the same where Helm may have written nothing at all.
	settleNothing = 300 * time.Millisecond
	// hurryBound is what is left for the export after a signal came while the
	// story was being told.
	hurryBound = time.Second
)

// The attributes of the root span that are the wrapper's own.
const (
	attrWatchMissing = "fairlead.watch.missing" // what of the cluster could not be seen, and why
	attrKubeRequests = "fairlead.kube.requests" // requests to the Kubernetes API beside Helm's
	attrLeaseMissing = "fairlead.lease.missing" // why there was no Lease
)

// session is one run of Helm and its story.
type session struct {
	o       Options
	inv     helm.Invocation
	redact  func(string) string
	emitter *emit.Emitter
	outputs *outputs
	console *console
	run     ci.Run
	start   time.Time

	ctx     context.Context // within the operation's span
	span    trace.Span
	tracker *tracker
	beside  *beside

	mu sync.Mutex // guards op while Helm runs
	op release.Operation
}

// Run runs Helm, records the operation, and returns Helm's exit code.
func Run(ctx context.Context, o Options) int {
	s := &session{o: o, inv: o.Invocation, console: &console{out: o.Stderr}, start: time.Now()}
	s.redact = helm.NewRedactor(o.Invocation, o.Env).Redact
	s.run = ci.Detect(o.Getenv)

	// A signal that comes after Helm has ended shortens the telling; it does not
	// cut it off.
	hurry, stopHurry := s.hurryOnSignal(ctx)
	defer stopHurry()

	s.begin(ctx)
	result, err := s.runHelm(s.ctx)
	if err != nil {
		if s.beside == nil {
			s.connect()
		}
		s.console.Print(fmt.Sprintf("fairlead: start %s: %v\n", o.Helm, err))
		result = helm.Result{ExitCode: exitCannotRun, Start: s.start, End: time.Now(), Stderr: err.Error()}
	}
	s.conclude(hurry, result)
	return result.ExitCode
}

// exitCannotRun is what shells return for a program that they found and could
// not start.
const exitCannotRun = 126

// hurryOnSignal returns a context that a signal ends once Helm has ended.
// While Helm runs, signals are [helm.Run]'s.
func (s *session) hurryOnSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				s.mu.Lock()
				ended := s.op.State.Done()
				s.mu.Unlock()
				if ended {
					cancel()
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// begin opens what must be there before Helm starts. Only an automatic rollback
// needs to know what is deployed by then; the rest is looked at while Helm loads.
func (s *session) begin(ctx context.Context) {
	s.outputs = openOutputs(s.o)
	s.emitter = emit.Open(ctx, emit.Options{
		Version: s.o.Version, Timeout: s.o.Config.ExportTimeout, Sinks: s.outputs.sinks(), Resource: clusterResource(s.o.Config.Cluster),
	})
	ctx = s.emitter.FromEnvironment(ctx)
	if s.o.Traceparent != "" {
		ctx = emit.WithTraceparent(ctx, s.o.Traceparent)
	}
	if s.o.Config.GitHubTrace && !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = emit.WithTraceparent(ctx, ci.GitHubTraceparent(s.o.Getenv))
	}
	s.ctx, s.span = s.emitter.Start(ctx, release.SpanName(s.inv.Verb), s.start)

	s.op = begin(s.inv)
	s.op.Start = s.start
	s.op.TraceID, s.op.SpanID = emit.IDsOf(s.ctx)
	s.op.Extra = s.run.Attributes()
	s.tracker = newTracker(s.inv.Release, s.start, s.onRecord)
	if s.rollbackWanted() {
		s.watch()
		s.beside.synced(s.ctx, syncBound)
	}
}

// connect prepares the client that looks at the cluster beside Helm.
func (s *session) connect() {
	s.beside = connect(s.besideOptions())
	s.op.Namespace = s.beside.namespace(s.inv, s.o.Getenv)
	if s.beside.client != nil {
		s.op.Cluster = s.beside.client.ClusterName()
	}
}

// watch begins to look at the cluster and tells that the operation runs. It
// waits for neither.
func (s *session) watch() {
	s.connect()
	s.beside.start(s.ctx, s.op.Namespace, s.besideOptions())
	if s.op.Release != "" {
		s.emitter.Operation(s.ctx, s.op)
	}
}

func clusterResource(name string) []attribute.KeyValue {
	if name == "" {
		return nil
	}
	return []attribute.KeyValue{attribute.String(release.AttrCluster, name)}
}

func (s *session) besideOptions() besideOptions {
	return besideOptions{
		inv: s.inv, cluster: s.o.Config.Cluster, getenv: s.o.Getenv, redact: s.redact,
		tracker: s.tracker, traceparent: emit.Traceparent(s.ctx), run: s.run,
	}
}

// onRecord runs once, when the record that Helm made is first seen: now the
// operation has its identity.
func (s *session) onRecord(r release.Record) {
	s.mu.Lock()
	if s.inv.Verb == helm.VerbUninstall || s.inv.Verb == helm.VerbTest || s.op.State.Done() {
		s.mu.Unlock()
		return
	}
	bindRecord(&s.op, r, r.Status)
	op := s.op
	s.mu.Unlock()
	s.emitter.Operation(s.ctx, op)
	go s.beside.bind(s.ctx, op.ID)
}

// runHelm runs Helm with progress beside it.
func (s *session) runHelm(ctx context.Context) (helm.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	return helm.Run(context.WithoutCancel(ctx), helm.RunOptions{
		Path: s.o.Helm, Args: s.inv.Args,
		Env:   s.emitter.Environment(s.ctx, helm.ChildEnv(s.o.Env)),
		Stdin: s.o.Stdin, Stdout: s.o.Stdout, Stderr: s.console,
		OnStart: func(int) {
			if s.beside == nil {
				s.watch()
			}
			wg.Go(func() { s.progress().run(ctx) })
		},
	})
}

func (s *session) progress() *progress {
	mode := s.o.Config.Progress
	if mode == "" || mode == ProgressAuto {
		mode = ProgressPlain
		if s.o.Terminal {
			mode = ProgressTTY
		}
	}
	return &progress{
		mode: mode, console: s.console, width: s.o.Width, color: s.color(), redact: s.redact, started: s.start,
		waiting: func() []release.Wait {
			if w := s.beside.view(); w != nil {
				return w.Waiting()
			}
			return nil
		},
		changed: func() <-chan struct{} {
			if w := s.beside.view(); w != nil {
				return w.Changed()
			}
			return nil
		},
	}
}

// color reports whether our own lines on stderr may have colours.
func (s *session) color() bool {
	return s.o.Terminal && s.o.Getenv("NO_COLOR") == "" && s.o.Getenv("TERM") != "dumb"
}

// conclude tells how Helm ended: the cause, the spans, the rollback, the
// metrics. hurry ends when somebody asks us to end.
func (s *session) conclude(hurry context.Context, result helm.Result) {
	s.settle(hurry, result)
	known := s.beside.recordsKnown(hurry)
	s.mu.Lock()
	fillFromTracker(&s.op, s.tracker, known)
	s.op.End = result.End
	code := result.ExitCode
	s.op.ExitCode = &code
	s.op.State = release.StateSucceeded
	if code != 0 {
		s.op.State = release.StateFailed
	}
	if result.Cancelled && code != 0 || result.Signal != 0 {
		s.op.State = release.StateCancelled
	}
	s.mu.Unlock()

	var f failure
	if s.op.State != release.StateSucceeded {
		f = s.explainFailure(hurry, result)
	}
	if s.op.ID == "" {
		s.op.ID = release.UnboundID(s.op.TraceID, s.op.SpanID)
	}
	// The record that says how it ended goes out now: a rollback may take
	// minutes, and screens should not show the operation running meanwhile.
	s.emitter.Operation(s.ctx, s.op)
	var agent bool
	if s.op.State == release.StateSucceeded {
		agent = s.beside.finish(hurry)
	} else {
		agent = s.beside.acknowledged(hurry) // a rollback may follow under the Lease
	}
	inner, hasInner := s.helmsOwnRollback()
	s.endSpans(f, inner, hasInner)
	if f.hasSnapshot && !agent {
		_ = s.emitter.Snapshot(s.ctx, s.op, f.snapshot)
	}
	s.count(agent, s.op)
	s.otherReleases()
	if hasInner {
		s.count(agent, inner)
	}

	decision := s.decide(f, known, result)
	s.console.Print(s.outputs.failure(s, f, inner, hasInner, decision))
	if decision.Action != release.RollbackNone {
		after := s.rollBack(hurry, decision)
		s.count(agent, after)
	}
	if !agent {
		s.sendEvents()
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.beside.stop(hurry)
	}()
	s.close(hurry)
	<-stopped
}

// settle waits until the watch has shown how Helm left the release.
func (s *session) settle(ctx context.Context, result helm.Result) {
	bound := settleBound
	if result.ExitCode != 0 {
		if _, ok := s.tracker.own(); !ok {
			bound = settleNothing
		}
	}
	if s.beside.view() == nil && s.tracker.releaseName() != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	s.beside.synced(ctx, bound)
	switch s.inv.Verb {
	case helm.VerbUninstall, helm.VerbTest:
		return
	}
	if !s.beside.recordsKnown(ctx) {
		return
	}
	s.tracker.wait(ctx, func() bool {
		if s.inv.Atomic && result.ExitCode != 0 {
			if r, _, ok := s.tracker.rollback(); ok {
				return !r.Pending()
			}
			_, purged := s.tracker.purged()
			return purged
		}
		r, ok := s.tracker.own()
		return ok && !r.Pending()
	})
}

// endSpans writes the steps, the failure and the end of the operation's span.
func (s *session) endSpans(f failure, inner release.Operation, hasInner bool) {
	if w := s.beside.view(); w != nil {
		until := s.op.End
		if hasInner {
			until = inner.Start
		}
		s.emitter.Steps(s.ctx, w.Steps(s.op.Start, until), s.redact)
	}
	if s.op.State != release.StateSucceeded {
		s.emitter.Failed(s.ctx, s.op, emit.CauseAttributes(f.cause)...)
	}
	if hasInner {
		s.writeInner(inner)
	}
	if missing := s.beside.missing(); len(missing) > 0 {
		s.span.SetAttributes(attribute.String(attrWatchMissing, s.redact(strings.Join(missing, "; "))))
	}
	if why := s.beside.noLease(); why != "" {
		s.span.SetAttributes(attribute.String(attrLeaseMissing, why))
	}
	if uid := s.beside.clusterUID(); uid != "" {
		s.span.SetAttributes(attribute.String("k8s.cluster.uid", uid))
	}
	if s.beside.client != nil {
		s.span.SetAttributes(attribute.Int64(attrKubeRequests, s.beside.client.Requests().Total()))
	}
	emit.EndOperation(s.span, s.op)
}

// otherReleases tells of the further releases of one `helm uninstall`: a span
// and a record each, beside the first one's. Helm goes on to the next release
// only after a success, so with a failure nothing is claimed of them.
func (s *session) otherReleases() {
	if s.inv.Verb != helm.VerbUninstall || len(s.inv.Releases) < 2 || s.op.State != release.StateSucceeded {
		return
	}
	for _, name := range s.inv.Releases[1:] {
		op := begin(s.inv)
		op.Release, op.Namespace, op.Cluster, op.Extra = name, s.op.Namespace, s.op.Cluster, s.op.Extra
		op.Start, op.End, op.State, op.ExitCode = s.op.Start, s.op.End, s.op.State, s.op.ExitCode
		ctx, span := s.emitter.Start(s.ctx, release.SpanName(s.inv.Verb), op.Start)
		op.TraceID, op.SpanID = emit.IDsOf(ctx)
		op.ID = release.UnboundID(op.TraceID, op.SpanID)
		s.emitter.Operation(ctx, op)
		emit.EndOperation(span, op)
	}
}

// count adds a finished operation to the metrics unless an agent counts it.
func (s *session) count(agent bool, op release.Operation) {
	switch s.o.Config.Metrics {
	case Off:
		return
	case On:
	default:
		if agent {
			return
		}
	}
	if op.Release != "" {
		s.emitter.Count(op)
	}
}

// sendEvents sends the release's Kubernetes events since Helm started.
func (s *session) sendEvents() {
	w := s.beside.view()
	if w == nil {
		return
	}
	for _, ev := range w.Events() {
		if ev.Received.IsZero() || !ev.Received.Before(s.start) {
			s.emitter.Event(s.ctx, s.op, ev, s.redact)
		}
	}
}

// close exports what is left and prints what was asked for.
func (s *session) close(hurry context.Context) {
	ctx := context.WithoutCancel(hurry)
	if hurry.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, hurryBound)
		defer cancel()
	}
	err := s.emitter.Close(ctx)
	s.console.Print(s.outputs.finish(s))
	if err != nil {
		s.console.Print("fairlead: warning: " + oneLine(s.redact(err.Error()), 500) + "; what Helm did is not affected\n")
	}
}
