package rollout

import (
	"math/rand/v2"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func plan() Plan { return Plan{}.WithDefaults() }

// atGate is a rollout at the gate of a step, ten seconds old, with all well.
func atGate(step int) (State, Observation) {
	w := plan().Steps[step].Weight
	s := State{Template: "v2", Attempt: 1, Phase: PhaseProgressing, Step: step, Started: t0, GateStarted: t0, PhaseStarted: t0, StableReplicas: 10}
	o := Observation{Now: t0.Add(10 * time.Second), Template: "v2", Canary: Workload{Exists: true, Desired: 10, Ready: 10, Updated: true},
		Stable: Workload{Exists: true, Desired: 10, Ready: 10, Updated: true}, RouteOK: true, Weight: w, InWindow: true,
		Webhooks: map[Stage]Answer{StageBeforeStep: AnswerPass, StageGate: AnswerPass, StagePromotion: AnswerPass, StageAfterRollback: AnswerPass}}
	return s, o
}

// dark are the default steps behind one without traffic.
func dark() []Step { return append([]Step{{Weight: 0, Gate: 10 * time.Minute}}, DefaultSteps()...) }

func TestDecide(t *testing.T) {
	type change func(*Plan, *State, *Observation)
	cases := []struct {
		reason string
		change change
		kind   Kind
		want   Reason
		weight int
		phase  Phase
	}{
		{"a gate waits for its time", func(*Plan, *State, *Observation) {}, ActWait, ReasonGate, 0, PhaseProgressing},
		{"promote before the gate's time waits too", func(_ *Plan, _ *State, o *Observation) { o.Verdict = DecisionPromote }, ActWait, ReasonGate, 0, PhaseProgressing},
		{"promote after it goes on", func(_ *Plan, _ *State, o *Observation) {
			o.Verdict, o.Now = DecisionPromote, t0.Add(10*time.Minute)
		}, ActNext, ReasonSizing, 0, PhaseProgressing},
		{"no verdict is never success", func(_ *Plan, _ *State, o *Observation) { o.Now = t0.Add(time.Hour) }, ActWait, ReasonGate, 0, PhaseProgressing},
		{"continue after the gate's time waits", func(_ *Plan, _ *State, o *Observation) {
			o.Verdict, o.Now = DecisionContinue, t0.Add(time.Hour)
		}, ActWait, ReasonGate, 0, PhaseProgressing},
		{"rollback acts at once, weight first", func(_ *Plan, _ *State, o *Observation) { o.Verdict = DecisionRollback }, ActSetWeight, ReasonAnalysis, 0, PhaseRollingBack},
		{"a verdict that could not be asked is none", func(_ *Plan, _ *State, o *Observation) {
			o.Verdict, o.Error, o.Now = DecisionRollback, "503", t0.Add(time.Hour)
		}, ActWait, ReasonAnalysisError, 0, PhaseProgressing},
		{"a crash loop needs no statistics", func(_ *Plan, _ *State, o *Observation) { o.Canary.Broken = "CrashLoopBackOff" }, ActSetWeight, ReasonCanaryBroken, 0, PhaseRollingBack},
		{"a canary that is gone", func(_ *Plan, _ *State, o *Observation) { o.Canary = Workload{} }, ActSetWeight, ReasonCanaryBroken, 0, PhaseRollingBack},
		{"a person aborts", func(_ *Plan, _ *State, o *Observation) { o.Abort = true }, ActSetWeight, ReasonAborted, 0, PhaseRollingBack},
		{"paused still rolls back", func(_ *Plan, _ *State, o *Observation) { o.Paused, o.Verdict = true, DecisionRollback }, ActSetWeight, ReasonAnalysis, 0, PhaseRollingBack},
		{"paused goes no further", func(_ *Plan, _ *State, o *Observation) {
			o.Paused, o.Verdict, o.Now = true, DecisionPromote, t0.Add(time.Hour)
		}, ActWait, ReasonPaused, 0, PhaseProgressing},
		{"the deadline rolls back", func(_ *Plan, _ *State, o *Observation) { o.Now = t0.Add(2 * time.Hour) }, ActSetWeight, ReasonInconclusive, 0, PhaseRollingBack},
		{"or holds, by policy", func(p *Plan, _ *State, o *Observation) {
			p.OnInconclusive, o.Now = PolicyHold, t0.Add(2*time.Hour)
		}, ActWait, ReasonHold, 0, PhaseProgressing},
		{"a new version starts over from 0", func(_ *Plan, _ *State, o *Observation) { o.Template = "v3" }, ActSetWeight, ReasonSuperseded, 0, PhaseRollingBack},
		{"a changed route is set back", func(_ *Plan, _ *State, o *Observation) { o.Weight = 80 }, ActSetWeight, ReasonShifting, 5, PhaseProgressing},
		{"but not for ever", func(_ *Plan, s *State, o *Observation) { o.Weight, s.Reasserts = 80, MaxReasserts }, ActWait, ReasonRouteContested, 0, PhaseProgressing},
		{"a contested route is no reason to serve a bad canary", func(_ *Plan, s *State, o *Observation) {
			o.Weight, s.Reasserts, s.Contested, o.Verdict = 80, MaxReasserts, true, DecisionRollback
		}, ActSetWeight, ReasonAnalysis, 0, PhaseRollingBack},
		{"a route that is gone", func(_ *Plan, _ *State, o *Observation) { o.RouteOK, o.RouteProblem = false, "HTTPRoute shop is gone" }, ActWait, ReasonRouteUnavailable, 0, PhaseProgressing},
		{"a weight that the data plane has yet to take does not keep a bad canary", func(_ *Plan, _ *State, o *Observation) {
			o.RouteOK, o.RouteWritable, o.RouteProblem, o.Verdict = false, true, "seen generation 3 of 4", DecisionRollback
		}, ActSetWeight, ReasonAnalysis, 0, PhaseRollingBack},
		{"its pods stay until the data plane has taken the weight 0", func(_ *Plan, s *State, o *Observation) {
			s.Phase, s.PhaseStarted = PhaseRollingBack, o.Now.Add(-5*time.Second)
			o.RouteOK, o.RouteWritable, o.RouteProblem, o.Weight = false, true, "seen generation 4 of 5", 0
		}, ActWait, ReasonRouteUnavailable, 0, PhaseRollingBack},
		{"but not for ever", func(_ *Plan, s *State, o *Observation) {
			s.Phase, s.PhaseStarted = PhaseRollingBack, o.Now.Add(-settle)
			o.RouteOK, o.RouteWritable, o.Weight = false, true, 0
		}, ActScaleCanary, "", 0, PhaseRollingBack},
		{"approval", func(p *Plan, _ *State, o *Observation) {
			p.Steps = DefaultSteps()
			p.Steps[0].Approval = true
			o.Verdict, o.Now = DecisionPromote, t0.Add(time.Hour)
		}, ActWait, ReasonApproval, 0, PhaseProgressing},
		{"approved", func(p *Plan, _ *State, o *Observation) {
			p.Steps = DefaultSteps()
			p.Steps[0].Approval = true
			o.Verdict, o.Now, o.Approve = DecisionPromote, t0.Add(time.Hour), true
		}, ActNext, ReasonSizing, 0, PhaseProgressing},
		{"a webhook at the gate says no", func(_ *Plan, _ *State, o *Observation) { o.Webhooks[StageGate] = AnswerFail }, ActSetWeight, ReasonWebhook, 0, PhaseRollingBack},
		{"capacity before weight", func(_ *Plan, s *State, o *Observation) {
			s.Step, s.GateStarted, o.Weight, o.Canary.Ready, o.Canary.Desired = 2, time.Time{}, 25, 3, 3
		}, ActScaleCanary, ReasonSizing, 0, PhaseProgressing},
		{"and it must be ready", func(_ *Plan, s *State, o *Observation) {
			s.Step, s.GateStarted, o.Weight, o.Canary.Ready, o.Canary.Desired = 2, time.Time{}, 25, 4, 5
		}, ActWait, ReasonSizing, 0, PhaseProgressing},
		{"a canary without a ready pod is given a moment", func(_ *Plan, _ *State, o *Observation) { o.Canary.Ready = 0 }, ActWait, ReasonGate, 0, PhaseProgressing},
		{"and no more: its traffic goes nowhere", func(_ *Plan, s *State, o *Observation) {
			o.Canary.Ready, s.LostSince = 0, o.Now.Add(-lostAfter)
		}, ActSetWeight, ReasonCanaryBroken, 0, PhaseRollingBack},
		{"but it is not to blame when stable is gone too", func(_ *Plan, s *State, o *Observation) {
			o.Canary.Ready, o.Stable.Ready, s.LostSince = 0, 0, o.Now.Add(-lostAfter)
		}, ActWait, ReasonGate, 0, PhaseProgressing},
		{"stable was scaled in a gate: the canary follows", func(_ *Plan, _ *State, o *Observation) {
			o.Stable.Desired, o.Canary.Desired, o.Canary.Ready = 40, 1, 1
		}, ActScaleCanary, ReasonSizing, 0, PhaseProgressing},
		{"the canary was scaled down in a gate: it gets its pods again", func(_ *Plan, s *State, o *Observation) {
			o.Stable.Desired, o.Canary.Desired, o.Canary.Ready, s.Sized, s.Resizes = 40, 1, 1, 2, MaxResizes-1
		}, ActScaleCanary, ReasonSizing, 0, PhaseProgressing},
		{"but an autoscaler is not fought for ever", func(_ *Plan, s *State, o *Observation) {
			o.Stable.Desired, o.Canary.Desired, o.Canary.Ready, s.Sized, s.Resizes = 40, 1, 1, 2, MaxResizes
		}, ActWait, ReasonGate, 0, PhaseProgressing},
		{"nor given traffic that it has no pods for", func(_ *Plan, s *State, o *Observation) {
			s.Step, s.GateStarted, o.Weight, o.Canary.Desired, o.Canary.Ready, s.Sized, s.Resizes = 2, time.Time{}, 25, 1, 1, 3, MaxResizes
		}, ActWait, ReasonSizing, 0, PhaseProgressing},
		{"a dark canary gets its pods first", func(p *Plan, s *State, o *Observation) {
			p.Steps = dark()
			s.GateStarted, o.Weight, o.Canary.Desired, o.Canary.Ready = time.Time{}, 0, 0, 0
		}, ActScaleCanary, ReasonSizing, 0, PhaseProgressing},
		{"and then its gate begins", func(p *Plan, s *State, o *Observation) {
			p.Steps = dark()
			s.GateStarted, o.Weight, o.InWindow = time.Time{}, 0, false
		}, ActNext, ReasonGate, 0, PhaseProgressing},
		{"which is a time, and needs no verdict", func(p *Plan, _ *State, o *Observation) {
			p.Steps = dark()
			o.Weight, o.Error, o.Now = 0, "503", t0.Add(10*time.Minute)
		}, ActNext, ReasonSizing, 0, PhaseProgressing},
		{"a dark canary with traffic is a changed route", func(p *Plan, _ *State, o *Observation) {
			p.Steps = dark()
			o.Weight = 5
		}, ActSetWeight, ReasonShifting, 0, PhaseProgressing},
		{"outside the window weight does not rise", func(_ *Plan, s *State, o *Observation) {
			s.Step, s.GateStarted, o.Weight, o.InWindow = 1, time.Time{}, 5, false
		}, ActWait, ReasonWindow, 0, PhaseProgressing},
		{"the resource goes: stable gets everything", func(_ *Plan, _ *State, o *Observation) { o.Deleting = true }, ActSetWeight, ReasonDeleted, 0, PhaseProgressing},
		{"and then it may go", func(_ *Plan, _ *State, o *Observation) { o.Deleting, o.Weight = true, 0 }, ActRelease, ReasonDeleted, 0, PhaseProgressing},
		{"a stable that fails to promote leaves the canary serving", func(_ *Plan, s *State, o *Observation) {
			s.Phase, o.Weight, o.StablePromoted, o.Stable.Broken = PhasePromoting, 100, true, "ImagePullBackOff"
		}, ActNext, ReasonStableNotReady, 0, PhasePromotionFailed},
		{"traffic returns only to a stable with all its pods", func(_ *Plan, s *State, o *Observation) {
			s.Phase, o.Weight, o.StablePromoted, o.Stable.Ready = PhaseReturning, 100, true, 7
		}, ActWait, ReasonPromoting, 0, PhaseReturning},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			p := plan()
			s, o := atGate(0)
			c.change(&p, &s, &o)
			a := Decide(p, s, o)
			if a.Kind != c.kind || a.Reason != c.want || a.Weight != c.weight || a.State.Phase != c.phase {
				t.Errorf("got %s %s weight %d in phase %q (%s), want %s %s weight %d in phase %q",
					a.Kind, a.Reason, a.Weight, a.State.Phase, a.Message, c.kind, c.want, c.weight, c.phase)
			}
		})
	}
}

