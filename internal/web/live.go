package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// coalesce bounds how often a page is told of news: more often than once a
	// second nobody reads it.
	coalesce = time.Second
	// heartbeat keeps proxies from ending a stream on which nothing happens; at
	// it, pages with values of now are drawn again.
	heartbeat = 15 * time.Second
)

// live streams an event when something of the page's topics has changed. The
// page then fetches itself and puts what is new in place.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		http.Error(w, fmt.Sprintf("%d browsers follow already", maxStreams), http.StatusServiceUnavailable)
		return
	}
	topics := map[string]bool{}
	for _, t := range strings.Split(r.URL.Query().Get("topics"), " ") {
		topics[t] = true
	}
	operationsNews, stop := s.o.Index.News.Watch()
	defer stop()
	rolloutNews, stop := s.o.Rollouts.News.Watch()
	defer stop()
	if !topics["operations"] {
		operationsNews = nil
	}
	if !topics["rollouts"] {
		rolloutNews = nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	flush := http.NewResponseController(w)
	send := func(text string) bool {
		_, err := fmt.Fprint(w, text)
		return err == nil && flush.Flush() == nil
	}
	if !send("retry: 3000\n: following\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		event := "change"
		select {
		case <-r.Context().Done():
			return
		case <-operationsNews:
		case <-rolloutNews:
		case <-beat.C:
			event = "beat"
			if topics["tick"] {
				event = "change"
			}
		}
		if !send("event: " + event + "\ndata: " + s.o.Now().UTC().Format(time.RFC3339) + "\n\n") {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(coalesce):
		}
	}
}
