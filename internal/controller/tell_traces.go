package controller

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/tracing"
)

// explained is what the canary's failed traces say about a rollback.
type explained struct {
	rolloutID   string
	explanation *tracing.Explanation // nil while it is asked for, and when nothing was found
	asked       chan struct{}        // closed when no more comes
}

// explainWithin is for how long a message to people waits for the failed traces.
const explainWithin = 30 * time.Second

// explain asks in the background what the canary's failed traces share.
func (t *teller) explain(cr *v1alpha1.CanaryRelease, before rollout.State) {
	from := before.Started
	if p := cr.Status.Progress; p != nil && len(p.Gates) > 0 {
		from = p.Gates[0].Time
	}
	cr = cr.DeepCopy()
	key := client.ObjectKeyFromObject(cr)
	e := &explained{rolloutID: cr.Status.RolloutID, asked: make(chan struct{})}
	t.mu.Lock()
	t.found[key] = e
	t.mu.Unlock()
	t.later(func(ctx context.Context) {
		defer close(e.asked)
		source, err := t.sources.traces(ctx, cr)
		metrics, noMetrics := t.sources.samples(ctx, cr)
		if err == nil && source == nil && metrics == nil {
			return
		}
		config, noConfig := canary.Analysis(&cr.Spec)
		if noMetrics != nil || noConfig != nil {
			metrics = nil // the looks say so
		}
		subject := canary.Subject(&cr.Spec)
		subject.CanaryVersion = cr.Status.CanaryVersion
		var found *tracing.Explanation
		if err == nil {
			found, err = judge.Explain(ctx, judge.Telemetry{Traces: source, Metrics: metrics, Config: config}, subject, from, time.Now(), explain.Filter{})
		}
		if err != nil {
			log.FromContext(ctx).Info("the canary's failed traces cannot be read", "canaryRelease", key, "error", err.Error())
			return
		}
		if found == nil {
			return
		}
		t.mu.Lock()
		e.explanation = found
		t.mu.Unlock()
		t.wake(key)
	})
}

// failedTraces adds to a verdict what the canary's failed traces say.
func (t *teller) failedTraces(cr *v1alpha1.CanaryRelease) {
	found := t.explanation(cr)
	if found == nil || cr.Status.Verdict == nil {
		return
	}
	cr.Status.Verdict.Explanation, cr.Status.Verdict.SampleTraces = cut(found.Summary), nil
	for _, sample := range found.Traces {
		if len(cr.Status.Verdict.SampleTraces) < v1alpha1.MaxSampleTraces {
			cr.Status.Verdict.SampleTraces = append(cr.Status.Verdict.SampleTraces, sample.TraceID)
		}
	}
}

// explanation is what was found for this rollout so far; nil for nothing.
func (t *teller) explanation(cr *v1alpha1.CanaryRelease) *tracing.Explanation {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.found[client.ObjectKeyFromObject(cr)]; e != nil && e.rolloutID == cr.Status.RolloutID {
		return e.explanation
	}
	return nil
}

// awaitExplanation waits until the failed traces of this rollout were asked for.
func (t *teller) awaitExplanation(ctx context.Context, cr *v1alpha1.CanaryRelease) {
	t.mu.Lock()
	e := t.found[client.ObjectKeyFromObject(cr)]
	t.mu.Unlock()
	if e == nil || e.rolloutID != cr.Status.RolloutID {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	select {
	case <-e.asked:
	case <-ctx.Done():
	}
}
