package alert

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func defaults() Thresholds {
	return Thresholds{
		RollbackRate: 0.20, RollbackWindow: time.Hour, RollbackMinOperations: 2,
		SlowFactor: 2, SlowBaseline: 30 * 24 * time.Hour, SlowMinSamples: 20, SlowKeep: time.Hour,
		Failures: 3, StuckAfter: 30 * time.Minute, NoDataAfter: 5 * time.Minute,
	}
}

// op is an operation that ended ago before now and took so long.
func op(kind release.Kind, state release.State, ago, took time.Duration) release.Operation {
	end := now.Add(-ago)
	o := release.Operation{ID: fmt.Sprintf("%s-%s", kind, ago), Kind: kind, State: state, Cluster: "prod", Namespace: "shop", Release: "checkout",
		Start: end.Add(-took), End: end}
	if state == release.StateRunning {
		o.Start, o.End = end, time.Time{}
	}
	return o
}

func upgrades(state release.State, n int, first, step time.Duration) (out []release.Operation) {
	for i := range n {
		out = append(out, op(release.KindUpgrade, state, first+time.Duration(i)*step, 10*time.Second))
	}
	return out
}

const (
	ok   = release.StateSucceeded
	bad  = release.StateFailed
	runs = release.StateRunning
	up   = release.KindUpgrade
	back = release.KindRollback
)

func in(namespace string, ops ...release.Operation) []release.Operation {
	out := append([]release.Operation{}, ops...)
	for i := range out {
		out[i].Namespace = namespace
	}
	return out
}

