package release

import (
	"fmt"
	"strings"
)

// WorkloadTrouble returns what is wrong with a workload itself, apart from its
// pods; events are its own and its newest ReplicaSet's.
func WorkloadTrouble(w Workload, events []Event) (Trouble, bool) {
	if failed, c := w.JobFailed(); failed && w.Kind == KindJob {
		t := Trouble{Reason: orReason(c.Reason, "Failed"), rank: rankDeadline, Event: lastEvent(events, c.Reason), Detail: clip(c.Message, detailLength)}
		switch c.Reason {
		case ReasonJobBackoff:
			t.Text = fmt.Sprintf("its pods failed %s, which is its limit (%s)", plural(int(max(w.Failed, 1)), "time"), c.Reason)
		case ReasonJobDeadline:
			t.Text = fmt.Sprintf("it did not complete before its active deadline (%s)", c.Reason)
		default:
			t.Text = fmt.Sprintf("it failed (%s)%s", t.Reason, said(c.Message))
		}
		return t, true
	}
	failedCreate := func(words string, e *Event) (Trouble, bool) {
		return Trouble{
			Reason: ReasonFailedCreate, rank: rankCreate, Event: e, Detail: clip(createWords(words), detailLength),
			Text: fmt.Sprintf("its pods cannot be created (%s)%s", ReasonFailedCreate, said(createWords(words))),
		}, true
	}
	e := lastMatching(events, func(e Event) bool { return e.Reason == ReasonFailedCreate && e.Warning() })
	if c, ok := FindCondition(w.Conditions, "ReplicaFailure"); ok && c.Status == "True" {
		return failedCreate(c.Message, e)
	}
	// Only Deployments and ReplicaSets have that condition; of the others the
	// event tells, while pods are missing.
	if e != nil && w.Total < w.Desired && w.Kind != KindDeployment && w.Kind != KindReplicaSet {
		return failedCreate(e.Message, e)
	}
	if c, ok := FindCondition(w.Conditions, "Progressing"); ok && c.Status == "False" && c.Reason == ReasonProgress {
		return Trouble{
			Reason: ReasonProgress, rank: rankProgress, Detail: "progress deadline passed",
			Text: fmt.Sprintf("it made no progress before its deadline (%s)", ReasonProgress),
		}, true
	}
	return Trouble{}, false
}

// createWords takes the controller's own words off an API server's refusal.
func createWords(s string) string {
	if _, rest, ok := strings.Cut(s, "Error creating: "); ok {
		return rest
	}
	if i := strings.Index(s, " failed error: "); i >= 0 { // a StatefulSet's
		return s[i+len(" failed error: "):]
	}
	return s
}

// ClaimTrouble returns why a PersistentVolumeClaim is not bound; ok is false
// when it is, or when it only waits for its first pod.
func ClaimTrouble(c Claim, events []Event) (Trouble, bool) {
	switch {
	case c.Phase == "Bound":
		return Trouble{}, false
	case c.Phase == "Lost":
		return Trouble{Reason: "ClaimLost", rank: rankClaim, Text: "its volume is gone (Lost)", Detail: "volume lost"}, true
	}
	e := lastMatching(events, func(e Event) bool {
		return e.Reason == "ProvisioningFailed" || e.Reason == "FailedBinding" || e.Reason == "VolumeMismatch" || e.Reason == "ExternalProvisioning"
	})
	if e == nil {
		waits := lastEvent(events, "WaitForFirstConsumer")
		if waits != nil {
			return Trouble{}, false
		}
		return Trouble{Reason: ReasonClaimPending, rank: rankWaiting, Text: "it is not bound", Detail: "not bound"}, true
	}
	t := Trouble{Reason: e.Reason, rank: rankClaim, Event: e, Detail: clip(e.Message, detailLength)}
	t.Text = fmt.Sprintf("it is not bound (%s)%s", e.Reason, said(e.Message))
	if e.Reason == "ExternalProvisioning" {
		t.rank = rankWaiting
	}
	return t, true
}
