// Package alerting puts alerts together: it evaluates the rules of package
// alert over the records of the server, keeps the states, and tells receivers
// from a queue that outlives a restart.
//
// [New] an [Engine], let [Engine.Run] work, and read [Engine.Overview].
package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/alerts"
	"fairlead.dev/fairlead/internal/store/audit"
)

// Operations is the record of Helm operations, as far as it is needed.
type Operations interface {
	// Outline returns operations without their details.
	Outline(ctx context.Context, since time.Time) ([]release.Operation, error)
	// Operation returns one whole.
	Operation(ctx context.Context, id string) (release.Operation, error)
}

// Options are what an [Engine] works with. Operations, Store and Audit are needed.
type Options struct {
	Operations Operations
	// Rollouts returns the rollouts that have not ended; none when nil.
	Rollouts   func(ctx context.Context) ([]rollout.Record, error)
	Store      *alerts.Store
	Audit      *audit.Store
	Thresholds alert.Thresholds
	Interval   time.Duration // between rounds where nothing arrives
	Receivers  []Receiver
	URL        string // base of the pages, for links in messages; none when empty
	Runbooks   string // URL of the page with an anchor for each rule; none when empty
	Logger     *slog.Logger
	Now        func() time.Time // time.Now when nil
}

// Receiver is who is told, and how often.
type Receiver struct {
	*notify.Receiver
	Repeat time.Duration
}

// Engine evaluates and tells. It is safe for concurrent use.
type Engine struct {
	o     Options
	stats *stats

	changed chan struct{} // holds a token while records are new
	wake    map[string]chan struct{}

	round sync.Mutex // one round at a time
	last  atomic.Pointer[roundResult]
}

type roundResult struct {
	at      time.Time // of the last round that succeeded
	took    time.Duration
	problem string // of the last round, "" when it succeeded
}

// New returns an engine that has not begun.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.URL, o.Runbooks = strings.TrimSuffix(o.URL, "/"), strings.TrimSuffix(o.Runbooks, "/")
	e := &Engine{o: o, changed: make(chan struct{}, 1), wake: map[string]chan struct{}{}, stats: newStats(o)}
	for _, r := range o.Receivers {
		e.wake[r.Name()] = make(chan struct{}, 1)
	}
	e.last.Store(&roundResult{})
	return e
}

// resolvedKept is how long an alert that is over is shown.
const resolvedKept = 24 * time.Hour

