package demo

import (
	"context"
	"encoding/json"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/rollout"
)

// ingestDelay is how long after an interval's end its samples are asked for:
// they are exported every exportInterval, and must arrive.
const ingestDelay = 1500 * time.Millisecond

// analysisConfig is the default analysis at the demo's pace.
func analysisConfig() analysis.Config {
	c := analysis.Default()
	c.ScrapeInterval = analysis.Duration(time.Second)
	c.Window = analysis.Duration(30 * time.Second)
	c.History = analysis.Duration(time.Minute)
	return c
}

// gate judges the canary of one rollout.
type gate struct {
	source  analysis.Source
	subject judge.Subject
	plan    rollout.Plan

	session *judge.Session
	step    int
	looked  time.Time
	verdict analysis.Verdict
	problem error
}

// look folds what has come since the last look into the state's step.
func (g *gate) look(ctx context.Context, s rollout.State, now time.Time) {
	if now.Sub(g.looked) < time.Second && s.Step == g.step {
		return
	}
	g.looked = now
	if g.problem = g.fold(ctx, s, now); g.session != nil {
		g.verdict = g.session.Judge().Verdict()
	}
}

func (g *gate) fold(ctx context.Context, s rollout.State, now time.Time) error {
	if g.session == nil {
		session, err := judge.Open(ctx, g.source, analysisConfig(), g.subject, s.GateStarted)
		if err != nil {
			return err
		}
		g.session, g.step = session, -1
	}
	if s.Step != g.step {
		if err := g.session.Judge().Begin(g.context(s)); err != nil {
			return err
		}
		g.step = s.Step
	}
	for interval, err := range g.session.Intervals(ctx, now.Add(-ingestDelay)) {
		if err != nil {
			return err
		}
		if err := g.session.Judge().Add(interval); err != nil {
			return err
		}
		if decision, _, _ := g.session.Judge().Outcome(); decision == analysis.Rollback {
			return nil
		}
	}
	return nil
}

func (g *gate) context(s rollout.State) analysis.StepContext {
	step := g.plan.Steps[s.Step]
	c := analysis.StepContext{Index: s.Step, Weight: float64(step.Weight) / 100, Start: s.GateStarted, Gate: analysis.Duration(step.Gate)}
	if s.Step+1 < len(g.plan.Steps) {
		next := g.plan.Steps[s.Step+1]
		c.NextWeight, c.NextGate = float64(next.Weight)/100, analysis.Duration(next.Gate)
	}
	return c
}

// tell writes the last look into an observation.
func (g *gate) tell(o *rollout.Observation) {
	if g.problem != nil {
		o.Error = g.problem.Error()
		return
	}
	o.Verdict, o.VerdictReason, o.VerdictMessage = rollout.Decision(g.verdict.Decision), string(g.verdict.Reason), g.verdict.Message
}

// describe writes the last look into a record.
func (g *gate) describe(r *rollout.Record) {
	if g.problem != nil {
		r.AnalysisError = g.problem.Error()
	}
	if g.session == nil || g.verdict.Decision == "" {
		return
	}
	r.Decision, r.DecisionReason = rollout.Decision(g.verdict.Decision), string(g.verdict.Reason)
	if e := g.verdict.Evidence; e != nil {
		r.TrafficShare = &e.TrafficShare
	}
	if text, err := json.Marshal(g.verdict); err == nil {
		r.Verdict = text
	}
}