// world is a cluster in small: actions take effect, sometimes late or not at all.
type world struct {
	rng      *rand.Rand
	now      time.Time
	state    State
	plan     Plan
	o        Observation
	promoted string // stable's template
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 99)), now: t0, plan: plan(), promoted: "v1"}
	_, w.o = atGate(0)
	w.o.Weight, w.o.Canary.Desired, w.o.Canary.Ready = 0, 0, 0
	w.o.Webhooks = map[Stage]Answer{}
	for _, s := range []Stage{StageBeforeStep, StageGate, StagePromotion, StageAfterRollback} {
		w.o.Webhooks[s] = AnswerNone
	}
	return w
}

// step decides once. lost tells that the process died after persisting and
// before acting; stale that the state written was lost as well.
func (w *world) step(t *testing.T, lost, stale bool) Action {
	t.Helper()
	w.o.Now = w.now
	w.o.StablePromoted = w.promoted == w.o.Template
	a := Decide(w.plan, w.state, w.o)
	w.check(t, a)
	if stale {
		return a
	}
	if w.state.Step != a.State.Step || w.state.Attempt != a.State.Attempt {
		w.o.Webhooks[StageBeforeStep], w.o.Webhooks[StageGate] = AnswerNone, AnswerNone
	}
	w.state = a.State
	if lost {
		return a
	}
	switch a.Kind {
	case ActSetWeight:
		w.o.Weight = a.Weight
	case ActScaleCanary:
		w.o.Canary.Desired = a.Replicas
	case ActPromote:
		w.promoted = w.o.Template
	case ActWebhook:
		w.o.Webhooks[a.Stage] = AnswerPass
	}
	return a
}

