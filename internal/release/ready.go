package release

import "fmt"

// ReadyRule is a rule by which a workload counts as ready.
type ReadyRule string

// The rules. They differ while old pods go away and where a rolling update may
// leave pods unavailable.
const (
	// ReadyWatcher is the rule of Helm 4's default waiter (kstatus): every pod is
	// of the new template and available, and the old ones are gone.
	ReadyWatcher ReadyRule = "watcher"
	// ReadyLegacy is the rule of Helm 3 and of Helm 4's --wait=legacy: new pods
	// are ready, less those that the rolling update allows to be missing.
	ReadyLegacy ReadyRule = "legacy"
)

// IsReady reports whether the workload is ready by the rule, and how far it is in
// a few words ("1/3 ready"). newest is the ReplicaSet of a Deployment's newest
// template, nil where it is not known: a Deployment's own count of ready pods
// has old ones in it. A Job is ready when it is
// complete; a failed one never is.
func (w Workload) IsReady(rule ReadyRule, newest *Workload) (ready bool, text string) {
	switch w.Kind {
	case KindJob:
		return w.jobReady()
	case KindDaemonSet:
		return w.daemonSetReady(rule)
	case KindStatefulSet:
		return w.statefulSetReady(rule)
	default:
		return w.deploymentReady(rule, newest)
	}
}

func (w Workload) progress() string { return fmt.Sprintf("%d/%d ready", w.Ready, w.Desired) }

func (w Workload) deploymentReady(rule ReadyRule, newest *Workload) (bool, string) {
	if w.ObservedGeneration < w.Generation {
		return false, "not observed yet"
	}
	if newest != nil {
		text := fmt.Sprintf("%d/%d ready", newest.Ready, w.Desired)
		if rule == ReadyLegacy {
			return newest.Ready >= w.Desired-w.MaxUnavailable, text
		}
		if newest.Ready < w.Desired {
			return false, text
		}
	}
	switch {
	case w.Updated < w.Desired && w.Total > 0:
		return false, fmt.Sprintf("%d/%d updated", w.Updated, w.Desired)
	case w.Updated < w.Desired || w.Ready < w.Desired:
		return false, w.progress()
	case w.Available < w.Desired:
		return false, fmt.Sprintf("%d/%d available", w.Available, w.Desired)
	case w.Total > w.Desired:
		return false, oldPods(w.Total - w.Desired)
	}
	return true, w.progress()
}

func (w Workload) statefulSetReady(rule ReadyRule) (bool, string) {
	if w.ObservedGeneration < w.Generation {
		return false, "not observed yet"
	}
	if w.OnDelete {
		return true, w.progress()
	}
	if expected := w.Desired - w.Partition; w.Updated < expected {
		return false, fmt.Sprintf("%d/%d updated", w.Updated, expected)
	}
	if w.Ready < w.Desired {
		return false, w.progress()
	}
	if w.Partition == 0 && w.CurrentTemplate != w.Template {
		return false, "current revision not switched yet"
	}
	if rule != ReadyLegacy && w.Total > w.Desired {
		return false, oldPods(w.Total - w.Desired)
	}
	return true, w.progress()
}

func oldPods(n int32) string { return plural(int(n), "old pod") + " still running" }

func (w Workload) daemonSetReady(rule ReadyRule) (bool, string) {
	if w.ObservedGeneration < w.Generation {
		return false, "not observed yet"
	}
	if w.OnDelete {
		return true, w.progress()
	}
	if w.Updated < w.Desired {
		return false, fmt.Sprintf("%d/%d updated", w.Updated, w.Desired)
	}
	if rule == ReadyLegacy {
		return w.Ready >= w.Desired-w.MaxUnavailable, w.progress()
	}
	if w.Available < w.Desired {
		return false, w.progress()
	}
	return true, w.progress()
}

func (w Workload) jobReady() (bool, string) {
	if c, ok := FindCondition(w.Conditions, "Complete"); ok && c.Status == "True" {
		return true, "complete"
	}
	if failed, c := w.JobFailed(); failed {
		return false, "failed: " + c.Reason
	}
	if w.Paused {
		return false, "suspended"
	}
	if w.Failed > 0 {
		return false, fmt.Sprintf("%d/%d succeeded, %d failed", w.Ready, w.Desired, w.Failed)
	}
	return false, fmt.Sprintf("%d/%d succeeded", w.Ready, w.Desired)
}

// JobFailed reports whether a Job has failed for good, and the condition that says so.
func (w Workload) JobFailed() (bool, Condition) {
	if c, ok := FindCondition(w.Conditions, "Failed"); ok && c.Status == "True" {
		return true, c
	}
	// FailureTarget comes before Failed, while the Job's pods still end.
	if c, ok := FindCondition(w.Conditions, "FailureTarget"); ok && c.Status == "True" {
		return true, c
	}
	return false, Condition{}
}
