package alerting

import (
	"context"
	"encoding/json"
	"time"

	"fairlead.dev/fairlead/internal/notify"
)

const (
	// maxBackoff bounds the wait between attempts.
	maxBackoff = 5 * time.Minute
	// giveUp is when a message is too old to be of use: who is reached after a
	// day reads the page of alerts.
	giveUp = 24 * time.Hour
	// lookAgain is how often the queue is looked at without being woken; it
	// covers an error of the store.
	lookAgain = 30 * time.Second
)

// deliver works the queue of one receiver until ctx ends.
func (e *Engine) deliver(ctx context.Context, r Receiver) {
	for {
		wait, err := e.deliverNext(ctx, r)
		if err != nil && ctx.Err() == nil {
			e.o.Logger.Error("deliver alerts", "receiver", r.Name(), "error", err)
			wait = lookAgain
		}
		if wait == 0 && ctx.Err() == nil {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-e.wake[r.Name()]:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// deliverNext makes one attempt, if one is due, and returns how long to wait
// for the next.
func (e *Engine) deliverNext(ctx context.Context, r Receiver) (time.Duration, error) {
	item, ok, err := e.o.Store.Next(ctx, r.Name())
	if err != nil || !ok {
		return lookAgain, err
	}
	if wait := item.Due.Sub(e.o.Now()); wait > 0 {
		return min(wait, maxBackoff), nil
	}
	var m notify.Message
	if err := json.Unmarshal(item.Message, &m); err != nil {
		return 0, e.o.Store.Told(ctx, item, "the message cannot be read", e.o.Now())
	}
	err = r.Send(ctx, m)
	now := e.o.Now()
	switch {
	case ctx.Err() != nil && err != nil:
		return 0, nil // stopping; the message stays
	case err == nil:
		e.stats.delivery(r.Name(), outcomeDelivered)
		return 0, e.o.Store.Told(ctx, item, "", now)
	case notify.Retryable(err) && now.Sub(item.Queued) < giveUp:
		e.stats.delivery(r.Name(), outcomeRetried)
		wait := notify.Backoff(item.Attempts+1, maxBackoff, err)
		if item.Attempts == 0 {
			e.o.Logger.Warn("alert not delivered, will be tried again", "receiver", r.Name(), "error", err)
		}
		return wait, e.o.Store.Postpone(ctx, item, err.Error(), now.Add(wait), now)
	default:
		e.stats.delivery(r.Name(), outcomeFailed)
		e.o.Logger.Error("alert not delivered", "receiver", r.Name(), "attempts", item.Attempts+1, "error", err)
		return 0, e.o.Store.Told(ctx, item, err.Error(), now)
	}
}

// TestResult is how telling one receiver a test alert went.
type TestResult struct {
	Receiver  string  `json:"receiver"`
	Kind      string  `json:"kind"`
	Delivered bool    `json:"delivered"`
	Error     string  `json:"error,omitempty"`
	Seconds   float64 `json:"seconds"`
}