// check holds the properties that must hold whatever happens.
func (w *world) check(t *testing.T, a Action) {
	t.Helper()
	if a.Reason == "" || a.Message == "" {
		t.Fatalf("an action without a reason: %+v", a)
	}
	if a.Kind == ActWait && !a.State.Phase.Ended() && a.State.Phase == PhaseRollingBack && w.o.RouteOK {
		t.Fatalf("a rollback waits though the route can be written: %+v", a)
	}
	if a.Kind == ActSetWeight && a.Weight != 0 {
		if a.State.Phase != PhaseProgressing && a.State.Phase != PhasePromoting {
			t.Fatalf("weight %d set in phase %s", a.Weight, a.State.Phase)
		}
		want := 100
		if a.State.Phase == PhaseProgressing {
			want = w.plan.Steps[a.State.Step].Weight
		}
		if a.Weight != want {
			t.Fatalf("weight %d set, the step's is %d", a.Weight, want)
		}
		if need := Capacity(max(w.o.Stable.Desired, a.State.StableReplicas), a.Weight); a.Weight > w.o.Weight && w.o.Canary.Ready < need {
			t.Fatalf("weight raised to %d with %d of %d pods", a.Weight, w.o.Canary.Ready, need)
		}
	}
	if w.state.Phase == PhaseRollingBack && a.State.Phase != PhaseRollingBack && a.State.Phase != PhaseIdle && a.State.Phase != PhaseRolledBack {
		t.Fatalf("a rollback turned into %s", a.State.Phase)
	}
	if w.state.Phase == PhaseRollingBack && a.State.Phase != PhaseRollingBack && w.o.Weight != 0 && !w.o.Deleting {
		t.Fatalf("a rollback ended at weight %d", w.o.Weight)
	}
}

