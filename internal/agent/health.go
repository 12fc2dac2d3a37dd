package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// serveHealth answers /healthz while the process runs and /readyz once the
// state of the cluster is known (or another process leads): not before the API has
// answered a first list.
func serveHealth(ctx context.Context, o Options, ready *atomic.Bool) (stop func(), err error) {
	if o.Health == "" {
		return func() {}, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Health)
	if err != nil {
		return nil, fmt.Errorf("--health %s: %w", o.Health, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not caught up yet: the Kubernetes API has not answered, or its answers are still read", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // its only end is Close
	}()
	return func() {
		_ = srv.Close()
		<-done
	}, nil
}
