package release

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func example() Operation {
	prev, code := 2, 1
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	return Operation{
		ID: "8f1c/deploy", TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331",
		Command: "upgrade", Kind: KindUpgrade, State: StateFailed, Observers: []Observer{ObserverWrapper},
		Cluster: "prod", Namespace: "shop", Release: "checkout", PreviousRevision: &prev, Revision: 3,
		ChartName: "checkout", ChartVersion: "1.4.0", AppVersion: "2.0", ExitCode: &code, Wait: "true",
		Start: at, End: at.Add(90 * time.Second), ErrorType: ErrorNotReady, Cause: "Deployment checkout is not ready",
		Extra: map[string]string{"cicd.pipeline.name": "deploy"},
	}
}

func TestAttributesRoundTrip(t *testing.T) {
	first := 0
	cases := map[string]Operation{
		"everything known": example(),
		"a first install has previous revision 0, which is not the same as unknown": {
			Namespace: "shop", Release: "checkout", PreviousRevision: &first, Kind: KindInstall},
		"an automatic rollback": {
			Namespace: "shop", Release: "checkout", Kind: KindRollback, RollbackTo: 2, Automatic: true, ParentID: "8f1c/deploy"},
	}
	for reason, want := range cases {
		t.Run(reason, func(t *testing.T) {
			got, err := FromAttributes(want.TraceID, want.SpanID, want.Attributes())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFromAttributesNamesWhatIsWrong(t *testing.T) {
	cases := []struct {
		reason, want string
		attrs        map[string]any
	}{
		{"no release", "attribute helm.release is missing", map[string]any{AttrNamespace: "shop"}},
		{"no namespace", "attribute helm.namespace is missing", map[string]any{AttrRelease: "checkout"}},
		{"a revision in words", `attribute helm.revision = "three": want a whole number`,
			map[string]any{AttrNamespace: "shop", AttrRelease: "checkout", AttrRevision: "three"}},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			_, err := FromAttributes("", "", c.attrs)
			if err == nil || err.Error() != c.want {
				t.Errorf("got error %v, want %s", err, c.want)
			}
		})
	}
}

func TestNumbersFromOtherPrograms(t *testing.T) {
	got, err := FromAttributes("", "", map[string]any{
		AttrNamespace: "shop", AttrRelease: "checkout", AttrRevision: "3", AttrExitCode: 1.0})
	if err != nil {
		t.Fatal(err)
	}
	if got.Revision != 3 || got.ExitCode == nil || *got.ExitCode != 1 {
		t.Errorf("got revision %d, exit code %v", got.Revision, got.ExitCode)
	}
}

func TestFoldDoesNotDependOnOrderOrDoubles(t *testing.T) {
	wrapper := example()
	running := wrapper
	running.State, running.End, running.ID = StateRunning, time.Time{}, ""
	agent := Operation{
		ID: wrapper.ID, Kind: KindUpgrade, State: StateFailed, Observers: []Observer{ObserverAgent},
		Cluster: "prod", Namespace: "shop", Release: "checkout", Revision: 3,
		Start: wrapper.Start.Truncate(time.Second), End: wrapper.End.Add(time.Second), Cause: "the agent's cause",
	}
	sightings := []Operation{Latest(running, wrapper), agent}
	want := Fold(sightings...)
	if want.Cause != wrapper.Cause || !want.End.Equal(wrapper.End) || len(want.Observers) != 2 {
		t.Fatalf("the wrapper is the better witness; got %+v", want)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		some := append([]Operation{}, sightings...)
		some = append(some, sightings[rng.IntN(2)])
		rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		if diff := cmp.Diff(want, Fold(some...)); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
	if diff := cmp.Diff(Latest(running, wrapper), Latest(wrapper, running)); diff != "" {
		t.Errorf("Latest depends on order:\n%s", diff)
	}
}

func TestFoldClosesWhatAKilledWrapperLeftRunning(t *testing.T) {
	running := example()
	running.State, running.End, running.ExitCode, running.ErrorType, running.Cause = StateRunning, time.Time{}, nil, "", ""
	agent := Operation{
		ID: running.ID, State: StateFailed, Observers: []Observer{ObserverAgent}, Namespace: "shop", Release: "checkout",
		Start: running.Start, End: running.Start.Add(time.Minute), Cause: "helm ended without finishing",
	}
	got := Fold(running, agent)
	if got.State != StateFailed || got.Cause != agent.Cause || got.TraceID != running.TraceID {
		t.Errorf("got %+v", got)
	}
}

func TestOnlyInstallsAndUpgradesAreDeploys(t *testing.T) {
	for k, want := range map[Kind]bool{KindInstall: true, KindUpgrade: true, KindRollback: false, KindUninstall: false, KindTest: false} {
		if k.Deploy() != want {
			t.Errorf("%s.Deploy() = %v", k, !want)
		}
	}
}
