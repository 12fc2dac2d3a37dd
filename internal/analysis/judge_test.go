package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// busy is a service of many routes and pods, for benchmarks and folding.
type busy struct {
	cfg    Config
	frozen Frozen
	bounds []float64
	routes int
	pods   int
}

func newBusy(tb testing.TB, routes, pods int) *busy {
	b := &busy{cfg: Default(), routes: routes, pods: pods}
	b.cfg.Routes.Max = routes
	b.cfg.Business = []Business{
		{Name: "conversion", Good: "orders", Of: "sessions", MaxDrop: 0.05},
		{Name: "refunds", Good: "refunds", Of: "orders", MaxRise: 0.2},
	}
	for i := -40; i <= 24; i++ {
		b.bounds = append(b.bounds, math.Exp2(float64(i)/8))
	}
	b.bounds = append(b.bounds, math.Inf(1))
	f, err := Freeze(b.cfg, History{Intervals: func(yield func(*Interval) bool) {
		for t := -12; t < 0; t++ {
			iv := b.interval(t)
			if !yield(&iv) {
				return
			}
		}
	}})
	if err != nil {
		tb.Fatal(err)
	}
	b.frozen = f
	return b
}

// interval is the same on both tracks, the canary with a twentieth of the traffic.
func (b *busy) interval(t int) Interval {
	start := epoch.Add(time.Duration(t) * 15 * time.Second)
	iv := Interval{Start: start, End: start.Add(15 * time.Second)}
	for r := range b.routes {
		for p := range b.pods {
			track, n := Stable, 40.0
			if p == 0 {
				track = Canary
			}
			counts := make([]float64, len(b.bounds))
			for i := range counts {
				counts[i] = math.Floor(n * 0.2 * math.Exp(-math.Abs(float64(i-20))/5))
			}
			counts[len(counts)-10]++
			iv.Cells = append(iv.Cells, Cell{
				Track: track, Route: fmt.Sprintf("/r%d", r), Pod: fmt.Sprintf("pod-%d", p), Requests: n, HasErrors: true,
				Errors: float64((r + p + t + 100) % 40 / 39), Latency: Histogram{Bounds: b.bounds, Counts: counts},
			})
		}
	}
	for _, name := range []string{"conversion", "refunds"} {
		iv.Business = append(iv.Business, BusinessCell{Name: name, Track: Stable, Good: 20, Of: 1000}, BusinessCell{Name: name, Track: Canary, Good: 1, Of: 50})
	}
	return iv
}

func (b *busy) judge(tb testing.TB) *Judge {
	j, err := New(b.cfg, b.frozen, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if err := j.Begin(StepContext{Weight: 0.05, Start: epoch, Gate: Duration(10 * time.Minute)}); err != nil {
		tb.Fatal(err)
	}
	return j
}

// The fold is deterministic, and a restored judge goes on as the first would have.
func TestFoldAgain(t *testing.T) {
	b := newBusy(t, 5, 10)
	var hashes [2][]string
	var verdicts [2]Verdict
	for run := range hashes {
		j := b.judge(t)
		for i := range 44 {
			iv := b.interval(i)
			if err := j.Add(&iv); err != nil {
				t.Fatal(err)
			}
			hashes[run] = append(hashes[run], j.Hash())
			if run == 1 && i == 20 {
				state, err := j.State()
				if err != nil {
					t.Fatal(err)
				}
				if j, err = Restore(b.cfg, b.frozen, Options{}, state); err != nil {
					t.Fatal(err)
				}
			}
		}
		verdicts[run] = j.Verdict()
	}
	if d := cmp.Diff(hashes[0], hashes[1]); d != "" {
		t.Errorf("another fold, other evidence:\n%s", d)
	}
	if d := cmp.Diff(verdicts[0], verdicts[1]); d != "" {
		t.Errorf("another fold, another verdict:\n%s", d)
	}
}

func TestFrozenSurvivesJSON(t *testing.T) {
	b := newBusy(t, 3, 4)
	data, err := json.Marshal(b.frozen)
	if err != nil {
		t.Fatal(err)
	}
	var back Frozen
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b.frozen, back); d != "" {
		t.Error(d)
	}
	if b.frozen.Hash() != back.Hash() {
		t.Error("another hash")
	}
	back.Pool *= 2
	state, err := b.judge(t).State()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(b.cfg, back, Options{}, state); err == nil {
		t.Error("a state was restored under other frozen parameters")
	}
}

