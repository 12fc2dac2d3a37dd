package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// newHandler serves /readyz, /livez, /metrics, and on every other path the
// version and the pod's name. started is when the process began to listen.
func newHandler(c config, started time.Time) http.Handler {
	host, _ := os.Hostname()
	var succeeded, failed atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if c.unready || time.Since(started) < c.readyAfter {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) {
		if c.unhealthy {
			http.Error(w, "not healthy", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE http_requests_total counter\n")
		fmt.Fprintf(w, "http_requests_total{code=\"200\",version=%q} %d\n", c.version, succeeded.Load())
		fmt.Fprintf(w, "http_requests_total{code=\"500\",version=%q} %d\n", c.version, failed.Load())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !wait(r.Context(), c.latency) {
			return
		}
		if rand.Float64()*100 < c.errorPercent {
			failed.Add(1)
			http.Error(w, "error version="+c.version, http.StatusInternalServerError)
			return
		}
		succeeded.Add(1)
		fmt.Fprintf(w, "version=%s host=%s\n", c.version, host)
	})
	return mux
}
