package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// ending is how a rollout ended.
type ending struct {
	decision analysis.Decision // Continue: held for a human
	minutes  float64
	harm     float64 // excess bad requests that the canary served
	blamed   []string
	step     int
	message  string // of a rollback
}

// decider is a rule to be measured.
type decider struct {
	name string
	cfg  analysis.Config
	run  func(g *traffic) (ending, error) // in place of the judge with cfg
}

func deciders() []decider {
	with := func(rule analysis.Rule, change func(*analysis.Config)) analysis.Config {
		c := analysis.Default()
		c.Rule = rule
		c.Business = []analysis.Business{{Name: "conversion", Good: "orders", Of: "sessions", MaxDrop: 0.05}}
		if change != nil {
			change(&c)
		}
		return c
	}
	return []decider{
		{name: "sequential", cfg: with(analysis.RuleSequential, nil)},
		{name: "reference", run: refRollout},
		{name: "threshold", cfg: with(analysis.RuleThreshold, nil)},
		{name: "flagger", cfg: with(analysis.RuleFlagger, nil)},
		{name: "kayenta", cfg: with(analysis.RuleKayenta, nil)},
	}
}

// rollout runs one decider over one rollout of the traffic.
func (d *decider) rollout(g *traffic) (ending, error) {
	if d.run != nil {
		return d.run(g)
	}
	f, err := g.freeze(d.cfg)
	if err != nil {
		return ending{}, err
	}
	j, err := analysis.New(d.cfg, f, analysis.Options{})
	if err != nil {
		return ending{}, err
	}
	end := ending{decision: analysis.Continue}
	step, began := 0, 0
	for t := range maxScrapes {
		if t == began {
			if err := j.Begin(g.context(step, t)); err != nil {
				return end, err
			}
		}
		x := g.interval(t, step, began)
		if err := j.Add(&x.iv); err != nil {
			return end, err
		}
		end.harm += x.harm
		end.minutes = float64(t+1) * scrape / 60
		decision, reason, blamed := j.Outcome()
		switch {
		case decision == analysis.Rollback:
			end.decision, end.blamed = decision, blamed
			end.step, end.message = step, j.Verdict().Message
			return end, nil
		case reason == analysis.ReasonInconclusive:
			return end, nil
		case decision == analysis.Promote:
			if step++; step == len(plan) {
				end.decision = decision
				return end, nil
			}
			began = t + 1
		}
	}
	return end, nil
}

func (g *traffic) context(step, t int) analysis.StepContext {
	c := analysis.StepContext{
		Index: step, Weight: plan[step].weight, CanaryPods: g.canaryPods(step),
		Start: epoch.Add(time.Duration(t) * scrape * time.Second),
		Gate:  analysis.Duration(time.Duration(plan[step].gate) * time.Minute),
	}
	if step+1 < len(plan) {
		c.NextWeight = plan[step+1].weight
		c.NextGate = analysis.Duration(time.Duration(plan[step+1].gate) * time.Minute)
	}
	return c
}

// tallied are a decider's endings in one cell.
type tallied struct {
	n, rolled, promoted, held int
	minutes                   []float64 // of rollbacks
	healthy                   []float64 // of promotions
	harm                      float64
	blamed                    map[string]int
	endings                   []ending
}

func (c *tallied) add(e ending) {
	c.n++
	c.endings = append(c.endings, e)
	c.harm += e.harm
	switch e.decision {
	case analysis.Rollback:
		c.rolled++
		c.minutes = append(c.minutes, e.minutes)
		if len(e.blamed) > 0 {
			c.blamed[e.blamed[0]]++
		}
	case analysis.Promote:
		c.promoted++
		c.healthy = append(c.healthy, e.minutes)
	default:
		c.held++
	}
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	slices.Sort(x)
	return x[len(x)/2]
}

// cell runs all deciders on the same draws. Wrong rollbacks are told to tell,
// unless it is nil.
func cell(sc scenario, ds []decider, trials int, seed uint64, tell func(decider string, trial int, e ending)) ([]tallied, error) {
	g := newTraffic(&sc)
	out := make([]tallied, len(ds))
	for i := range out {
		out[i].blamed = map[string]int{}
	}
	for trial := range trials {
		g.start(seed + uint64(trial)*7919)
		for i := range ds {
			e, err := ds[i].rollout(g)
			if err != nil {
				return nil, fmt.Errorf("%s at %g requests/s, trial %d, %s: %w", sc.name, sc.rps, trial, ds[i].name, err)
			}
			out[i].add(e)
			if tell != nil && sc.eff.none() && e.decision == analysis.Rollback {
				tell(ds[i].name, trial, e)
			}
		}
	}
	return out, nil
}