// Changed says that records are new, so that the next round comes soon.
func (e *Engine) Changed() { poke(e.changed) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run evaluates and delivers until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	if err := e.forgetOldReceivers(ctx); err != nil {
		e.o.Logger.Error("forget receivers that are no longer configured", "error", err)
	}
	var wg sync.WaitGroup
	for _, r := range e.o.Receivers {
		wg.Go(func() { e.deliver(ctx, r) })
	}
	defer wg.Wait()
	tick := time.NewTicker(e.o.Interval)
	defer tick.Stop()
	for {
		began := time.Now()
		if err := e.Round(ctx); err != nil && ctx.Err() == nil {
			e.o.Logger.Error("evaluate alerts", "error", err)
		}
		// At most a round a second, and a twentieth of one processor.
		pause := time.NewTimer(max(time.Second, 20*time.Since(began)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-e.changed:
		case <-tick.C:
		}
	}
}

func (e *Engine) forgetOldReceivers(ctx context.Context) error {
	names := make([]string, 0, len(e.o.Receivers))
	for _, r := range e.o.Receivers {
		names = append(names, r.Name())
	}
	return e.o.Store.Forget(ctx, names)
}

// Round evaluates once, keeps the result and queues what is to be told.
func (e *Engine) Round(ctx context.Context) error {
	e.round.Lock()
	defer e.round.Unlock()
	began, now := time.Now(), e.o.Now()
	err := e.evaluate(ctx, now)
	took := time.Since(began)
	e.stats.evaluated(took, err)
	if err != nil {
		e.last.Store(&roundResult{at: e.last.Load().at, took: took, problem: err.Error()})
		return err
	}
	e.last.Store(&roundResult{at: now, took: took})
	return nil
}

func (e *Engine) evaluate(ctx context.Context, now time.Time) error {
	t := e.o.Thresholds
	in := alert.Input{Now: now}
	var err error
	if in.Operations, err = e.o.Operations.Outline(ctx, now.Add(-max(t.RollbackWindow, t.SlowBaseline))); err != nil {
		return fmt.Errorf("read operations: %w", err)
	}
	if e.o.Rollouts != nil {
		if in.Rollouts, err = e.o.Rollouts(ctx); err != nil {
			return fmt.Errorf("read rollouts: %w", err)
		}
	}
	before, err := e.o.Store.Alerts(ctx)
	if err != nil {
		return fmt.Errorf("read alerts: %w", err)
	}
	holds := alert.Evaluate(t, in)
	e.addCauses(ctx, before, holds)
	after, changed := alert.Advance(t, before, holds, now, resolvedKept)
	silences, err := e.o.Store.Silences(ctx)
	if err != nil {
		return fmt.Errorf("read silences: %w", err)
	}
	told, err := e.o.Store.TellRecords(ctx)
	if err != nil {
		return fmt.Errorf("read deliveries: %w", err)
	}
	tell, err := e.plan(after, silences, told, now)
	if err != nil {
		return err
	}
	if err := e.o.Store.Save(ctx, after, tell, now); err != nil {
		return fmt.Errorf("save alerts: %w", err)
	}
	for _, a := range changed {
		e.o.Logger.Info("alert "+string(a.State), "rule", a.Rule, "labels", a.Labels, "summary", a.Summary)
	}
	e.stats.states(after)
	for _, one := range tell {
		poke(e.wake[one.Receiver])
	}
	return nil
}

// addCauses fills in why operations failed; what cannot be read is left out.
func (e *Engine) addCauses(ctx context.Context, before, holds []alert.Alert) {
	known := map[string]alert.Alert{}
	for _, a := range before {
		known[a.Key()] = a
	}
	for i := range holds {
		a := &holds[i]
		if was := known[a.Key()]; a.OperationID == "" || was.OperationID == a.OperationID && was.Cause != "" {
			continue // Advance keeps it
		}
		if op, err := e.o.Operations.Operation(ctx, a.OperationID); err == nil {
			a.Cause = op.Cause
		}
	}
}

// plan returns what is to be told to whom: alerts that fire and were not told
// or are due again, and the end of those that were told.
func (e *Engine) plan(all []alert.Alert, silences []alert.Silence, told []alerts.Told, now time.Time) ([]alerts.Tell, error) {
	type pair struct{ receiver, key string }
	last := map[pair]alerts.Told{}
	for _, t := range told {
		last[pair{t.Receiver, t.Key}] = t
	}
	var out []alerts.Tell
	for _, a := range all {
		key := a.Key()
		silenced := covered(silences, a, now)
		for _, r := range e.o.Receivers {
			was, ok := last[pair{r.Name(), key}]
			episode := ok && was.FiringSince.Equal(a.FiringSince)
			wanted := false
			switch a.State {
			case alert.StateFiring:
				wanted = !silenced && (!episode || now.Sub(was.At) >= r.Repeat)
			case alert.StateResolved: // also under a silence: who heard the beginning waits for the end
				wanted = episode && was.Status == string(notify.StatusFiring)
			}
			if !wanted {
				continue
			}
			m := e.Message(a)
			if a.State == alert.StateFiring && r.Kind() == notify.KindAlertmanager {
				m.EndsAt = now.Add(4 * r.Repeat) // it ends by itself when this server does
			}
			text, err := json.Marshal(m)
			if err != nil {
				return nil, err
			}
			out = append(out, alerts.Tell{Receiver: r.Name(), Key: key, FiringSince: a.FiringSince, Status: string(m.Status), Message: text,
				Replaces: r.Kind() == notify.KindAlertmanager})
		}
	}
	return out, nil
}

func covered(silences []alert.Silence, a alert.Alert, now time.Time) bool {
	for _, s := range silences {
		if s.Covers(a, now) {
			return true
		}
	}
	return false
}
