package rollouts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/rollout"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func logs(t *testing.T, records ...rollout.Record) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, r := range records {
		body, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		rec := sl.LogRecords().AppendEmpty()
		rec.SetEventName(rollout.RecordEvent)
		rec.Body().SetStr(string(body))
	}
	return ld
}

func consume(t *testing.T, s *Store, records ...rollout.Record) {
	t.Helper()
	if bad, err := s.ConsumeLogs(context.Background(), logs(t, records...)); err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
}

// record is the i-th look, 15 s apart.
func record(id string, i int, phase rollout.Phase, step, weight int, decision rollout.Decision) rollout.Record {
	return rollout.Record{
		ID: id, At: t0.Add(time.Duration(i) * 15 * time.Second), Namespace: "shop", Name: "checkout", Service: "checkout",
		Phase: phase, Step: step, Weight: weight, Decision: decision, Verdict: json.RawMessage(fmt.Sprintf(`{"i":%d}`, i)),
		Steps: []rollout.RecordStep{{Weight: 5, Gate: "10m0s"}, {Weight: 100}},
	}
}

// story is a rollout that shifts, gates and is rolled back.
func story(id string) []rollout.Record {
	var out []rollout.Record
	for i := range 20 {
		switch {
		case i < 2:
			out = append(out, record(id, i, rollout.PhaseProgressing, 0, 5, rollout.DecisionNone))
		case i < 12:
			out = append(out, record(id, i, rollout.PhaseProgressing, 0, 5, rollout.DecisionContinue))
		case i < 18:
			out = append(out, record(id, i, rollout.PhaseRollingBack, 0, 0, rollout.DecisionRollback))
		default:
			out = append(out, record(id, i, rollout.PhaseRolledBack, 0, 0, rollout.DecisionRollback))
		}
	}
	return out
}

