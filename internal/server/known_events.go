package server

import (
	"hash/maphash"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/release"
)

const (
	// maxKnownEvents bounds the Kubernetes events of one of two generations that
	// are remembered: 4 MB in all, and at 200 events a second the last 8 minutes.
	maxKnownEvents = 100_000
	// knownEventsAge is how old a generation gets; Kubernetes itself keeps events
	// for an hour.
	knownEventsAge = time.Hour
)

// knownEvents remembers which Kubernetes events have come in, by UID and count:
// agent, wrapper and Collector may all send the same one, and each of them again
// after a restart. It is safe for concurrent use.
type knownEvents struct {
	seed maphash.Seed
	now  func() time.Time

	mu     sync.Mutex
	young  map[uint64]bool // whether it came with its release
	old    map[uint64]bool
	turned time.Time
}

func newKnownEvents() *knownEvents {
	return &knownEvents{seed: maphash.MakeSeed(), now: time.Now, young: map[uint64]bool{}}
}

// keepNew removes the records of events that are known already. One that names
// its release replaces nothing, but is kept beside one that did not. forget takes
// back what was learned, for a request that could not be kept and comes again.
func (k *knownEvents) keepNew(ld plog.Logs) (forget func()) {
	type change struct {
		key             uint64
		had, hadRelease bool
	}
	var learned []change
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn()
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		removed := false
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			sl.LogRecords().RemoveIf(func(rec plog.LogRecord) bool {
				key, ok := k.key(rec)
				if !ok {
					return false
				}
				_, joined := rec.Attributes().Get(release.AttrRelease)
				withRelease, known := k.young[key]
				if !known {
					withRelease, known = k.old[key]
				}
				if known && (withRelease || !joined) {
					removed = true
					return true
				}
				learned = append(learned, change{key, known, withRelease})
				k.young[key] = joined
				return false
			})
			return removed && sl.LogRecords().Len() == 0
		})
		return removed && rl.ScopeLogs().Len() == 0
	})
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, c := range learned {
			if c.had {
				k.young[c.key] = c.hadRelease
			} else {
				delete(k.young, c.key)
				delete(k.old, c.key)
			}
		}
	}
}

// turn begins a new generation when the young one is full or old.
func (k *knownEvents) turn() {
	if now := k.now(); len(k.young) >= maxKnownEvents || now.Sub(k.turned) >= knownEventsAge {
		k.old, k.young, k.turned = k.young, map[uint64]bool{}, now
	}
}

// key identifies an event and how often it had happened; ok is false for other
// records.
func (k *knownEvents) key(rec plog.LogRecord) (key uint64, ok bool) {
	uid, has := rec.Attributes().Get("k8s.event.uid")
	if !has || uid.AsString() == "" {
		return 0, false
	}
	count := int64(1) // the Collector leaves 0 out, which is one
	if n, has := rec.Attributes().Get("k8s.event.count"); has {
		count = max(n.Int(), 1)
	}
	return maphash.String(k.seed, uid.AsString()+"/"+strconv.FormatInt(count, 10)), true
}
