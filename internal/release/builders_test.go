package release

import (
	"fmt"
	"time"
)

// The tests' release, clock and objects: as the API server tells them, less
// what nobody reads.

var (
	web   = Ref{Namespace: "shop", Name: "web"}
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// at returns the time so many seconds after the tests' beginning.
func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

func metaOf(kind, name string, owner ...ObjectRef) Meta {
	m := Meta{
		ObjectRef: ObjectRef{Kind: kind, Namespace: "shop", Name: name, UID: kind + "/" + name}, Generation: 1, Created: epoch,
	}
	if len(owner) > 0 {
		m.Owner = owner[0]
	} else {
		m.Release = web
	}
	return m
}

func deployment(desired, updated, ready, total int32) Workload {
	return Workload{
		Meta: metaOf(KindDeployment, "web"), ObservedGeneration: 1, Revision: 1,
		Desired: desired, Updated: updated, Ready: ready, Available: ready, Total: total,
	}
}

func replicaSet(revision int64, desired, ready int32) Workload {
	hash := fmt.Sprintf("h%d", revision)
	return Workload{
		Meta:               metaOf(KindReplicaSet, "web-"+hash, ObjectRef{Kind: KindDeployment, Name: "web", UID: "Deployment/web"}),
		ObservedGeneration: 1, Desired: desired, Ready: ready, Total: desired, Revision: revision, Template: hash,
	}
}

// podOf returns a pod of a ReplicaSet, placed on a node, with one container.
func podOf(rs Workload, suffix string, c Container) Pod {
	p := Pod{
		Meta: metaOf(KindPod, rs.Name+"-"+suffix, rs.ObjectRef), Phase: "Running", Node: "node-1", Template: rs.Template,
		Conditions: []Condition{{Type: "PodScheduled", Status: "True"}},
	}
	if c.Name == "" {
		c.Name = "app"
	}
	if c.Ready {
		p.Conditions = append(p.Conditions, Condition{Type: "Ready", Status: "True"})
	}
	if c.State == ContainerWaiting && c.Restarts == 0 {
		p.Phase = "Pending"
	}
	p.Containers = []Container{c}
	return p
}

func running(ready bool) Container {
	return Container{Image: "shop/web:2", State: ContainerRunning, Ready: ready, Started: true, Running: at(3)}
}

func waiting(reason, message string) Container {
	return Container{Image: "shop/web:2", State: ContainerWaiting, Reason: reason, Message: message}
}

func crashLoop(code, restarts int32, message string) Container {
	return Container{
		Image: "shop/web:2", State: ContainerWaiting, Reason: "CrashLoopBackOff", Restarts: restarts,
		Message:  "back-off 10s restarting failed container=app pod=web-h2-a_shop(1)",
		LastExit: &Termination{ExitCode: code, Reason: "Error", Message: message},
	}
}

func warning(o ObjectRef, reason, message, path string, count int32) Event {
	return Event{
		UID: reason + message, Type: "Warning", Reason: reason, Message: message, Count: count, Object: o,
		FieldPath: path, Last: at(5), Received: at(5),
	}
}

const appPath = "spec.containers{app}"
