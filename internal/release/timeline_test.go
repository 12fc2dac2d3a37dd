package release

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// see feeds a timeline; each observation is received at its own second.
func see(t *Timeline, seconds float64, x any) {
	o := Observation{At: at(seconds), Release: web}
	switch x := x.(type) {
	case Workload:
		o.Workload = &x
	case Pod:
		o.Pod = &x
	case Claim:
		o.Claim = &x
	case Event:
		x.Received = o.At
		o.Event = &x
	case Record:
		o.Record = &x
	}
	t.Observe(o)
}

func seeInitially(t *Timeline, x Workload) {
	x.Created = at(-3600)
	t.Observe(Observation{At: at(0), Release: web, Initial: true, Workload: &x})
}

func seeGone(t *Timeline, seconds float64, x any) {
	o := Observation{At: at(seconds), Release: web, Deleted: true}
	switch x := x.(type) {
	case Workload:
		o.Workload = &x
	case Pod:
		o.Pod = &x
	}
	t.Observe(o)
}

// outline prints steps as a tree: kind, name, start, end, and marks for what
// has not ended (…) and what failed (reason).
func outline(steps []Step, indent string) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s%s %s %g..%g", indent, s.Kind, s.Object.Name,
			s.Start.Sub(epoch).Round(time.Millisecond).Seconds(), s.End.Sub(epoch).Round(time.Millisecond).Seconds())
		if !s.Done {
			b.WriteString(" …")
		}
		if s.Failed {
			b.WriteString(" failed")
		}
		if s.Reason != "" {
			b.WriteString(" " + s.Reason)
		}
		b.WriteString("\n" + outline(s.Children, indent+"  "))
	}
	return b.String()
}