func TestStateAndLogDoNotDependOnOrderOrDoubles(t *testing.T) {
	ctx := context.Background()
	want := open(t, t.TempDir())
	consume(t, want, story("a")...)
	state, err := want.Rollout(ctx, "a")
	if err != nil || state.Phase != rollout.PhaseRolledBack || string(state.Verdict) != `{"i":19}` {
		t.Fatalf("state: %+v %v", state, err)
	}
	changes, err := want.Changes(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, c := range changes {
		told = append(told, fmt.Sprintf("%s %s x%d", c.Phase, c.Decision, c.Looks))
	}
	if diff := cmp.Diff([]string{"Progressing  x2", "Progressing continue x10", "RollingBack rollback x6", "RolledBack rollback x2"}, told); diff != "" {
		t.Error(diff)
	}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		records := append(story("a"), story("a")...)
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		s := open(t, t.TempDir())
		for len(records) > 0 {
			n := min(1+random.IntN(5), len(records))
			consume(t, s, records[:n]...)
			records = records[n:]
		}
		gotState, err := s.Rollout(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		gotChanges, err := s.Changes(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(state, gotState); diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
		if diff := cmp.Diff(changes, gotChanges); diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	s.maxLooks, s.maxRollouts = 12, 3
	for _, r := range story("long") {
		consume(t, s, r)
	}
	changes, err := s.Changes(ctx, "long")
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	for _, c := range changes {
		looks += c.Looks
	}
	if len(changes) != 4 || looks > 12 {
		t.Errorf("%d changes of %d looks, want all 4 changes of at most 12 looks", len(changes), looks)
	}
	consume(t, s, record("running", 1, rollout.PhaseProgressing, 0, 5, ""))
	for i := range 4 {
		consume(t, s, record(fmt.Sprint("ended", i), 100+i, rollout.PhaseSucceeded, 1, 100, rollout.DecisionPromote))
	}
	list, err := s.List(ctx, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"ended3", "ended2", "running"}, ids); diff != "" {
		t.Error(diff)
	}
	if changes, err := s.Changes(ctx, "long"); err != nil || len(changes) > 0 {
		t.Errorf("the log of a rollout that is gone: %v %v", changes, err)
	}
}

func TestBadRecordsAreNamedAndOthersKept(t *testing.T) {
	s := open(t, t.TempDir())
	ld := logs(t, record("good", 0, rollout.PhaseProgressing, 0, 5, ""))
	sl := ld.ResourceLogs().At(0).ScopeLogs().At(0)
	for _, body := range []string{"no json", `{"id":"x","at":"2026-03-01T12:00:00Z","name":"checkout"}`, strings.Repeat("x", rollout.MaxRecordBytes+1)} {
		rec := sl.LogRecords().AppendEmpty()
		rec.SetEventName(rollout.RecordEvent)
		rec.Body().SetStr(body)
	}
	sl.LogRecords().AppendEmpty().Body().SetStr("another log")
	bad, err := s.ConsumeLogs(context.Background(), ld)
	if err != nil || len(bad) != 3 || !strings.Contains(bad[1].Error(), "namespace is missing") {
		t.Errorf("rejected %v, %v", bad, err)
	}
	if list, err := s.List(context.Background(), Filter{}); err != nil || len(list) != 1 || list[0].Verdict != nil {
		t.Errorf("list: %+v %v", list, err)
	}
	if _, err := s.Rollout(context.Background(), "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a rollout that nobody told of: %v", err)
	}
}

func TestFilterAndReopen(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	other := record("b", 50, rollout.PhaseProgressing, 0, 5, "")
	other.Namespace, other.Cluster, other.Service = "pay", "prod", "pay"
	consume(t, s, append(story("a"), other)...)
	for reason, c := range map[string]struct {
		f    Filter
		want int
	}{
		"all":       {Filter{}, 2},
		"active":    {Filter{Active: true}, 1},
		"namespace": {Filter{Namespace: "shop"}, 1},
		"cluster":   {Filter{Cluster: "prod", Service: "pay"}, 1},
		"name":      {Filter{Name: "checkout"}, 2},
		"until":     {Filter{Until: other.At}, 1},
		"limit":     {Filter{Limit: 1}, 1},
	} {
		if list, err := s.List(ctx, c.f); err != nil || len(list) != c.want {
			t.Errorf("%s: %d rollouts, %v, want %d", reason, len(list), err, c.want)
		}
	}
	backup := t.TempDir()
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	if list, err := open(t, backup).List(ctx, Filter{}); err != nil || len(list) != 2 {
		t.Errorf("the copy has %d rollouts, %v", len(list), err)
	}
}

// The end of a rollout says nothing of its last look: the record keeps what was
// said before, in whatever order records come.
func TestTheEndKeepsTheLastLook(t *testing.T) {
	first := record("r", 0, rollout.PhaseProgressing, 0, 5, rollout.DecisionContinue)
	first.CanaryVersion, first.StableVersion = "2", "1"
	first.Verdict = json.RawMessage(`{"at":"2026-03-01T12:00:00Z"}`)
	second := first
	second.At, second.Verdict, second.Explanation = t0.Add(time.Minute), json.RawMessage(`{"at":"2026-03-01T12:01:00Z"}`), json.RawMessage(`{"summary":"x"}`)
	third := record("r", 9, rollout.PhaseSucceeded, 1, 0, rollout.DecisionPromote)
	third.CanaryVersion, third.StableVersion, third.Verdict = "2", "2", nil
	all := []rollout.Record{first, second, third}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {0, 1, 2, 2, 1, 0}} {
		s := open(t, t.TempDir())
		for _, i := range order {
			consume(t, s, all[i])
		}
		got, err := s.Rollout(t.Context(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if got.Phase != rollout.PhaseSucceeded || string(got.Verdict) != string(second.Verdict) || string(got.Explanation) != string(second.Explanation) || got.StableVersion != "1" {
			t.Errorf("in the order %v: %s, verdict %s, explanation %s, stable %s", order, got.Phase, got.Verdict, got.Explanation, got.StableVersion)
		}
	}
}