func join(lists ...[]release.Operation) (out []release.Operation) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func TestRollbackRate(t *testing.T) {
	minute := time.Minute
	two := upgrades(ok, 2, 10*minute, minute)
	tests := map[string]struct {
		reason string
		ops    []release.Operation
		want   map[string]float64 // namespace, "" = overall
	}{
		"none":           {"no rollback, no rate", two, nil},
		"one of two":     {"", join(two, []release.Operation{op(back, ok, minute, 1)}), map[string]float64{"shop": 0.5}},
		"exactly 20 %":   {"over, not at", join(upgrades(ok, 5, 10*minute, minute), []release.Operation{op(back, ok, minute, 1)}), nil},
		"over 20 %":      {"", join(upgrades(ok, 4, 10*minute, minute), []release.Operation{op(back, ok, minute, 1)}), map[string]float64{"shop": 0.25}},
		"one deployment": {"below minOperations", []release.Operation{op(up, bad, 2*minute, 1), op(back, ok, minute, 1)}, nil},
		"failed rollback counts": {"it was a rollback", join(two, []release.Operation{op(back, bad, minute, 1)}),
			map[string]float64{"shop": 0.5}},
		"running rollback": {"not completed", join(two, []release.Operation{op(back, runs, minute, 0)}), nil},
		"an hour ago":      {"just out of the window", join(two, []release.Operation{op(back, ok, time.Hour, 1)}), nil},
		"59 minutes ago":   {"just within", join(two, []release.Operation{op(back, ok, 59*minute, 1)}), map[string]float64{"shop": 0.5}},
		"uninstalls and tests": {"are no deployments", join(two, []release.Operation{op(back, ok, minute, 1),
			op(release.KindUninstall, ok, minute, 1), op(release.KindTest, ok, minute, 1)}), map[string]float64{"shop": 0.5}},
		"only overall": {"each namespace is below minOperations", join(
			in("a", op(up, bad, 5*minute, 1), op(back, ok, minute, 1)), in("b", op(up, ok, 5*minute, 1))), map[string]float64{"": 0.5}},
		"one of two namespaces": {"the other one makes up for it overall", join(
			in("a", op(up, ok, 5*minute, 1), op(up, bad, 4*minute, 1), op(back, ok, minute, 1)), in("b", upgrades(ok, 8, 5*minute, minute)...)),
			map[string]float64{"a": 0.5}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got map[string]float64
			for _, a := range Evaluate(defaults(), Input{Now: now, Operations: tc.ops}) {
				if a.Rule != RollbackRateHigh {
					continue
				}
				if got == nil {
					got = map[string]float64{}
				}
				got[a.Labels[LabelNamespace]] = a.Value
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSlowDeployment(t *testing.T) {
	hour := time.Hour
	twenty := upgrades(ok, 20, 2*hour, hour) // 10 s each
	tests := map[string]struct {
		reason string
		ops    []release.Operation
		want   bool
	}{
		"as usual":              {"", join(twenty, []release.Operation{op(up, ok, time.Minute, 11*time.Second)}), false},
		"exactly twice":         {"over, not at", join(twenty, []release.Operation{op(up, ok, time.Minute, 20*time.Second)}), false},
		"more than twice":       {"", join(twenty, []release.Operation{op(up, ok, time.Minute, 20*time.Second+1)}), true},
		"nineteen before":       {"below minSamples", join(twenty[:19], []release.Operation{op(up, ok, time.Minute, hour)}), false},
		"failed and slow":       {"the baseline leaves failures out, the alert does not", join(twenty, []release.Operation{op(up, bad, time.Minute, time.Minute)}), true},
		"failures before":       {"are no baseline", join(upgrades(bad, 20, 2*hour, hour), []release.Operation{op(up, ok, time.Minute, hour)}), false},
		"long ago":              {"an hour after its end it is over", join(twenty, []release.Operation{op(up, ok, hour, time.Minute)}), false},
		"before the last":       {"the last one counts", join(twenty, []release.Operation{op(up, ok, 20*time.Minute, time.Minute), op(up, ok, time.Minute, 10*time.Second)}), false},
		"baseline too old":      {"30 days", join(upgrades(ok, 20, 31*24*hour, hour), []release.Operation{op(up, ok, time.Minute, hour)}), false},
		"running, not too long": {"", join(twenty, []release.Operation{op(up, runs, 19*time.Second, 0)}), false},
		"running too long":      {"fires before it ends", join(twenty, []release.Operation{op(up, runs, 21*time.Second, 0)}), true},
		"rollback runs":         {"no deployment", join(twenty, []release.Operation{op(back, runs, time.Minute, 0)}), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := holds(DeploymentSlow, tc.ops); got != tc.want {
				t.Errorf("%s: %v, want %v", tc.reason, got, tc.want)
			}
		})
	}
}

func holds(rule Rule, ops []release.Operation) bool {
	for _, a := range Evaluate(defaults(), Input{Now: now, Operations: ops}) {
		if a.Rule == rule {
			return true
		}
	}
	return false
}

func TestBaselineIsTheNearestRank(t *testing.T) {
	for n, want := range map[int]int{1: 1, 20: 20, 99: 99, 100: 99, 200: 198, 201: 199} {
		var ops []release.Operation
		for i := range n {
			ops = append(ops, op(up, ok, time.Minute, time.Duration(i+1)*time.Second))
		}
		rand.Shuffle(n, func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		got := BaselineOf(ops, now.Add(-time.Hour), "")
		if got != (Baseline{P99: time.Duration(want) * time.Second, Samples: n}) {
			t.Errorf("%d samples: %v, want %ds", n, got, want)
		}
	}
}

func TestFailuresInARow(t *testing.T) {
	day := 24 * time.Hour
	tests := map[string]struct {
		ops  []release.Operation
		want bool
	}{
		"three":                    {upgrades(bad, 3, time.Minute, time.Minute), false},
		"four":                     {upgrades(bad, 4, time.Minute, time.Minute), true},
		"four, long ago":           {upgrades(bad, 4, 90*day, day), true},
		"cancelled counts":         {upgrades(release.StateCancelled, 4, time.Minute, time.Minute), true},
		"rollbacks between":        {join(upgrades(bad, 4, time.Minute, time.Minute), []release.Operation{op(back, ok, 90*time.Second, 1)}), true},
		"a success since":          {join(upgrades(bad, 4, time.Hour, time.Minute), []release.Operation{op(up, ok, time.Minute, 1)}), false},
		"a success between":        {join(upgrades(bad, 2, time.Minute, time.Minute), upgrades(bad, 2, time.Hour, time.Minute), []release.Operation{op(up, ok, 30*time.Minute, 1)}), false},
		"uninstalled since":        {join(upgrades(bad, 4, time.Hour, time.Minute), []release.Operation{op(release.KindUninstall, ok, time.Minute, 1)}), false},
		"another attempt runs":     {join(upgrades(bad, 4, time.Hour, time.Minute), []release.Operation{op(up, runs, time.Second, 0)}), true},
		"of two releases together": {join(upgrades(bad, 2, time.Minute, time.Minute), in("other", upgrades(bad, 2, time.Minute, time.Minute)...)), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := holds(DeploymentsFailing, tc.ops); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestStuckPending(t *testing.T) {
	for name, tc := range map[string]struct {
		ops  []release.Operation
		want bool
	}{
		"runs":                  {[]release.Operation{op(up, runs, 29*time.Minute, 0)}, false},
		"left behind":           {[]release.Operation{op(up, runs, 31*time.Minute, 0)}, true},
		"a rollback":            {[]release.Operation{op(back, runs, 31*time.Minute, 0)}, true},
		"something ended since": {[]release.Operation{op(up, runs, 31*time.Minute, 0), op(up, ok, time.Minute, 1)}, false},
		"tests":                 {[]release.Operation{op(release.KindTest, runs, 31*time.Minute, 0)}, false},
	} {
		if got := holds(ReleaseStuck, tc.ops); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestNoData(t *testing.T) {
	gate := rollout.Record{ID: "u-t-1", At: now.Add(-10 * time.Second), Namespace: "shop", Name: "checkout", Service: "checkout-service",
		Phase: rollout.PhaseProgressing, GateStarted: now.Add(-20 * time.Minute), Reason: rollout.ReasonGate, Weight: 5}
	with := func(change func(*rollout.Record)) rollout.Record { r := gate; change(&r); return r }
	for name, tc := range map[string]struct {
		record rollout.Record
		want   bool
	}{
		"data":             {with(func(r *rollout.Record) { r.DecisionReason = "inconclusive" }), false},
		"too few requests": {with(func(r *rollout.Record) { r.DecisionReason = "insufficient_data" }), true},
		"no share":         {with(func(r *rollout.Record) { r.DecisionReason = "attribution" }), true},
		"could not ask":    {with(func(r *rollout.Record) { r.AnalysisError = "connection refused" }), true},
		"driver silent":    {with(func(r *rollout.Record) { r.At = now.Add(-6 * time.Minute) }), true},
		"driver long gone": {with(func(r *rollout.Record) { r.At = now.Add(-25 * time.Hour) }), false},
		"paused":           {with(func(r *rollout.Record) { r.AnalysisError = "x"; r.Paused = true }), false},
		"awaits approval":  {with(func(r *rollout.Record) { r.AnalysisError = "x"; r.Reason = rollout.ReasonApproval }), false},
		"no gate yet":      {with(func(r *rollout.Record) { r.AnalysisError = "x"; r.GateStarted = time.Time{} }), false},
		"ended":            {with(func(r *rollout.Record) { r.AnalysisError = "x"; r.Phase = rollout.PhaseRolledBack }), false},
	} {
		got := Evaluate(defaults(), Input{Now: now, Rollouts: []rollout.Record{tc.record}})
		if (len(got) == 1) != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestAdvance walks one alert through its states; each step is a minute later.
func TestAdvance(t *testing.T) {
	holding := []Alert{{Rule: AnalysisNoData, Labels: map[string]string{"canary": "checkout"}}}
	var alerts []Alert
	step := func(minute int, holds []Alert) (string, int) {
		var changed []Alert
		alerts, changed = Advance(defaults(), alerts, holds, now.Add(time.Duration(minute)*time.Minute), time.Hour)
		if len(alerts) == 0 {
			return "", len(changed)
		}
		return string(alerts[0].State), len(changed)
	}
	for _, s := range []struct {
		minute  int
		holds   []Alert
		state   string
		changes int
		reason  string
	}{
		{0, holding, "pending", 0, "it holds since now"},
		{4, holding, "pending", 0, "not five minutes yet"},
		{4, nil, "", 0, "never fired: gone without a word"},
		{5, holding, "pending", 0, "begins anew"},
		{10, holding, "firing", 1, "five minutes"},
		{11, holding, "firing", 0, "told once"},
		{12, nil, "resolved", 1, "over"},
		{13, nil, "resolved", 0, "told once"},
		{20, holding, "pending", 0, "again"},
		{25, holding, "firing", 1, "again"},
		{26, nil, "resolved", 1, "over"},
		{87, nil, "", 0, "forgotten after an hour"},
	} {
		state, changes := step(s.minute, s.holds)
		if state != s.state || changes != s.changes {
			t.Errorf("minute %d: %q with %d changes, want %q with %d: %s", s.minute, state, changes, s.state, s.changes, s.reason)
		}
	}
}

func TestKeyIsOfRuleAndLabels(t *testing.T) {
	a := Alert{Rule: DeploymentSlow, Labels: map[string]string{"a": "1", "b": "2"}, Value: 1}
	b := Alert{Rule: DeploymentSlow, Labels: map[string]string{"b": "2", "a": "1"}, Value: 2}
	if a.Key() != b.Key() {
		t.Error("the value is no part of the identity")
	}
	b.Labels["b"] = "3"
	if a.Key() == b.Key() {
		t.Error("labels are")
	}
}

func BenchmarkEvaluate10kOperations(b *testing.B) {
	var ops []release.Operation
	for r := range 500 {
		for i := range 20 {
			o := op(up, ok, time.Duration(i)*time.Hour, 10*time.Second)
			o.Release = fmt.Sprintf("r%d", r)
			ops = append(ops, o)
		}
	}
	for b.Loop() {
		Evaluate(defaults(), Input{Now: now, Operations: ops})
	}
}