// settle lets the pods do what was asked of them.
func (w *world) settle() { w.o.Canary.Ready = w.o.Canary.Desired }

func TestAGoodCanaryIsPromoted(t *testing.T) {
	w := newWorld(1)
	w.o.Verdict = DecisionPromote
	var weights []int
	for range 500 {
		before := w.o.Weight
		w.step(t, false, false)
		if w.o.Weight != before {
			weights = append(weights, w.o.Weight)
		}
		w.settle()
		w.now = w.now.Add(20 * time.Second)
		if w.state.Phase == PhaseSucceeded {
			break
		}
	}
	if w.state.Phase != PhaseSucceeded || w.o.Weight != 0 || w.o.Canary.Desired != 0 || w.promoted != "v2" {
		t.Fatalf("ended in %s (%s), weight %d, canary %d, stable %s", w.state.Phase, w.state.Message, w.o.Weight, w.o.Canary.Desired, w.promoted)
	}
	want := []int{5, 25, 50, 100, 0}
	if len(weights) != len(want) {
		t.Fatalf("weights %v, want %v", weights, want)
	}
	for i := range want {
		if weights[i] != want[i] {
			t.Fatalf("weights %v, want %v", weights, want)
		}
	}
}

// TestWhateverHappens runs rollouts through crashes, lost writes, changed
// routes, jumping clocks, outages and people, then lets the world be kind and
// expects each to end.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(400) {
		w := newWorld(seed)
		for range 300 {
			w.disturb()
			w.step(t, w.rng.IntN(8) == 0, w.rng.IntN(12) == 0)
			if w.rng.IntN(3) > 0 {
				w.settle()
			}
			w.now = w.now.Add(time.Duration(w.rng.IntN(60)-5) * time.Second) // clocks go back, too
		}
		w.calm()
		for range 2000 {
			w.step(t, false, false)
			w.settle()
			w.now = w.now.Add(30 * time.Second)
		}
		if !w.state.Phase.Ended() {
			t.Fatalf("seed %d: still in %s step %d after the world was kind: %+v", seed, w.state.Phase, w.state.Step, w.state)
		}
		if w.state.Phase == PhaseRolledBack && w.o.Weight != 0 && !w.state.Contested {
			t.Fatalf("seed %d: rolled back with weight %d", seed, w.o.Weight)
		}
	}
}