func wantSteps(t *testing.T, tl *Timeline, from, to float64, want string) {
	t.Helper()
	got := outline(tl.Steps(at(from), at(to)), "")
	want = strings.TrimLeft(strings.ReplaceAll(want, "\n\t\t", "\n"), "\n")
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func pulling(p Pod, seconds float64, reason, message string) Event {
	return Event{UID: reason + message, Type: "Normal", Reason: reason, Message: message, Count: 1, Object: p.ObjectRef, FieldPath: appPath, Last: at(seconds)}
}

func TestStepsOfARollout(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	d, rs := deployment(1, 0, 0, 0), replicaSet(1, 1, 0)
	d.ObservedGeneration = 0
	see(tl, 1, d)
	see(tl, 1.1, rs)
	p := podOf(rs, "a", Container{})
	p.Node, p.Phase, p.Conditions = "", "Pending", nil
	p.Init = []Container{{Name: "init"}}
	see(tl, 1.2, p)
	p.Node = "node-1"
	see(tl, 1.5, p)
	see(tl, 1.6, pulling(p, 2, "Pulling", `Pulling image "shop/web:2"`))
	see(tl, 4, pulling(p, 4, "Pulled", `Successfully pulled image "shop/web:2" in 2.3s (2.3s including waiting). Image size: 9 bytes.`))
	p.Init[0].Running = at(4)
	see(tl, 4.2, p)
	p.Conditions = []Condition{{Type: "Initialized", Status: "True"}}
	see(tl, 5.5, p)
	p.Containers = []Container{running(false)}
	p.Phase = "Running"
	see(tl, 6, p)
	p.Containers = []Container{running(true)}
	p.Conditions = append(p.Conditions, Condition{Type: "Ready", Status: "True"})
	see(tl, 8, p)
	see(tl, 8.1, replicaSet(1, 1, 1))
	see(tl, 8.2, deployment(1, 1, 1, 1))
	wantSteps(t, tl, 0, 10, `
		workload web 1..8.2
		  pod web-h1-a 1.2..8
		    pod.schedule web-h1-a 1.2..1.5
		    pod.pull web-h1-a 1.6..4
		    pod.init web-h1-a 4.2..5.5
		    pod.start web-h1-a 6..8`)
	if waits := tl.Waiting(); len(waits) != 0 {
		t.Errorf("a ready release waits for %v", waits)
	}
	wantSteps(t, tl, 9, 20, ``)
	tl.Forget(at(9))
	wantSteps(t, tl, 0, 10, ``)
}

func TestStepsThatHaveNotEnded(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	rs := replicaSet(1, 1, 0)
	see(tl, 1, deployment(1, 1, 0, 1))
	see(tl, 1, rs)
	see(tl, 1.2, podOf(rs, "a", waiting("ContainerCreating", "")))
	see(tl, 3, podOf(rs, "a", crashLoop(1, 2, "no database")))
	wantSteps(t, tl, 0, 9, `
		workload web 1..9 … failed CrashLoopBackOff
		  pod web-h1-a 1.2..9 … failed CrashLoopBackOff
		    pod.schedule web-h1-a 1.2..1.2`)
	want := []Wait{{
		Object: metaOf(KindDeployment, "web").ObjectRef, Text: "0/1 ready", Since: at(1),
		Pod: "web-h1-a", Reason: "CrashLoopBackOff", Detail: "exit code 1", PodSince: at(3),
	}}
	if diff := cmp.Diff(want, tl.Waiting()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnUpgradeThatIsRolledBackHasTwoRollouts(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	seeInitially(tl, deployment(1, 1, 1, 1))
	seeInitially(tl, replicaSet(1, 1, 1))
	see(tl, 1, Record{Ref: web, Revision: 2, Status: "pending-upgrade"})
	d := deployment(1, 1, 1, 2)
	d.Generation, d.ObservedGeneration, d.Revision = 2, 2, 2
	rs := replicaSet(2, 1, 0)
	see(tl, 2, d)
	see(tl, 2.1, rs)
	see(tl, 2.2, podOf(rs, "b", crashLoop(1, 3, "no database")))
	see(tl, 5, Record{Ref: web, Revision: 2, Status: "failed"})
	see(tl, 5.1, Record{Ref: web, Revision: 3, Status: "pending-rollback"})
	// The old ReplicaSet gets its new revision before the Deployment tells of it.
	back := replicaSet(1, 1, 1)
	back.Revision = 3
	see(tl, 5.2, back)
	d = deployment(1, 1, 1, 1)
	d.Generation, d.ObservedGeneration, d.Revision = 3, 3, 3
	see(tl, 5.3, d)
	seeGone(tl, 6, podOf(rs, "b", crashLoop(1, 3, "no database")))
	for _, rule := range []string{"as it was", "asked again"} { // asking changes nothing
		t.Run(rule, func(t *testing.T) {
			wantSteps(t, tl, 0.5, 5.1, `
		workload web 2..5.1 … failed CrashLoopBackOff
		  pod web-h2-b 2.2..5.1 … failed CrashLoopBackOff
		    pod.schedule web-h2-b 2.2..2.2`)
			wantSteps(t, tl, 5.1, 9, `
		workload web 5.3..5.3`)
		})
	}
}

func TestAnAutoscalersChangeBelongsToTheRollout(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	see(tl, 1, deployment(1, 1, 0, 1))
	d := deployment(2, 2, 0, 2)
	d.Generation = 2
	see(tl, 2, d)
	d.ObservedGeneration, d.Ready, d.Available = 2, 2, 2
	see(tl, 4, d)
	wantSteps(t, tl, 0, 9, `workload web 1..4`)
}

func TestAPodMayBeSeenBeforeItsWorkload(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	set := Workload{Meta: metaOf(KindStatefulSet, "db"), ObservedGeneration: 1, Desired: 1, Total: 1}
	see(tl, 1, podOf(set, "0", waiting("ContainerCreating", "")))
	if waits := tl.Waiting(); len(waits) != 0 {
		t.Errorf("a pod whose workload is about to come is waited for by itself: %v", waits)
	}
	see(tl, 1.1, set)
	see(tl, 3, podOf(set, "0", running(true)))
	set.Updated, set.Ready, set.Available = 1, 1, 1
	see(tl, 3.1, set)
	wantSteps(t, tl, 0, 9, `
		workload db 1.1..3.1
		  pod db-0 1.1..3
		    pod.schedule db-0 1.1..1.1
		    pod.start db-0 3..3`)
}

func TestStepsOfAHookJob(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	j := job("migrate", 0)
	j.Hook = []string{"pre-upgrade"}
	see(tl, 1, Record{Ref: web, Revision: 1, Status: "pending-install", Hooks: []Hook{
		{ObjectRef: ObjectRef{Kind: KindJob, Namespace: "shop", Name: "migrate"}, Events: []string{"pre-upgrade"}, Phase: "Running", Started: at(1)},
		{ObjectRef: ObjectRef{Kind: "Certificate", Namespace: "shop", Name: "tls"}, Phase: "Failed", Started: at(5), Completed: at(7)},
		{ObjectRef: ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "seed"}, Phase: "Succeeded", Started: at(1), Completed: at(1)},
	}})
	see(tl, 1.1, j)
	see(tl, 1.2, jobPod(j, running(true)))
	if waits := tl.Waiting(); len(waits) != 1 || waits[0].Text != "0/1 succeeded" {
		t.Errorf("waits for %v", waits)
	}
	see(tl, 4, jobPod(j, Container{State: ContainerTerminated, Exit: &Termination{ExitCode: 1, Reason: "Error"}}))
	j.Failed, j.Conditions = 1, []Condition{failedJob}
	see(tl, 4.5, j)
	wantSteps(t, tl, 0, 9, `
		hook migrate 1.1..4.5 failed Error
		  pod migrate-x 1.2..1.2 failed Error
		    pod.schedule migrate-x 1.2..1.2
		    pod.run migrate-x 1.2..1.2
		hook tls 5..7 failed HookFailed`)
	if waits := tl.Waiting(); len(waits) != 0 {
		t.Errorf("Helm does not wait for a failed hook: %v", waits)
	}
}

func TestStepsOfARemoval(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	rs := replicaSet(1, 1, 1)
	seeInitially(tl, deployment(1, 1, 1, 1))
	seeInitially(tl, rs)
	pod := podOf(rs, "a", running(true))
	tl.Observe(Observation{At: at(0), Initial: true, Release: web, Pod: &pod})
	d := deployment(1, 1, 1, 1)
	d.Deleting = at(2)
	see(tl, 2, d)
	if waits := tl.Waiting(); len(waits) != 1 || waits[0].Text != "being deleted" {
		t.Errorf("waits for %v", waits)
	}
	seeGone(tl, 3, d)
	seeGone(tl, 5, pod)
	wantSteps(t, tl, 1, 9, `removal web 2..5`)
	if waits := tl.Waiting(); len(waits) != 0 {
		t.Errorf("waits for %v", waits)
	}
}

func TestPodsBeyondTheCapAreSummedUp(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	rs := replicaSet(1, 120, 119)
	see(tl, 1, deployment(120, 120, 119, 120))
	see(tl, 1, rs)
	for i := range 119 {
		see(tl, 2, podOf(rs, fmt.Sprint(i), running(true)))
	}
	see(tl, 3, podOf(rs, "sick", crashLoop(1, 1, "")))
	steps := tl.Steps(at(0), at(9))
	if len(steps) != 1 || len(steps[0].Children) != MaxPods+1 {
		t.Fatalf("%d steps, %d children", len(steps), len(steps[0].Children))
	}
	if !slices.ContainsFunc(steps[0].Children, func(s Step) bool { return s.Object.Name == "web-h1-sick" }) {
		t.Error("the pod in trouble is among those left out")
	}
	last := steps[0].Children[MaxPods]
	if last.Kind != StepPods || last.Attributes["k8s.pods.omitted"] != int64(70) || last.Attributes["k8s.pods.omitted_ready"] != int64(70) || !last.Done {
		t.Errorf("the summary is %+v", last)
	}
}

func TestWhatWasThereBeforeTakesTheAPIsTimes(t *testing.T) {
	tl := NewTimeline(TimelineOptions{Release: web})
	rs := replicaSet(1, 1, 0)
	d := deployment(1, 1, 0, 1)
	p := podOf(rs, "a", running(true))
	p.Conditions = []Condition{{Type: "PodScheduled", Status: "True", Since: at(1)}, {Type: "Ready", Status: "True", Since: at(70)}} // its clock is ahead
	for _, o := range []Observation{{Workload: &d}, {Workload: &rs}, {Pod: &p}} {
		o.At, o.Initial, o.Release = at(60), true, web
		tl.Observe(o)
	}
	see(tl, 60.5, replicaSet(1, 1, 1))
	see(tl, 61, deployment(1, 1, 1, 1))
	// Created in the whole second in which the operation began.
	wantSteps(t, tl, 0.7, 90, `
		workload web 0.7..61
		  pod web-h1-a 0.7..60
		    pod.schedule web-h1-a 0.7..1
		    pod.start web-h1-a 3..60`)
}

func TestReadyRules(t *testing.T) {
	d := deployment(4, 4, 3, 4)
	d.MaxUnavailable = 1
	newest := replicaSet(1, 4, 3)
	set := Workload{Meta: metaOf(KindStatefulSet, "db"), ObservedGeneration: 1, Desired: 2, Updated: 2, Ready: 2, Total: 2, Template: "b", CurrentTemplate: "a"}
	daemon := Workload{Meta: metaOf(KindDaemonSet, "log"), ObservedGeneration: 1, Desired: 3, Updated: 3, Ready: 2, Available: 2, MaxUnavailable: 1}
	onDelete := set
	onDelete.OnDelete = true
	stale := deployment(1, 1, 1, 1)
	stale.Generation = 2
	surplus := deployment(2, 2, 2, 3)
	complete := job("load", 1, Condition{Type: "Complete", Status: "True"})
	cases := []struct {
		name            string
		w               Workload
		newest          *Workload
		watcher, legacy bool
		text            string // by the watcher's rule
	}{
		{"Helm 3 lets as many pods be missing as the rolling update may", d, &newest, false, true, "3/4 ready"},
		{"without its ReplicaSet old pods cannot be told from new ones", d, nil, false, false, "3/4 ready"},
		{"the status is of an older generation", stale, nil, false, false, "not observed yet"},
		{"old pods still go away", surplus, nil, false, false, "1 old pod still running"},
		{"a StatefulSet has not switched its revision", set, nil, false, false, "current revision not switched yet"},
		{"nobody waits for OnDelete", onDelete, nil, true, true, "2/2 ready"},
		{"a DaemonSet with one pod missing", daemon, nil, false, true, "2/3 ready"},
		{"a Job that failed once and then succeeded", complete, nil, true, true, "complete"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			watcher, text := c.w.IsReady(ReadyWatcher, c.newest)
			legacy, _ := c.w.IsReady(ReadyLegacy, c.newest)
			if watcher != c.watcher || legacy != c.legacy || text != c.text {
				t.Errorf("watcher %v, legacy %v, %q", watcher, legacy, text)
			}
		})
	}
}

// Whatever is seen in whatever order, no step ends before it starts or leaves
// its parent or the operation.
func TestStepsAlwaysNest(t *testing.T) {
	rs := replicaSet(1, 3, 1)
	containers := []Container{{}, waiting("ContainerCreating", ""), waiting("ErrImagePull", "x"), running(false), running(true), crashLoop(1, 1, "x")}
	var check func(t *testing.T, steps []Step, from, to time.Time)
	check = func(t *testing.T, steps []Step, from, to time.Time) {
		for _, s := range steps {
			if s.Start.Before(from) || s.End.Before(s.Start) || s.End.After(to) {
				t.Fatalf("%s %s: %s..%s is not within %s..%s", s.Kind, s.Object, s.Start, s.End, from, to)
			}
			check(t, s.Children, s.Start, s.End)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		tl := NewTimeline(TimelineOptions{Release: web, MaxPods: 2})
		now := 0.0
		for range 40 {
			now += rng.Float64()
			p := podOf(rs, fmt.Sprint(rng.IntN(4)), containers[rng.IntN(len(containers))])
			p.Created = at(rng.Float64() * 60)
			d := deployment(3, int32(rng.IntN(4)), int32(rng.IntN(4)), 3)
			d.Generation = int64(rng.IntN(3))
			var o Observation
			switch rng.IntN(6) {
			case 0:
				o.Workload = &d
			case 1:
				o.Workload = &rs
			case 2:
				e := pulling(p, now, "Pulling", `Pulling image "x"`)
				if rng.IntN(2) == 0 {
					e = pulling(p, now, "Pulled", `Successfully pulled image "x" in 21.5s`)
				}
				e.Received = at(now)
				o.Event = &e
			case 3:
				o.Record = &Record{Ref: web, Revision: rng.IntN(3), Status: "failed"}
			default:
				o.Pod = &p
			}
			o.At, o.Release, o.Initial, o.Deleted = at(now), web, rng.IntN(5) == 0, rng.IntN(9) == 0
			tl.Observe(o)
			tl.Waiting()
		}
		from := rng.Float64() * 20
		to := from + rng.Float64()*20
		check(t, tl.Steps(at(from), at(to)), at(from), at(to))
		FindCause(Snapshot{Facts: tl.Facts()}, ErrorTimeout, "x")
	}
}

// TestPastHooksAreNotToBlame: Helm removes the hook Job of the operation before
// when it makes its own, of the same name or another.
func TestPastHooksAreNotToBlame(t *testing.T) {
	hook := func(name, uid string, seconds float64, said string) (Workload, Pod) {
		j := job(name, 1, failedJob)
		j.UID, j.Hook, j.Created = uid, []string{"pre-upgrade"}, at(seconds)
		p := jobPod(j, Container{State: ContainerTerminated, Exit: &Termination{ExitCode: 3, Reason: "Error", Message: said}})
		p.Name, p.UID, p.Created = name+"-"+uid, "pod-"+uid, at(seconds)
		return j, p
	}
	cases := []struct {
		reason string
		then   func(tl *Timeline)
		want   string // what the failed hook said; "" when Helm alone has words
	}{
		{"the same hook fails again", func(tl *Timeline) {
			j, p := hook("migrate", "a2", 62, "new")
			see(tl, 63, j)
			see(tl, 63, p)
		}, "new"},
		{"another hook fails", func(tl *Timeline) {
			j, p := hook("backup", "b1", 62, "no disk")
			see(tl, 63, j)
			see(tl, 63, p)
		}, "no disk"},
		{"no hook has failed this time", func(*Timeline) {}, ""},
		{"Helm's rollback follows at once", func(tl *Timeline) {
			j, p := hook("migrate", "a2", 62, "new")
			see(tl, 63, j)
			see(tl, 63, p)
			see(tl, 64, Record{Ref: web, Revision: 2, Status: "failed", Created: at(60)})
			see(tl, 65, Record{Ref: web, Revision: 3, Status: "pending-rollback", Created: at(65)})
		}, "new"},
	}
	for _, c := range cases {
		for _, removed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the old one removed: %t", c.reason, removed), func(t *testing.T) {
				tl := NewTimeline(TimelineOptions{Release: web})
				see(tl, 50, Record{Ref: web, Revision: 1, Status: "failed", Created: at(0)})
				j, p := hook("migrate", "a1", 1, "old")
				see(tl, 50, j)
				see(tl, 50, p)
				see(tl, 60, Record{Ref: web, Revision: 2, Status: "pending-upgrade", Created: at(60)})
				if removed {
					seeGone(tl, 61, j)
					seeGone(tl, 61, p)
				}
				c.then(tl)
				facts := tl.Facts()
				got := FindCause(Snapshot{Facts: facts}, ErrorHook, "helm's own words")
				if c.want == "" && got.Sentence != "helm's own words" || !strings.Contains(got.Sentence, c.want) {
					t.Errorf("the cause is %q, want one with %q", got.Sentence, c.want)
				}
				if again := FindCause(stored(t, Snapshot{Facts: facts}), ErrorHook, "helm's own words"); again.Sentence != got.Sentence {
					t.Errorf("of the snapshot as it is stored: %q", again.Sentence)
				}
				for _, f := range facts.Failing() {
					if f.PodUID == "pod-a1" {
						t.Error("the log of the old pod is read")
					}
				}
			})
		}
	}
}
