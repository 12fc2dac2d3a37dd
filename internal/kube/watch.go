package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/release"
)

// WatchOptions are the options of [StartWatch].
type WatchOptions struct {
	// Namespaces to watch; empty means all.
	Namespaces []string
	// Release restricts the watch to one release, for which the methods of Watch
	// speak. Zero means every release (the agent); see [Watch.Of].
	Release release.Ref

	// Driver is Helm's storage: "secret" (default; also "secrets" or "") or
	// "configmap". Others ("memory", "sql") have no record in the cluster.
	Driver string
	// Decode reads the data field "release" of a record; nil leaves the bodies
	// of records unread. Ref, Revision, Status, UID and the times of the Secret
	// are filled in by the watch.
	Decode func(data []byte) (release.Record, error)
	// Fetchers is how many bodies of records are read at once; default 1.
	Fetchers int

	// Ready is the rule by which workloads count as ready.
	Ready release.ReadyRule
	// WaitForJobs tells that Helm waits for Jobs too.
	WaitForJobs bool
	// MaxPods caps the steps; default release.MaxPods.
	MaxPods int
	// Redact is applied to every free text of the cluster (messages of events,
	// conditions, terminations) before it is kept; nil means Snapshot.Redact,
	// and without that nothing is changed.
	Redact func(string) string

	// Snapshot, when set, makes the watch gather evidence by itself: the log tail
	// of a container when it fails, and a snapshot the moment that the release's
	// record turns failed; with --atomic Helm removes all of it right after.
	Snapshot *SnapshotOptions

	// Handler, when set, gets every observation that belongs to a release, in
	// the order in which they were received, from one goroutine. Slow handlers
	// delay only themselves, at the cost of memory.
	Handler func(release.Observation)
	// AllEvents gives the handler events that belong to no release too.
	AllEvents bool

	// Now is the clock; default time.Now.
	Now func() time.Time
}

// parkFor is how long an event waits for its object to be seen: the events of a
// new pod come on another stream, within milliseconds of the pod.
const parkFor = 3 * time.Second

// maxParkedEvents bounds the events that wait, the oldest are let go first.
const maxParkedEvents = 5000

// Watch watches a release (or all) beside Helm. It only watches: its number of
// requests does not depend on the number of pods. What it may not watch it does
// without; see [Watch.Missing]. It is safe for concurrent use.
type Watch struct {
	client  *Client
	opts    WatchOptions
	conv    converter
	storage string

	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	synced  chan struct{}
	listed  chan struct{}
	records chan struct{}

	mu       sync.Mutex
	owners   *release.Owners
	tracks   map[release.Ref]*track
	parked   []release.Observation // events whose object has not been seen
	missing  map[string]string
	unsynced int

	fetch    fetchQueue
	handlers handlerQueue
}

// StartWatch begins to watch and returns at once; connecting goes on behind.
// Stop must be called.
func StartWatch(ctx context.Context, c *Client, opts WatchOptions) *Watch {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Redact == nil && opts.Snapshot != nil {
		opts.Redact = opts.Snapshot.Redact
	}
	w := &Watch{
		client: c, opts: opts, conv: converter{redact: opts.Redact}, storage: storageResource(opts.Driver),
		synced: make(chan struct{}), listed: make(chan struct{}), records: make(chan struct{}), owners: release.NewOwners(opts.Release),
		tracks: make(map[release.Ref]*track), missing: make(map[string]string),
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.fetch.init()
	w.handlers.init()
	sources := workloadSources(c, w.conv)
	if w.storage != "" {
		sources = append([]source{recordSource(c, w.storage, opts.Release.Name)}, sources...)
	}
	namespaces := opts.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	w.unsynced = len(sources) * len(namespaces)
	listed := sync.OnceFunc(func() { close(w.listed) })
	unlisted := &atomic.Int64{}
	unlisted.Store(int64(len(namespaces)))
	for _, ns := range namespaces {
		for i, s := range sources {
			r := &reflection{source: s, namespace: ns, emit: w.ingest, report: w.report, listed: listed, synced: w.sourceSynced, now: opts.Now}
			if i == 0 && w.storage != "" {
				r.listed = sync.OnceFunc(func() {
					listed()
					if unlisted.Add(-1) == 0 {
						close(w.records)
					}
				})
			}
			w.wg.Go(func() { r.run(w.ctx) })
		}
	}
	if w.storage != "" && opts.Decode != nil {
		for range max(opts.Fetchers, 1) {
			w.wg.Go(w.fetchRecords)
		}
	}
	w.wg.Go(w.letGoEvents)
	if opts.Handler != nil {
		w.wg.Go(func() { w.handlers.run(opts.Handler) })
	}
	return w
}

// Synced is closed when the state before the operation is known, or will not
// be: what is changed after that is seen as a change.
func (w *Watch) Synced() <-chan struct{} { return w.synced }

// Listed is closed when the API has answered a first list, of whatever it was:
// until then nothing is known of the cluster, even when [Watch.Synced] no longer
// waits for it.
func (w *Watch) Listed() <-chan struct{} { return w.listed }

// RecordsListed is closed when the API has listed Helm's records in every
// namespace that is watched: only then is a record that was not seen not there.
func (w *Watch) RecordsListed() <-chan struct{} { return w.records }

// Stop ends the watch, and a snapshot that is under way, and waits until its
// goroutines are gone. What was seen stays readable.
func (w *Watch) Stop() {
	w.cancel()
	w.fetch.stop()
	w.handlers.stop()
	w.wg.Wait()
}

// Missing names what could not be watched and why, sorted: "pods: forbidden".
func (w *Watch) Missing() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, 0, len(w.missing))
	for name, why := range w.missing {
		out = append(out, name+": "+why)
	}
	slices.Sort(out)
	return out
}

