package operations

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/release"
)

func TestOutline(t *testing.T) {
	s := open(t, t.TempDir())
	at := func(i int) time.Time { return t0.Add(-time.Duration(i) * time.Hour) }
	var ops []release.Operation
	for i := range OutlineDepth + 10 {
		ops = append(ops, release.Operation{ID: fmt.Sprintf("u%d/deploy", i), Kind: release.KindUpgrade, State: release.StateSucceeded, TraceID: "t", SpanID: fmt.Sprint(i),
			Cluster: "prod", Namespace: "shop", Release: "checkout", Start: at(i), End: at(i).Add(time.Minute)})
	}
	running := release.Operation{ID: "r/deploy", Kind: release.KindInstall, State: release.StateRunning, TraceID: "t", SpanID: "r", Namespace: "shop", Release: "web", Start: at(1)}
	if _, err := s.ConsumeLogs(t.Context(), logs(append(ops, running)...)); err != nil {
		t.Fatal(err)
	}
	for since, want := range map[time.Time]int{t0.Add(time.Hour): OutlineDepth + 1, at(OutlineDepth + 4): OutlineDepth + 5 + 1, {}: OutlineDepth + 10 + 1} {
		got, err := s.Outline(t.Context(), since)
		if err != nil || len(got) != want {
			t.Errorf("since %s: %d operations, want %d; %v", since, len(got), want, err)
		}
		for _, op := range got {
			if op.ID == running.ID {
				want := running
				want.TraceID, want.SpanID = op.TraceID, ""
				if diff := cmp.Diff(want, op); diff != "" {
					t.Error(diff)
				}
			}
		}
	}
}

func BenchmarkOutline10kOperations(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for r := range 100 {
		var ops []release.Operation
		for i := range 100 {
			id := fmt.Sprintf("%d-%d", r, i)
			ops = append(ops, release.Operation{ID: id + "/deploy", Kind: release.KindUpgrade, State: release.StateSucceeded, TraceID: id, SpanID: id,
				Namespace: "shop", Release: fmt.Sprint(r), Start: t0.Add(time.Duration(i) * time.Minute), End: t0.Add(time.Duration(i)*time.Minute + 30*time.Second),
				Cause: "a cause of usual length, which nobody reads here but which makes the rows as long as they are", Extra: map[string]string{"ci": "yes"}})
		}
		if _, err := s.ConsumeLogs(b.Context(), logs(ops...)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if ops, err := s.Outline(b.Context(), t0); err != nil || len(ops) != 10_000 {
			b.Fatal(len(ops), err)
		}
	}
}
