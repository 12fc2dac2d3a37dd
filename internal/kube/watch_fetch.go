package kube

import (
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fairlead.dev/fairlead/internal/release"
)

// fetchQueue holds the records whose bodies are to be read: of each Secret one
// entry, and of the initial ones only the newest revision of each release.
type fetchQueue struct {
	mu      sync.Mutex
	wake    *sync.Cond
	order   []string
	waiting map[string]release.Record
	initial map[release.Ref]string
	stopped bool
}

func (q *fetchQueue) init() {
	q.wake = sync.NewCond(&q.mu)
	q.waiting = make(map[string]release.Record)
	q.initial = make(map[release.Ref]string)
}

func (q *fetchQueue) put(r release.Record, initial bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if initial {
		if uid, ok := q.initial[r.Ref]; ok {
			other, waits := q.waiting[uid]
			if !waits || other.Revision > r.Revision {
				return
			}
			delete(q.waiting, uid) // its place in the order is skipped
		}
		q.initial[r.Ref] = r.UID
	}
	if _, ok := q.waiting[r.UID]; !ok {
		q.order = append(q.order, r.UID)
	}
	q.waiting[r.UID] = r
	q.wake.Signal()
}

// take waits for a record to read; ok is false when the queue has stopped.
func (q *fetchQueue) take() (r release.Record, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.order) > 0 && !q.stopped {
			uid := q.order[0]
			q.order = q.order[1:]
			if r, ok = q.waiting[uid]; ok {
				delete(q.waiting, uid)
				return r, true
			}
		}
		if q.stopped {
			return r, false
		}
		q.wake.Wait()
	}
}

func (q *fetchQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.wake.Broadcast()
}

// putBack takes a record that could not be read now, unless a later state of it
// waits already.
func (q *fetchQueue) putBack(r release.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.waiting[r.UID]; !ok {
		q.order = append(q.order, r.UID)
		q.waiting[r.UID] = r
	}
}

// fetchRecords reads the bodies of changed records, one after the other. An API
// that does not answer, or has no time for us, is asked again.
func (w *Watch) fetchRecords() {
	pause := retryFirst
	for {
		known, ok := w.fetch.take()
		if !ok {
			return
		}
		at := w.opts.Now()
		full, err := fetchRecord(w.ctx, w.client, w.storage, w.opts.Decode, known)
		name, reading := w.storage+"/"+recordName(known.Ref, known.Revision), "reading "+w.storage
		switch {
		case w.ctx.Err() != nil:
			return
		case apierrors.IsNotFound(err):
			continue // removed meanwhile
		case errors.Is(err, errUndecodable):
			w.report(name, reason(err))
			full.Unreadable = true
		case apierrors.IsForbidden(err):
			w.report("get "+w.storage, reason(err))
			full.Unreadable = true
		case err != nil:
			w.report(reading, reason(err))
			w.fetch.putBack(known)
			sleep(w.ctx, pause)
			pause = min(2*pause, retryMost)
			continue
		default:
			w.report(reading, "")
			w.report(name, "")
		}
		pause = retryFirst
		full.Description = w.conv.text(full.Description)
		w.mu.Lock()
		w.ingestBody(full, release.Observation{At: at, Release: full.Ref, Record: &full})
		w.mu.Unlock()
	}
}

// ingestBody takes a record with its body: what it names belongs to it.
func (w *Watch) ingestBody(full release.Record, o release.Observation) {
	now := w.track(full.Ref).records[full.Revision]
	if now == nil || now.UID != full.UID {
		return // gone, or made anew, meanwhile
	}
	// The watch may have told a later state than the body had.
	full.Status, full.Manager, full.Modified = now.Status, now.Manager, now.Modified
	o.Record = &full
	w.deliver([]release.Observation{o})
	for _, h := range full.Hooks {
		w.deliver(w.owners.Name(h.ObjectRef, full.Ref))
	}
	for _, obj := range full.Objects {
		w.deliver(w.owners.Name(obj, full.Ref))
	}
	w.unpark("")
}

// handlerQueue passes observations to the handler in order, off the watches' path.
type handlerQueue struct {
	mu      sync.Mutex
	wake    *sync.Cond
	list    []release.Observation
	stopped bool
}

func (q *handlerQueue) init() { q.wake = sync.NewCond(&q.mu) }

func (q *handlerQueue) put(o release.Observation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, o)
	q.wake.Signal()
}

func (q *handlerQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.wake.Broadcast()
}

// run hands out until the queue has stopped and is empty.
func (q *handlerQueue) run(handle func(release.Observation)) {
	for {
		q.mu.Lock()
		for len(q.list) == 0 && !q.stopped {
			q.wake.Wait()
		}
		list := q.list
		q.list = nil
		q.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, o := range list {
			handle(o)
		}
	}
}