// Changed is [View.Changed] of the watched release.
func (w *Watch) Changed() <-chan struct{} { return w.Of(w.opts.Release).Changed() }

// Waiting is [View.Waiting] of the watched release.
func (w *Watch) Waiting() []release.Wait { return w.Of(w.opts.Release).Waiting() }

// Steps is [View.Steps] of the watched release.
func (w *Watch) Steps(from, to time.Time) []release.Step { return w.Of(w.opts.Release).Steps(from, to) }

// Facts is [View.Facts] of the watched release.
func (w *Watch) Facts() release.Facts { return w.Of(w.opts.Release).Facts() }

// Events is [View.Events] of the watched release.
func (w *Watch) Events() []release.Event { return w.Of(w.opts.Release).Events() }

// Records is [View.Records] of the watched release.
func (w *Watch) Records() []release.Record { return w.Of(w.opts.Release).Records() }

// Logs is [View.Logs] of the watched release.
func (w *Watch) Logs() []release.LogTail { return w.Of(w.opts.Release).Logs() }

// FailureSnapshot is [View.FailureSnapshot] of the watched release.
func (w *Watch) FailureSnapshot(ctx context.Context, revision int) (release.Snapshot, bool) {
	return w.Of(w.opts.Release).FailureSnapshot(ctx, revision)
}

func (w *Watch) report(source, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why == "" {
		delete(w.missing, source)
	} else {
		w.missing[source] = why
	}
}

func (w *Watch) sourceSynced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsynced--; w.unsynced == 0 {
		close(w.synced)
	}
}

// track returns the track of a release, a new one when there is none. The
// caller holds the mutex.
func (w *Watch) track(ref release.Ref) *track {
	t := w.tracks[ref]
	if t == nil {
		t = newTrack(ref, w.opts)
		w.tracks[ref] = t
	}
	return t
}

// ingest takes what a source saw. Sources call it concurrently.
func (w *Watch) ingest(o release.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case o.Record != nil:
		w.ingestRecord(o)
	case o.Event != nil:
		w.ingestEvent(o)
	default:
		w.deliver(w.owners.Observe(o))
		w.unpark(o.Meta().UID)
	}
}

// deliver passes observations on that belong to a release.
func (w *Watch) deliver(list []release.Observation) {
	for _, o := range list {
		t := w.track(o.Release)
		if o.Record != nil && t.failed(o.Record) {
			w.snapshotLater(t, o.Record)
		}
		if !t.observe(o) {
			continue
		}
		if o.Pod != nil && w.opts.Snapshot != nil && !o.Initial {
			w.keepLogs(t, *o.Pod)
		}
		if w.opts.Handler != nil {
			w.handlers.put(o)
		}
	}
}

func (w *Watch) ingestRecord(o release.Observation) {
	r := *o.Record
	if !w.opts.Release.IsZero() && r.Ref != w.opts.Release {
		return
	}
	o.Release = r.Ref
	if !o.Deleted {
		// The body is read behind; until then the metadata must do.
		hasBody := false
		if known := w.track(r.Ref).records[r.Revision]; known != nil && known.UID == r.UID {
			body := *known
			body.Status, body.Manager, body.Modified = r.Status, r.Manager, r.Modified
			r, o.Record = body, &body
			hasBody = !body.LastDeployed.IsZero()
		}
		// Helm supersedes a revision by its status alone: its body stays what it was.
		if !hasBody || r.Status != "superseded" {
			w.fetch.put(r, o.Initial)
		}
	}
	w.deliver([]release.Observation{o})
}

func (w *Watch) ingestEvent(o release.Observation) {
	ref := w.owners.Of(o.Event.Object)
	switch {
	case !ref.IsZero():
		w.deliverEvent(o, ref)
	case w.owners.Knows(o.Event.Object.UID) && w.opts.AllEvents && w.opts.Handler != nil:
		w.handlers.put(o)
	default:
		w.parked = append(w.parked, o)
		if len(w.parked) > maxParkedEvents {
			w.dismiss(w.parked[0])
			w.parked = slices.Delete(w.parked, 0, 1)
		}
	}
}

func (w *Watch) deliverEvent(o release.Observation, ref release.Ref) {
	e := *o.Event
	e.Release, o.Release, o.Event = ref, ref, &e
	w.deliver([]release.Observation{o})
}

// unpark hands on the events that waited for an object.
func (w *Watch) unpark(uid string) {
	if len(w.parked) == 0 {
		return
	}
	w.parked = slices.DeleteFunc(w.parked, func(o release.Observation) bool {
		ref := w.owners.Of(o.Event.Object)
		if ref.IsZero() {
			if o.Event.Object.UID == uid && w.opts.AllEvents {
				w.dismiss(o)
				return true
			}
			return false
		}
		w.deliverEvent(o, ref)
		return true
	})
}

// dismiss lets an event go that belongs to no release.
func (w *Watch) dismiss(o release.Observation) {
	if w.opts.AllEvents && w.opts.Handler != nil {
		w.handlers.put(o)
	}
}

// letGoEvents ends the waiting of events whose object never came.
func (w *Watch) letGoEvents() {
	tick := time.NewTicker(parkFor / 3)
	defer tick.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		late := w.opts.Now().Add(-parkFor)
		w.parked = slices.DeleteFunc(w.parked, func(o release.Observation) bool {
			if o.At.After(late) {
				return false
			}
			w.dismiss(o)
			return true
		})
		w.mu.Unlock()
	}
}

// String describes the watch for logs and tests.
func (w *Watch) String() string {
	what := "all releases"
	if !w.opts.Release.IsZero() {
		what = w.opts.Release.String()
	}
	return fmt.Sprintf("watch of %s in [%s]", what, strings.Join(w.opts.Namespaces, " "))
}
