package kube

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"fairlead.dev/fairlead/internal/release"
)

// Pauses before a source is tried again: short after a broken connection, long
// where permission is missing, which somebody must grant first.
const (
	retryFirst     = 250 * time.Millisecond
	retryMost      = 15 * time.Second
	retryForbidden = 5 * time.Minute
)

// reflection keeps one source of one namespace mirrored until its context ends.
type reflection struct {
	source    source
	namespace string
	emit      func(release.Observation)
	// report tells why the source is missing; "" that it is there.
	report func(source, why string)
	// listed, when set, is called after each first whole state that came.
	listed func()
	// synced is called once: the initial state is known, or will not be soon.
	synced func()
	now    func() time.Time
	// store takes the objects instead of a [sink], when set. first is to be
	// called after the first whole state.
	store func(first func()) cache.ReflectorStore
}

// run blocks until ctx ends.
func (r *reflection) run(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.Discard())
	synced := sync.OnceFunc(r.synced)
	defer synced()
	first := func() {
		r.report(r.source.name, "")
		if r.listed != nil {
			r.listed()
		}
		synced()
	}
	var store cache.ReflectorStore
	if r.store != nil {
		store = r.store(first)
	} else {
		store = newSink(r, first)
	}
	pause := retryFirst
	for ctx.Err() == nil {
		started := r.now()
		err := r.reflector(store).ListAndWatchWithContext(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := time.Duration(0)
		switch {
		case err == nil:
			// The server ended an idle watch: normal after some minutes.
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err):
			if r.source.instead != nil && apierrors.IsForbidden(err) {
				other := *r
				other.source = *r.source.instead
				other.synced = synced
				other.run(ctx)
				return
			}
			r.report(r.source.name, reason(err))
			synced()
			wait = retryForbidden
		default:
			r.report(r.source.name, reason(err))
			synced()
			wait = pause
		}
		if r.now().Sub(started) > retryMost {
			pause = retryFirst
		} else {
			pause = min(2*pause, retryMost)
			wait = max(wait, retryFirst)
		}
		sleep(ctx, wait)
	}
}

func (r *reflection) reflector(s cache.ReflectorStore) *cache.Reflector {
	logger := logr.Discard()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = r.source.selector
			return r.source.list(ctx, r.namespace, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = r.source.selector
			return r.source.watch(ctx, r.namespace, o)
		},
	}
	return cache.NewReflectorWithOptions(lw, r.source.sample, s, cache.ReflectorOptions{
		Name: r.source.name, Logger: &logger,
	})
}

// sink is the store of a reflector: it turns each change into an observation
// and keeps the last one of each object, to know what is gone after a re-list.
type sink struct {
	r      *reflection
	first  func() // called after the first whole state
	before bool   // a whole state has been seen
	last   map[string]kept
}

// kept is what is needed of an object's last state: of fifty thousand records
// each word counts.
type kept struct {
	version string
	subject any // the pointer that its observation holds; nil for events
}

func keep(version string, o release.Observation) kept {
	switch {
	case o.Record != nil:
		return kept{version, o.Record}
	case o.Workload != nil:
		return kept{version, o.Workload}
	case o.Pod != nil:
		return kept{version, o.Pod}
	case o.Claim != nil:
		return kept{version, o.Claim}
	}
	return kept{version: version} // nobody needs to know that an event expired
}

// gone is the observation that the object was not there any more at that moment.
func (k kept) gone(at time.Time) release.Observation {
	o := release.Observation{At: at, Deleted: true}
	switch s := k.subject.(type) {
	case *release.Record:
		o.Record = s
	case *release.Workload:
		o.Workload = s
	case *release.Pod:
		o.Pod = s
	case *release.Claim:
		o.Claim = s
	}
	return o
}

func newSink(r *reflection, first func()) *sink {
	return &sink{r: r, first: first, last: make(map[string]kept)}
}

// Transformer implements [cache.TransformingStore].
func (s *sink) Transformer() cache.TransformFunc { return strip }

// Add implements [cache.ReflectorStore].
func (s *sink) Add(obj any) error { return s.put(obj, false) }

// Update implements [cache.ReflectorStore].
func (s *sink) Update(obj any) error { return s.put(obj, false) }

// Resync implements [cache.ReflectorStore].
func (s *sink) Resync() error { return nil }

// Delete implements [cache.ReflectorStore].
func (s *sink) Delete(obj any) error {
	o, id, _ := s.read(obj)
	if id == "" {
		return nil
	}
	delete(s.last, id)
	o.Deleted = true
	s.emit(o)
	return nil
}

// Replace implements [cache.ReflectorStore].
func (s *sink) Replace(list []any, _ string) error {
	gone := maps.Clone(s.last)
	// A whole state that came through a watch is in no order, and what was missed
	// meanwhile is told in the order in which it is seen.
	slices.SortStableFunc(list, byAge)
	for _, obj := range list {
		if m, ok := obj.(metav1.Object); ok {
			delete(gone, string(m.GetUID()))
		}
		if err := s.put(obj, !s.before); err != nil {
			return err
		}
	}
	now := s.r.now()
	for id, k := range gone {
		delete(s.last, id)
		s.emit(k.gone(now))
	}
	s.before = true
	s.first()
	return nil
}

// byAge compares objects by their creation, and records of one second by their
// revision.
func byAge(a, b any) int {
	x, ok := a.(metav1.Object)
	y, both := b.(metav1.Object)
	if !ok || !both {
		return 0
	}
	revision := func(m metav1.Object) int {
		n, _ := strconv.Atoi(m.GetLabels()["version"]) // 0 for what is no record
		return n
	}
	return cmp.Or(x.GetCreationTimestamp().Compare(y.GetCreationTimestamp().Time), cmp.Compare(revision(x), revision(y)))
}

func (s *sink) put(obj any, initial bool) error {
	obj, err := strip(obj)
	if err != nil {
		return err
	}
	o, id, version := s.read(obj)
	if id == "" || s.last[id].version == version {
		return nil
	}
	o.Initial = initial
	if o.Record != nil {
		id = o.Record.UID
	}
	s.last[id] = keep(strings.Clone(version), o)
	s.emit(o)
	return nil
}

func (s *sink) read(obj any) (o release.Observation, uid, version string) {
	object, ok := obj.(runtime.Object)
	if !ok {
		return o, "", ""
	}
	m, ok := obj.(metav1.Object)
	if !ok {
		return o, "", ""
	}
	return s.r.source.convert(object, s.r.now()), string(m.GetUID()), m.GetResourceVersion()
}

func (s *sink) emit(o release.Observation) {
	if o.Meta() != nil || o.Record != nil || o.Event != nil && !o.Deleted {
		s.r.emit(o)
	}
}

// reason says in few words why a source cannot be watched.
func reason(err error) string {
	var status apierrors.APIStatus
	var transport *url.Error
	switch {
	case apierrors.IsForbidden(err):
		return "forbidden"
	case apierrors.IsUnauthorized(err):
		return "unauthorized"
	case apierrors.IsNotFound(err):
		return "not served by this cluster"
	case errors.As(err, &transport):
		return "unreachable: " + transport.Err.Error()
	case errors.As(err, &status) && status.Status().Reason != "":
		return string(status.Status().Reason)
	}
	return err.Error()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
