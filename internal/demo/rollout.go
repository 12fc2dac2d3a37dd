package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"fairlead.dev/fairlead/internal/demo/split"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/tracing"
)

// maxExplanation leaves room for the verdict in a record.
const maxExplanation = 64 << 10

// tick is how often a waiting rollout looks again.
const tick = 200 * time.Millisecond

// driver rolls one version out: it looks, lets rollout.Decide decide, and does
// it. What the controller does with a route and Deployments it does with the
// proxy and processes.
type driver struct {
	stable, canary *workload
	proxy          *split.Proxy
	emitter        *emit.Emitter
	story          *story
	plan           rollout.Plan
	gate           *gate
	id             string
	stableVersion  string

	state       rollout.State
	explanation *tracing.Explanation
	example     string // a failed trace in words
	recorded    time.Time
	ended       time.Time
}

// run returns at the rollout's end; the state says which end.
func (d *driver) run(ctx context.Context, before rollout.State) (rollout.State, error) {
	d.state = before
	first := true
	for {
		if err := ctx.Err(); err != nil {
			return d.state, err
		}
		if d.state.Phase.Ended() && !first {
			return d.state, nil
		}
		first = false
		now := time.Now()
		if d.state.Phase == rollout.PhaseProgressing && !d.state.GateStarted.IsZero() {
			d.gate.look(ctx, d.state, now)
		}
		action := rollout.Decide(d.plan, d.state, d.observe(now))
		was := d.state
		d.state = action.State
		d.notice(ctx, was, action, now)
		if err := d.do(ctx, action); err != nil {
			return d.state, fmt.Errorf("%s: %w", action.Kind, err)
		}
		if action.Kind != rollout.ActWait {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(tick):
		}
	}
}

func (d *driver) observe(now time.Time) rollout.Observation {
	look := func(w *workload) rollout.Workload {
		n := int32(len(w.running))
		return rollout.Workload{Exists: true, Desired: n, Ready: n, Updated: true, Broken: w.broken()}
	}
	o := rollout.Observation{
		Now: now, Template: d.canary.version.name, Canary: look(d.canary), Stable: look(d.stable),
		StablePromoted: d.stable.version == d.canary.version,
		RouteOK:        true, Weight: d.proxy.Weight(), InWindow: true,
		Webhooks: map[rollout.Stage]rollout.Answer{
			rollout.StageBeforeStep: rollout.AnswerPass, rollout.StageGate: rollout.AnswerPass,
			rollout.StagePromotion: rollout.AnswerPass, rollout.StageAfterRollback: rollout.AnswerPass,
		},
	}
	if d.gate.session != nil && d.gate.step == d.state.Step || d.gate.problem != nil {
		d.gate.tell(&o)
	}
	return o
}

func (d *driver) do(ctx context.Context, a rollout.Action) error {
	switch a.Kind {
	case rollout.ActSetWeight:
		return d.proxy.SetWeight(a.Weight)
	case rollout.ActScaleCanary:
		return d.canary.scale(ctx, int(a.Replicas))
	case rollout.ActPromote:
		return d.stable.upgrade(ctx, d.canary.version)
	}
	return nil
}

// notice tells of an action: in words, as a record, and as spans of what ended.
func (d *driver) notice(ctx context.Context, was rollout.State, a rollout.Action, now time.Time) {
	is := a.State
	if !was.GateStarted.IsZero() && was.Phase == rollout.PhaseProgressing && (is.Step != was.Step || is.Phase != was.Phase) {
		d.endStep(ctx, was, a, now)
	}
	d.story.action(d, was, a)
	if is.Phase.Ended() && is.Phase != was.Phase {
		d.ended = now
		d.endRollout(ctx)
	}
	if a.Kind != rollout.ActWait || now.Sub(d.recorded) >= time.Second {
		d.recorded = now
		d.record(ctx, a, now)
	}
}

func (d *driver) record(ctx context.Context, a rollout.Action, now time.Time) {
	s := a.State
	if s.Phase == rollout.PhaseIdle {
		return
	}
	weight := d.proxy.Weight()
	r := rollout.Record{
		ID: d.id, At: now, Namespace: namespace, Name: "shop", Service: d.gate.subject.Service, Driver: "demo",
		CanaryVersion: d.canary.version.name, StableVersion: d.stableVersion,
		Phase: s.Phase, Reason: a.Reason, Message: a.Message, Step: s.Step, Weight: weight, WeightObserved: &weight,
		Started: s.Started, PhaseStarted: s.PhaseStarted, GateStarted: s.GateStarted, Deadline: s.Started.Add(d.plan.Deadline), Ended: d.ended,
	}
	for _, step := range d.plan.Steps {
		one := rollout.RecordStep{Weight: step.Weight}
		if step.Gate > 0 {
			one.Gate = step.Gate.String()
		}
		r.Steps = append(r.Steps, one)
	}
	switch {
	case a.Kind == rollout.ActSetWeight:
		r.Weight = a.Weight
	case s.Phase == rollout.PhaseProgressing:
		r.Weight = d.plan.Steps[s.Step].Weight
	}
	d.gate.describe(&r)
	if d.explanation != nil {
		if text, err := json.Marshal(d.explanation.Bounded(maxExplanation)); err == nil {
			r.Explanation = text
		}
	}
	if err := d.emitter.Rollout(ctx, r); err != nil {
		d.story.warn(err)
	}
}

// endStep writes the step's span and, below it, that of its last analysis.
func (d *driver) endStep(ctx context.Context, s rollout.State, a rollout.Action, now time.Time) {
	about := fmt.Sprintf("step/%d", s.Step)
	part := emit.RolloutPart{ID: d.id, Name: emit.RolloutStepSpan, About: about, Start: s.GateStarted, End: now, Attributes: []attribute.KeyValue{
		attribute.Int("rollout.step", s.Step), attribute.Int("rollout.weight", d.plan.Steps[s.Step].Weight),
	}}
	if a.State.Phase == rollout.PhaseRollingBack {
		part.Failed = a.Message
	}
	d.emitter.RolloutSpan(ctx, part)
	if d.gate.session != nil && d.gate.verdict.Decision != "" {
		judge.Record(emit.InRollout(ctx, d.id, about), d.emitter.Tracer(), d.gate.subject, judge.Report{Verdict: d.gate.verdict}, s.GateStarted, now)
	}
}

func (d *driver) endRollout(ctx context.Context) {
	part := emit.RolloutPart{ID: d.id, Name: emit.RolloutSpan, About: emit.RolloutRoot, Start: d.state.Started, End: d.ended, Attributes: []attribute.KeyValue{
		attribute.String("canary.service", d.gate.subject.Service), attribute.String("canary.version", d.canary.version.name),
		attribute.String("canary.stable_version", d.stableVersion), attribute.String("rollout.phase", string(d.state.Phase)),
		attribute.String("rollout.reason", string(d.state.Reason)),
	}}
	if d.state.Phase != rollout.PhaseSucceeded {
		part.Failed = d.state.Message
	}
	d.emitter.RolloutSpan(ctx, part)
}
