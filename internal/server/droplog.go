package server

import (
	"log/slog"
	"sync"
	"time"
)

// shutdownForward is how long a batch under way may take at the end; the queue
// keeps what is left.
const shutdownForward = 5 * time.Second

// dropLogInterval keeps an upstream that is down from filling the log.
const dropLogInterval = time.Minute

// rareLog logs at most once per interval.
type rareLog struct {
	mu   sync.Mutex
	last time.Time
}

func (r *rareLog) warn(l *slog.Logger, msg string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.last) >= dropLogInterval {
		r.last = now
		l.Warn(msg, args...)
	}
}
