package release

import (
	"encoding/json"
	"strings"
	"testing"
)

// failing returns a Deployment of one pod that does not become ready.
func failing(c Container, events ...Event) Facts {
	d, rs := deployment(1, 1, 0, 1), replicaSet(1, 1, 0)
	p := podOf(rs, "a", c)
	for i := range events {
		if events[i].Object.IsZero() {
			events[i].Object = p.ObjectRef
		}
	}
	return Facts{Release: web, Workloads: []Workload{d, rs}, Pods: []Pod{p}, Events: events}
}

func job(name string, failed int32, conditions ...Condition) Workload {
	return Workload{Meta: metaOf(KindJob, name), ObservedGeneration: 1, Desired: 1, Failed: failed, Total: failed, Conditions: conditions}
}

func jobPod(j Workload, c Container) Pod {
	p := podOf(j, "x", c)
	p.Template, p.Phase = "", "Failed"
	return p
}

var failedJob = Condition{Type: "Failed", Status: "True", Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}

func TestFindCause(t *testing.T) {
	const ready, pod = "Deployment web is not ready (0/1 ready): ", "container app of pod web-h1-a "
	unscheduled := failing(Container{})
	unscheduled.Pods[0].Node, unscheduled.Pods[0].Phase = "", "Pending"
	unscheduled.Pods[0].Conditions = []Condition{{Type: "PodScheduled", Status: "False", Reason: "Unschedulable",
		Message: "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: true}, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."}}
	evicted := failing(Container{})
	evicted.Pods[0].Phase, evicted.Pods[0].Reason = "Failed", "Evicted"
	evicted.Pods[0].Message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. "
	mount := failing(waiting("ContainerCreating", ""),
		warning(ObjectRef{}, "FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found`, "", 6))
	migrate := job("migrate", 1, failedJob)
	migrate.Hook = []string{"pre-upgrade"}
	quotaSet := Facts{Workloads: []Workload{{Meta: metaOf(KindStatefulSet, "db"), ObservedGeneration: 1, Desired: 2}}}
	quotaSet.Events = []Event{warning(quotaSet.Workloads[0].ObjectRef, "FailedCreate",
		`create Pod db-0 in StatefulSet db failed error: pods "db-0" is forbidden: exceeded quota: few`, "", 9)}
	oldPods := failing(running(true))
	oldPods.Workloads[0] = deployment(1, 1, 1, 2)
	oldPods.Workloads[0].Revision = 2
	oldPods.Workloads = append(oldPods.Workloads, replicaSet(2, 1, 0))
	oldPods.Pods[0].Containers[0] = crashLoop(1, 9, "the old one") // of revision 1
	oldPods.Pods = append(oldPods.Pods, podOf(replicaSet(2, 1, 0), "b", running(false)))

	cases := []struct {
		reason string // Cause.Reason
		name   string
		facts  Facts
		logs   []LogTail
		class  ErrorType
		want   string
	}{
		{"ErrImagePull", "the registry's words, without the runtime's wrapping", failing(waiting("ErrImagePull", ""),
			warning(ObjectRef{}, "Failed", `Failed to pull image "shop/web:2": rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/shop/web:2": failed to resolve reference "docker.io/shop/web:2": docker.io/shop/web:2: not found`, appPath, 2),
			warning(ObjectRef{}, "Failed", "Error: ErrImagePull", appPath, 2)), nil, "",
			ready + `the image "shop/web:2" of ` + strings.TrimSpace(pod) + " cannot be pulled (ErrImagePull): docker.io/shop/web:2: not found"},
		{"ImagePullBackOff", "without events, the container's own words", failing(waiting("ImagePullBackOff", `Back-off pulling image "shop/web:2": ErrImagePull: failed to pull and unpack image "shop/web:2": 401 Unauthorized`)), nil, "",
			ready + `the image "shop/web:2" of ` + strings.TrimSpace(pod) + " cannot be pulled (ImagePullBackOff): 401 Unauthorized"},
		{"CreateContainerConfigError", "", failing(waiting("CreateContainerConfigError", `secret "db" not found`)), nil, "",
			ready + pod + `cannot be created (CreateContainerConfigError): secret "db" not found`},
		{"CrashLoopBackOff", "the last line of the termination message", failing(crashLoop(2, 4, "connecting\nno database at db:5432\n")), nil, "",
			ready + pod + `keeps crashing (CrashLoopBackOff, exit code 2, 4 restarts); it last said "no database at db:5432"`},
		{"CrashLoopBackOff", "the log of the run that ended speaks where the program left no message", failing(crashLoop(2, 1, "")),
			[]LogTail{{Pod: "web-h1-a", Container: "app", Lines: []string{"starting"}}, {Pod: "web-h1-a", Container: "app", Previous: true, Lines: []string{"panic: nil map", ""}}}, "",
			ready + pod + `keeps crashing (CrashLoopBackOff, exit code 2, 1 restart); it last said "panic: nil map"`},
		{"OOMKilled", "", failing(Container{State: ContainerTerminated, Restarts: 2, Exit: &Termination{ExitCode: 137, Reason: "OOMKilled"}}), nil, "",
			ready + pod + "was killed for using more memory than its limit (OOMKilled, exit code 137, 2 restarts)"},
		{"StartError", "the runtime's last words", failing(Container{State: ContainerWaiting, Reason: "CrashLoopBackOff", Restarts: 1, LastExit: &Termination{ExitCode: 128, Reason: "StartError",
			Message: `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: exec: "/srv": stat /srv: no such file or directory: unknown`}}), nil, "",
			ready + pod + `cannot be started (StartError, exit code 128, 1 restart): exec: "/srv": stat /srv: no such file or directory: unknown`},
		{"LivenessProbeFailed", "a kill by a probe is not a crash", failing(Container{State: ContainerRunning, Restarts: 3, Started: true, LastExit: &Termination{ExitCode: 143, Reason: "Error"}},
			warning(ObjectRef{}, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", appPath, 9),
			Event{UID: "k", Type: "Normal", Reason: "Killing", Message: "Container app failed liveness probe, will be restarted", FieldPath: appPath, Count: 3, Last: at(5)}), nil, "",
			ready + pod + "is restarted because its liveness probe fails (exit code 143, 3 restarts): HTTP probe failed with statuscode: 500"},
		{"ReadinessProbeFailed", "", failing(running(false), warning(ObjectRef{}, "Unhealthy", `Readiness probe failed: Get "http://10.0.0.4:8080/ready": dial tcp 10.0.0.4:8080: connect: connection refused`, appPath, 12)), nil, ErrorTimeout,
			ready + pod + `runs but its readiness probe fails (12 times): "http://10.0.0.4:8080/ready": dial tcp 10.0.0.4:8080: connect: connection refused`},
		{"NotReady", "nothing wrong can be seen", failing(running(false)), nil, "", ready + pod + "runs but is not ready"},
		{"FailedScheduling", "the scheduler's words, not the preemption's", unscheduled, nil, "",
			ready + "pod web-h1-a cannot be scheduled (FailedScheduling): 0/3 nodes are available: 1 node(s) had untolerated taint {gpu: true}, 2 Insufficient cpu"},
		{"FailedMount", "", mount, nil, "", ready + `pod web-h1-a cannot mount its volumes (FailedMount): MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found`},
		{"Evicted", "", evicted, nil, "", ready + "pod web-h1-a was put off its node (Evicted): The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi"},
		{"FailedCreate", "a StatefulSet has no condition for it", quotaSet, nil, "",
			`StatefulSet db is not ready (0/2 updated): its pods cannot be created (FailedCreate): pods "db-0" is forbidden: exceeded quota: few`},
		{"Error", "a hook goes before what else is not ready",
			Facts{Workloads: append([]Workload{migrate}, failing(crashLoop(1, 1, "later")).Workloads...),
				Pods: append([]Pod{jobPod(migrate, Container{State: ContainerTerminated, Exit: &Termination{ExitCode: 3, Reason: "Error", Message: "version 12 failed"}})},
					failing(waiting("ErrImagePull", "")).Pods...)}, nil, ErrorHook,
			`hook Job migrate failed: container app of pod migrate-x crashed (Error, exit code 3); it last said "version 12 failed"`},
		{"BackoffLimitExceeded", "the pod is gone already", Facts{Workloads: []Workload{migrate}}, nil, ErrorHook,
			"hook Job migrate failed: its pods failed 1 time, which is its limit (BackoffLimitExceeded)"},
		{"DeadlineExceeded", "", Facts{Workloads: []Workload{job("load", 0, Condition{Type: "Failed", Status: "True", Reason: "DeadlineExceeded"})}}, nil, "",
			"Job load failed: it did not complete before its active deadline (DeadlineExceeded)"},
		{"NotReady", "pods of an older revision are not to blame", oldPods, nil, "",
			"Deployment web is not ready (0/1 ready): container app of pod web-h2-b runs but is not ready"},
		{"CrashLoopBackOff", "cancelled, and what it waited for", failing(crashLoop(1, 1, "")), nil, ErrorCancelled,
			"cancelled while " + ready + pod + "keeps crashing (CrashLoopBackOff, exit code 1, 1 restart)"},
		{"", "the cluster is well: Helm's own words", Facts{Workloads: []Workload{deployment(1, 1, 1, 1)}}, nil, ErrorOther, "helm's own words"},
		{"", "a lock has nothing to do with what is not ready", failing(crashLoop(1, 1, "")), nil, ErrorLock, "helm's own words"},
	}
	for _, c := range cases {
		t.Run(strings.TrimSpace(c.reason+" "+c.name), func(t *testing.T) {
			got := FindCause(Snapshot{Facts: c.facts, Logs: c.logs}, c.class, "helm's own words.")
			if got.Sentence != c.want || got.Reason != c.reason || got.ErrorType != c.class {
				t.Errorf("\ngot  %s\nwant %s\nreason %q, class %q", got.Sentence, c.want, got.Reason, got.ErrorType)
			}
			if stored := FindCause(stored(t, Snapshot{Facts: c.facts, Logs: c.logs}), c.class, "helm's own words."); stored.Sentence != c.want || stored.Pod != got.Pod {
				t.Errorf("of the snapshot as it is stored: %s", stored.Sentence)
			}
		})
	}
}

// stored is a snapshot after a stay in a store.
func stored(t *testing.T, s Snapshot) (out Snapshot) {
	t.Helper()
	body, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheRootGoesBeforeItsSymptoms(t *testing.T) {
	// Each of these can make those after it happen; in any order of objects the
	// first is named.
	containers := []Container{
		waiting("ErrImagePull", "not found"), waiting("CreateContainerConfigError", "x"), crashLoop(1, 1, ""), running(false),
	}
	for i := range containers {
		for j := i + 1; j < len(containers); j++ {
			for _, reversed := range []bool{false, true} {
				d, rs := deployment(2, 2, 0, 2), replicaSet(1, 2, 0)
				pods := []Pod{podOf(rs, "a", containers[i]), podOf(rs, "b", containers[j])}
				if reversed {
					pods[0], pods[1] = pods[1], pods[0]
				}
				got := FindCause(Snapshot{Facts: Facts{Workloads: []Workload{d, rs}, Pods: pods}}, ErrorTimeout, "")
				if got.Pod != "web-h1-a" {
					t.Errorf("%s before %s: %s", containers[i].Reason, containers[j].Reason, got.Sentence)
				}
			}
		}
	}
}

func TestClaimsAreTheRootOfPodsThatFindNoNode(t *testing.T) {
	f := failing(Container{})
	f.Pods[0].Node, f.Pods[0].Claims = "", []string{"data"}
	f.Pods[0].Conditions = []Condition{{Type: "PodScheduled", Status: "False", Message: "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."}}
	f.Claims = []Claim{{Meta: metaOf(KindClaim, "data"), Phase: "Pending", StorageClass: "fast"}}
	got := FindCause(Snapshot{Facts: f}, ErrorTimeout, "")
	if want := `; PersistentVolumeClaim data is Pending (storage class "fast")`; !strings.HasSuffix(got.Sentence, want) {
		t.Errorf("got %s", got.Sentence)
	}
	f.Events = []Event{warning(f.Claims[0].ObjectRef, "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`, "", 3)}
	got = FindCause(Snapshot{Facts: f}, ErrorTimeout, "")
	want := `Deployment web is not ready (0/1 ready): PersistentVolumeClaim data, which pod web-h1-a needs, is not bound (ProvisioningFailed): storageclass.storage.k8s.io "fast" not found`
	if got.Sentence != want {
		t.Errorf("got %s", got.Sentence)
	}
}

func TestFailingNamesOneContainerOfEachKindFirst(t *testing.T) {
	d, rs := deployment(3, 3, 0, 3), replicaSet(1, 3, 0)
	f := Facts{Workloads: []Workload{d, rs}, Pods: []Pod{
		podOf(rs, "a", crashLoop(1, 2, "")), podOf(rs, "b", crashLoop(1, 1, "")), podOf(rs, "c", running(false)), podOf(rs, "d", waiting("ErrImagePull", "")),
	}}
	var got []string
	for _, c := range f.Failing() {
		got = append(got, c.Pod)
	}
	if want := "web-h1-a web-h1-c web-h1-b"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestLimitKeepsWhatIsInTrouble(t *testing.T) {
	d, rs := deployment(100, 100, 99, 100), replicaSet(1, 100, 99)
	s := Snapshot{Facts: Facts{Workloads: []Workload{d, rs}}}
	for i := range 99 {
		s.Pods = append(s.Pods, podOf(rs, strings.Repeat("x", i+1), running(true)))
		s.Events = append(s.Events, warning(rs.ObjectRef, "Busy", strings.Repeat("words ", 200), "", int32(i)))
	}
	s.Pods = append(s.Pods, podOf(rs, "sick", crashLoop(1, 1, "")))
	s.Limit(10, 50, 40<<10)
	if len(s.Pods) != 10 || s.Pods[0].Name != "web-h1-sick" || s.size() > 40<<10 || len(s.Omitted) < 3 {
		t.Errorf("%d pods, first %s, %d events, %d bytes, omitted %v", len(s.Pods), s.Pods[0].Name, len(s.Events), s.size(), s.Omitted)
	}
}

func FuzzWords(f *testing.F) {
	f.Add(`Failed to pull image "a": rpc error: code = Unknown desc = x`, 10)
	f.Add("0/1 nodes are available. preemption: not helpful", 300)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = max(n, 1)
		for _, words := range []string{pullError(s), startError(s), schedulerWords(s), mountWords(s), probeWords(s), createWords(s)} {
			if got := clip(words, n); len([]rune(got)) > n || strings.ContainsAny(got, "\n\r") {
				t.Errorf("clip(%q, %d) = %q", words, n, got)
			}
		}
	})
}