// The verdict's JSON has the specification's names.
func TestVerdictJSON(t *testing.T) {
	b := newBusy(t, 2, 10)
	j := b.judge(t)
	for i := range 41 {
		iv := b.interval(i)
		if err := j.Add(&iv); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(j.Verdict())
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	for _, path := range [][]string{
		{"decision"}, {"reason"}, {"schemaVersion"}, {"analysis_duration_minutes"},
		{"results", "error_rate", "canary"}, {"results", "error_rate", "stable"}, {"results", "error_rate", "diff"}, {"results", "error_rate", "passed"},
		{"results", "p99_latency", "canary_ms"}, {"results", "p99_latency", "stable_ms"}, {"results", "p99_latency", "increase_pct"}, {"results", "p99_latency", "passed"},
	} {
		at := any(v)
		for _, k := range path {
			m, _ := at.(map[string]any)
			if at = m[k]; at == nil {
				t.Errorf("no %v in %s", path, data)
				break
			}
		}
	}
	check := v["checks"].([]any)[0].(map[string]any)
	for _, k := range []string{"metric", "route", "counts", "estimate", "interval", "margin", "n", "needed", "passed", "window"} {
		if _, ok := check[k]; !ok {
			t.Errorf("a check has no %q", k)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	b := newBusy(t, 1, 2)
	j, err := New(b.cfg, b.frozen, Options{})
	if err != nil {
		t.Fatal(err)
	}
	iv := b.interval(0)
	if err := j.Add(&iv); !errors.Is(err, ErrNoStep) {
		t.Errorf("before a step: %v", err)
	}
	j = b.judge(t)
	if err := j.Add(&iv); err != nil {
		t.Fatal(err)
	}
	if err := j.Add(&iv); !errors.Is(err, ErrOverlap) {
		t.Errorf("twice: %v", err)
	}
	iv.End = iv.Start
	if err := j.Add(&iv); err == nil {
		t.Error("an empty interval was folded")
	}
}

func TestPlan(t *testing.T) {
	b := newBusy(t, 5, 20)
	p, err := Plan(b.cfg, b.frozen, []StepContext{{Weight: 0.05, Gate: Duration(10 * time.Minute)}, {Index: 1, Weight: 0.5, Gate: Duration(10 * time.Minute)}})
	if err != nil {
		t.Fatal(err)
	}
	if !(p[0].DetectableErrorRate > p[0].StableErrorRate && p[1].DetectableErrorRate < p[0].DetectableErrorRate) {
		t.Errorf("detectable %g and %g at a base of %g", p[0].DetectableErrorRate, p[1].DetectableErrorRate, p[0].StableErrorRate)
	}
	if p[0].TimeToMinRequests <= p[1].TimeToMinRequests || p[0].Enough["p999_latency"] <= p[0].Enough["p99_latency"] {
		t.Errorf("times %+v", p)
	}
}

// What one canary costs in memory, beside the samples: asked for are 1 MB at most.
func TestSize(t *testing.T) {
	b := newBusy(t, 200, 20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := b.judge(t)
	for i := range 25 {
		iv := b.interval(i)
		if err := j.Add(&iv); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	size := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	t.Logf("%.0f KB", size/1024)
	if size > 1<<20 {
		t.Errorf("a canary of 200 routes takes %.0f KB", size/1024)
	}
	runtime.KeepAlive(j)
}

// One look: 200 routes, 6 metrics, 20 pods, the samples already there.
func BenchmarkLook(b *testing.B) {
	s := newBusy(b, 200, 20)
	j := s.judge(b)
	iv := s.interval(0)
	for b.Loop() {
		if err := j.Add(&iv); err != nil {
			b.Fatal(err)
		}
		if v := j.Verdict(); len(v.Checks) == 0 {
			b.Fatal("no checks")
		}
		iv.Start, iv.End = iv.End, iv.End.Add(15*time.Second)
	}
}

func TestNoHarmNamesABoundThatBinds(t *testing.T) {
	for limit, want := range map[float64]string{
		0.005: "No harm found; an excess of errors is at most 0.3 % (0.5 % allowed).",
		200:   "No harm found; an excess of errors is at most 0.3 %.",
	} {
		if got := noHarm(0.003, limit); got != want {
			t.Errorf("limit %g: %q, want %q", limit, got, want)
		}
	}
}

// Before 100 % without a gate an excess is bounded as before any other step: by
// the requests that it would fail there.
func TestAStepWithoutAGateHasAnErrorBudgetToo(t *testing.T) {
	b := newBusy(t, 1, 20)
	limit := func(next StepContext) float64 {
		j := b.judge(t)
		next.Weight, next.Start, next.Gate = 0.5, epoch, Duration(15*time.Minute)
		if err := j.Begin(next); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			iv := b.interval(i)
			if err := j.Add(&iv); err != nil {
				t.Fatal(err)
			}
		}
		return j.excessLimit()
	}
	none, same := limit(StepContext{NextWeight: 1}), limit(StepContext{NextWeight: 1, NextGate: Duration(15 * time.Minute)})
	if none != same || none > 0.05 {
		t.Errorf("an excess of %.3g is allowed before a step without a gate, %.3g before one with this step's", none, same)
	}
}
