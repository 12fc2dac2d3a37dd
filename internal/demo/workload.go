package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"fairlead.dev/fairlead/internal/demo/app"
	"fairlead.dev/fairlead/internal/demo/split"
)

// version is a version of the shop, and how its checkout asks for payments.
type version struct{ name, paymentAPI string }

// workload is one track of the shop: processes of a version behind one handler.
// One goroutine changes it, any number sends requests.
type workload struct {
	launcher launcher
	track    string
	payments string
	version  version

	made    int
	running []*replica
	next    atomic.Uint64

	mu      sync.RWMutex
	serving []http.Handler
}

type replica struct {
	*process
	version version
	handler http.Handler
}

// ServeHTTP passes a request to the next process in turn.
func (w *workload) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.RLock()
	serving := w.serving
	w.mu.RUnlock()
	if len(serving) == 0 {
		http.Error(rw, "no process of the "+w.track+" track", http.StatusServiceUnavailable)
		return
	}
	serving[w.next.Add(1)%uint64(len(serving))].ServeHTTP(rw, r)
}

// publish makes the running processes those that get requests.
func (w *workload) publish() {
	var handlers []http.Handler
	for _, r := range w.running {
		handlers = append(handlers, r.handler)
	}
	w.mu.Lock()
	w.serving = handlers
	w.mu.Unlock()
}

func (w *workload) add(ctx context.Context) error {
	w.made++
	name := fmt.Sprintf("shop-%s-%d", w.track, w.made)
	p, err := w.launcher.start(ctx, name, w.version.name, w.track,
		"--role", app.RoleShop, "--payments", w.payments, "--payment-api", w.version.paymentAPI)
	if err != nil {
		return err
	}
	w.running = append(w.running, &replica{process: p, version: w.version, handler: split.Forward(p.url)})
	w.publish()
	return nil
}

// remove takes the first process off the traffic and stops it.
func (w *workload) remove() error {
	p := w.running[0]
	w.running = slices.Clone(w.running[1:])
	w.publish()
	return p.stop()
}

// scale makes it n processes.
func (w *workload) scale(ctx context.Context, n int) error {
	for len(w.running) < n {
		if err := w.add(ctx); err != nil {
			return err
		}
	}
	for len(w.running) > n {
		if err := w.remove(); err != nil {
			return err
		}
	}
	return nil
}

// upgrade replaces process by process, the new one first.
func (w *workload) upgrade(ctx context.Context, to version) error {
	w.version = to
	for range w.running {
		if err := w.add(ctx); err != nil {
			return err
		}
		if err := w.remove(); err != nil {
			return err
		}
	}
	return nil
}

// broken returns why a process is gone that should run, "" when all do.
func (w *workload) broken() string {
	for _, r := range w.running {
		select {
		case <-r.ended:
			return fmt.Sprintf("%s ended: %s", r.name, r.said)
		default:
		}
	}
	return ""
}

// stop ends all its processes, at the same time.
func (w *workload) stop() error {
	running := w.running
	w.running = nil
	w.publish()
	errs := make([]error, len(running))
	var wg sync.WaitGroup
	for i, r := range running {
		wg.Go(func() { errs[i] = r.stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
