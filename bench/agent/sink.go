package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"fairlead.dev/fairlead/internal/release"
)

// sink is an OTLP endpoint that counts.
type sink struct {
	*httptest.Server
	mu     sync.Mutex
	told   map[string]bool // releases with an operation
	events map[string]int  // how often each came, by UID
}

func newSink() *sink {
	s := &sink{told: map[string]bool{}, events: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.receive))
	return s
}

func (s *sink) receive(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/logs" {
		_, _ = io.Copy(io.Discard, r.Body)
		return
	}
	body := io.Reader(r.Body)
	if z, err := gzip.NewReader(r.Body); err == nil {
		body = z
	}
	data, err := io.ReadAll(body)
	req := plogotlp.NewExportRequest()
	if err == nil {
		err = req.UnmarshalProto(data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() == release.EventName {
					ns, _ := rec.Attributes().Get(release.AttrNamespace)
					name, _ := rec.Attributes().Get(release.AttrRelease)
					s.told[ns.AsString()+"/"+name.AsString()] = true
				} else if uid, ok := rec.Attributes().Get("k8s.event.uid"); ok {
					if name, _ := rec.Attributes().Get("k8s.event.name"); strings.HasPrefix(name.AsString(), "bench.") {
						s.events[uid.AsString()]++
					}
				}
			}
		}
	}
}

func (s *sink) waitOperations(want int, bound time.Duration) int {
	return s.wait(want, bound, func() int { return len(s.told) })
}

func (s *sink) waitEvents(want int, bound time.Duration) int {
	return s.wait(want, bound, func() int { return len(s.events) })
}

// doubled is how many events came more than once.
func (s *sink) doubled() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.events {
		if times > 1 {
			n++
		}
	}
	return n
}

func (s *sink) wait(want int, bound time.Duration, have func() int) (n int) {
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s.mu.Lock()
		n = have()
		s.mu.Unlock()
		if n >= want {
			return n
		}
	}
	return n
}
