package operations

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/release"
)

func TestIndexFollowsTheStore(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	op := func(name string, i int, state release.State) release.Operation {
		o := release.Operation{
			ID: release.DeployID(fmt.Sprint(name, i)), Command: "upgrade", Kind: release.KindUpgrade, State: state, Namespace: "shop", Release: name,
			Revision: i + 1, Start: t0.Add(time.Duration(i) * time.Minute), Observers: []release.Observer{release.ObserverAgent},
		}
		if state.Done() {
			o.End = o.Start.Add(10 * time.Second)
		}
		return o
	}
	consume := func(ops ...release.Operation) {
		t.Helper()
		if _, err := s.ConsumeLogs(ctx, logs(ops...)); err != nil {
			t.Fatal(err)
		}
	}
	consume(op("web", 0, release.StateSucceeded), op("web", 1, release.StateFailed))
	x, err := NewIndex(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	news, stop := x.News.Watch()
	defer stop()
	consume(op("web", 2, release.StateRunning), op("cart", 1, release.StateSucceeded))
	select {
	case <-news:
	default:
		t.Error("nobody was told of the new operations")
	}
	running, err := x.Running(ctx, "", "shop")
	if err != nil || len(running) != 1 || running[0].Revision != 3 {
		t.Errorf("running: %+v %v", running, err)
	}
	consume(op("web", 2, release.StateSucceeded))

	ops, err := x.Operations(ctx, "", "", t0.Add(time.Minute), t0.Add(3*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range ops {
		got = append(got, fmt.Sprintf("%s %d %s", o.Release, o.Revision, o.State))
	}
	if diff := cmp.Diff([]string{"web 3 succeeded", "cart 2 succeeded", "web 2 failed"}, got); diff != "" {
		t.Error(diff)
	}
	list, err := x.Releases(ctx, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		want, err := s.Release(ctx, r.Cluster, r.Namespace, r.Name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d releases, want 2", len(list))
	}
	if _, _, err := x.History(ctx, "", "shop", "nothing"); err == nil {
		t.Error("a release that nobody knows has a history")
	}
}