func (w *world) disturb() {
	switch w.rng.IntN(24) {
	case 0:
		w.o.Weight = w.rng.IntN(101) // somebody edits the route
	case 1:
		w.o.RouteOK, w.o.RouteProblem = !w.o.RouteOK, "gone"
		w.o.RouteWritable = w.o.RouteOK || w.rng.IntN(2) == 0 // or not accepted yet
	case 2:
		w.o.Canary.Ready = 0 // a node goes
	case 3:
		w.o.Error = []string{"", "503"}[w.rng.IntN(2)]
	case 4:
		w.o.Verdict = []Decision{DecisionNone, DecisionPromote, DecisionContinue, DecisionPromote}[w.rng.IntN(4)]
	case 5:
		if w.rng.IntN(6) == 0 {
			w.o.Verdict = DecisionRollback
		}
	case 6:
		w.o.Paused = !w.o.Paused
	case 7:
		w.o.InWindow = !w.o.InWindow
	case 8:
		w.o.Stable.Desired = int32(1 + w.rng.IntN(20)) // an autoscaler
		w.o.Stable.Ready = w.o.Stable.Desired
	case 9:
		if w.rng.IntN(6) == 0 {
			w.o.Template = []string{"v3", "v4", "v5"}[w.rng.IntN(3)]
		}
	case 11:
		w.o.Canary.Desired = int32(w.rng.IntN(int(w.o.Canary.Desired) + 1)) // another autoscaler
	case 12:
		w.o.Stable.Ready = 0 // the other node
	case 10:
		if w.rng.IntN(8) == 0 {
			w.o.Abort = true
		}
	default:
		w.o.Abort = false
	}
}

// calm ends every disturbance.
func (w *world) calm() {
	w.o.RouteOK, w.o.Error, w.o.Paused, w.o.InWindow, w.o.Abort, w.o.Verdict = true, "", false, true, false, DecisionPromote
	w.o.Stable.Ready, w.o.Stable.Updated = w.o.Stable.Desired, true
	if w.o.Template == w.promoted && w.state.Phase == PhaseIdle {
		w.o.Template = "v9"
	}
}

func TestValidateNamesFieldAndValue(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		"steps[1].weight: 5: want more than the 5":  func(p *Plan) { p.Steps[1].Weight = 5 },
		"steps[3].weight: 90: the last step must":   func(p *Plan) { p.Steps[3].Weight = 90 },
		"steps[1].weight: 0: want more than the 5":  func(p *Plan) { p.Steps[1].Weight = 0 },
		"steps[0].weight: -1: want 0 to 100":        func(p *Plan) { p.Steps[0].Weight = -1 },
		"deadline: 30m0s: want more than the 35m0s": func(p *Plan) { p.Deadline = 30 * time.Minute },
		`onInconclusive: "pray": want "rollback"`:   func(p *Plan) { p.OnInconclusive = "pray" },
		"steps[0].gate: -1s: want a duration of 0":  func(p *Plan) { p.Steps[0].Gate = -time.Second },
	} {
		p := plan()
		change(&p)
		if err := p.Validate(); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := plan().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
