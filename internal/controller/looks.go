package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
)

// lookTimeout bounds one look, history included: beyond it the backend is taken
// to be down.
const lookTimeout = 2 * time.Minute

// maxDelay is how long after an interval's end its samples are asked for at
// most; with shorter intervals it is one interval.
const maxDelay = 5 * time.Second

// question is what the looks of one rollout ask.
type question struct {
	key       types.NamespacedName
	rolloutID string
	config    analysis.Config
	subject   judge.Subject
	source    analysis.Source
	// steps that have begun and have a gate, in their order. Looks are taken
	// while the last one is under way.
	steps []analysis.StepContext
	// folded is how many of the canary's requests an earlier look of this
	// rollout had counted, in the step folded is of: a fold that finds fewer has
	// lost samples.
	folded     int64
	foldedStep int
}

// look is what was found.
type look struct {
	rolloutID string
	step      int // index of the step in the plan
	at        time.Time
	took      time.Duration
	verdict   analysis.Verdict
	err       error // could not ask; verdict is then the last one's, or none
	// requests and errors of the canary in all steps so far.
	requests, errors float64
	parameters       string // name of the ConfigMap
}

// parameters keeps what was frozen for a rollout.
type parameters interface {
	// Load returns what was stored for the rollout; found is false when nothing was.
	Load(ctx context.Context, key types.NamespacedName, rolloutID string) (analysis.Config, analysis.Frozen, bool, error)
	// Store keeps it, and returns the name of what it is kept in.
	Store(ctx context.Context, key types.NamespacedName, rolloutID string, c analysis.Config, f analysis.Frozen) (string, error)
}

// looker takes looks in the background, so that a slow backend keeps no
// reconciliation waiting. A look that is done wakes the reconciler up.
type looker struct {
	parameters parameters
	wake       func(types.NamespacedName)
	now        func() time.Time
	workers    int

	queue workqueue.TypedDelayingInterface[types.NamespacedName]
	mu    sync.Mutex
	open  map[types.NamespacedName]*sitting
}

// sitting is one rollout's fold. mu guards question and newest; the rest belongs
// to the worker that has the key.
type sitting struct {
	mu       sync.Mutex
	question question
	newest   *look

	session    *judge.Session
	sessionOf  string
	parameters string
	begun      int // steps of the question that have begun
	requests   float64
	errors     float64
}

func newLooker(p parameters, workers int, wake func(types.NamespacedName)) *looker {
	return &looker{
		parameters: p, wake: wake, now: time.Now, workers: workers,
		queue: workqueue.NewTypedDelayingQueue[types.NamespacedName](), open: map[types.NamespacedName]*sitting{},
	}
}

// Start takes looks until ctx ends. It runs only in the leader.
func (l *looker) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	for range l.workers {
		wg.Go(func() {
			for {
				key, quit := l.queue.Get()
				if quit {
					return
				}
				if again := l.take(ctx, key); again > 0 {
					l.queue.AddAfter(key, again)
				}
				l.queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	wg.Wait()
	return nil
}

// Want says what to look at, and returns the newest look of this rollout and
// step, nil when there is none yet.
func (l *looker) Want(q question) *look {
	l.mu.Lock()
	s := l.open[q.key]
	if s == nil || s.question.rolloutID != q.rolloutID {
		s = &sitting{}
		l.open[q.key] = s
	}
	l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	begins := len(s.question.steps) != len(q.steps)
	s.question = q
	if begins {
		s.newest = nil
		l.queue.AddAfter(q.key, interval(&q.config)+delay(&q.config))
	}
	return s.newest
}

// Forget ends the looks of a CanaryRelease.
func (l *looker) Forget(key types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, key)
}

func interval(c *analysis.Config) time.Duration {
	return max(time.Second, time.Duration(c.ScrapeInterval))
}

func delay(c *analysis.Config) time.Duration { return min(maxDelay, interval(c)) }

// take takes one look and returns when to take the next; 0 = never.
func (l *looker) take(ctx context.Context, key types.NamespacedName) time.Duration {
	l.mu.Lock()
	s := l.open[key]
	l.mu.Unlock()
	if s == nil {
		return 0
	}
	s.mu.Lock()
	q := s.question
	s.mu.Unlock()
	began := l.now()
	bounded, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	verdict, err := l.fold(bounded, s, q, began)
	if ctx.Err() != nil {
		return 0
	}
	found := &look{
		rolloutID: q.rolloutID, step: q.steps[len(q.steps)-1].Index, at: began, took: l.now().Sub(began), verdict: verdict, err: err,
		requests: s.requests + totals(verdict).Units, errors: s.errors + totals(verdict).Events, parameters: s.parameters,
	}
	s.mu.Lock()
	if len(s.question.steps) == len(q.steps) {
		s.newest = found
	}
	s.mu.Unlock()
	l.wake(key)
	if s.session == nil {
		return 2 * interval(&q.config)
	}
	config := s.session.Config()
	return interval(&config)
}

// totals are the canary's requests and errors in the verdict's step.
func totals(v analysis.Verdict) analysis.Count {
	for _, c := range v.Checks {
		if c.Metric == analysis.MetricErrorRate && c.Route == "" {
			return c.Counts.Canary
		}
	}
	return analysis.Count{}
}

// fold brings the sitting's evidence up to now.
func (l *looker) fold(ctx context.Context, s *sitting, q question, now time.Time) (analysis.Verdict, error) {
	if q.source == nil {
		return analysis.Verdict{}, errors.New("no source of samples: set spec.source.prometheus.url, or start the controller with --prometheus")
	}
	if s.session == nil || s.sessionOf != q.rolloutID {
		if err := l.begin(ctx, s, q); err != nil {
			return analysis.Verdict{}, err
		}
	}
	config := s.session.Config()
	for ; s.begun < len(q.steps); s.begun++ {
		step := q.steps[s.begun]
		if s.begun > 0 {
			if err := s.session.Follow(ctx, step.Start); err != nil {
				return analysis.Verdict{}, err
			}
			last := totals(s.session.Judge().Verdict())
			s.requests, s.errors = s.requests+last.Units, s.errors+last.Events
		}
		if err := s.session.Judge().Begin(step); err != nil {
			return analysis.Verdict{}, err
		}
	}
	if err := s.session.Follow(ctx, now.Add(-delay(&config))); err != nil {
		return analysis.Verdict{}, err
	}
	v := s.session.Judge().Verdict()
	if have := int64(totals(v).Units); q.foldedStep == v.Step.Index && have < q.folded-q.folded/100-1 {
		s.session = nil // perhaps they come back
		return analysis.Verdict{}, fmt.Errorf("the source has only %d of the %d canary requests of this step that were counted before: its retention is too short, or it lost samples", have, q.folded)
	}
	return v, nil
}

// begin opens the session: with the parameters that were frozen when the rollout
// began, or, at its first look, with those that its history gives now.
func (l *looker) begin(ctx context.Context, s *sitting, q question) error {
	start := q.steps[0].Start
	config, frozen, found, err := l.parameters.Load(ctx, q.key, q.rolloutID)
	if err != nil {
		return fmt.Errorf("read the frozen parameters: %w", err)
	}
	var session *judge.Session
	if found {
		session, err = judge.Resume(ctx, q.source, config, q.subject, start, frozen)
	} else {
		session, err = judge.Open(ctx, q.source, q.config, q.subject, start)
	}
	if err != nil {
		return err
	}
	name, err := l.parameters.Store(ctx, q.key, q.rolloutID, session.Config(), session.Frozen())
	if err != nil {
		return fmt.Errorf("keep the frozen parameters: %w", err)
	}
	s.session, s.sessionOf, s.parameters, s.begun, s.requests, s.errors = session, q.rolloutID, name, 0, 0, 0
	return nil
}
