package v1alpha1

import (
	"fmt"
	"strings"
)

// What people do to a rollout that runs. Pause and resume are spec.pause; the
// rest are annotations, which name the rollout that they are about, so that one
// left behind does nothing to the next rollout.
const (
	// AnnotationApprove approves one step: [ApproveValue]. It is kept in status
	// once the controller has seen it at that step.
	AnnotationApprove = "fairlead.dev/approve"
	// AnnotationAbort rolls back the rollout whose status.rolloutID it holds.
	AnnotationAbort = "fairlead.dev/abort"
	// AnnotationRetry asks for another attempt after a rollout has ended, for
	// another try of a promotion that failed, or for more time for a rollout
	// that is held at its deadline. Any value that is not status.retried asks
	// once: a number that is counted up, or a time.
	AnnotationRetry = "fairlead.dev/retry"
	// AnnotationTraceparent gives the trace, in W3C form, that the next rollout
	// is recorded in. Without it the trace id derives from status.rolloutID.
	AnnotationTraceparent = "fairlead.dev/traceparent"
	// AnnotationHelmPromoted says, for the promotion strategy helm, that the
	// stable release was upgraded for the rollout whose status.rolloutID it holds.
	AnnotationHelmPromoted = "fairlead.dev/helm-promoted"
)

// Finalizer restores the route to stable before a CanaryRelease goes.
const Finalizer = "fairlead.dev/restore-route"

// ApproveValue is the value of AnnotationApprove that approves a step of a
// rollout. The step counts from 1, as status.step shows it.
func ApproveValue(rolloutID string, step int) string {
	return fmt.Sprintf("%s/%d", rolloutID, step)
}

// Approved reports whether the annotations approve the step, counted from 1.
func (c *CanaryRelease) Approved(rolloutID string, step int) bool {
	return rolloutID != "" && strings.TrimSpace(c.Annotations[AnnotationApprove]) == ApproveValue(rolloutID, step)
}

// Aborted reports whether the annotations abort the rollout.
func (c *CanaryRelease) Aborted(rolloutID string) bool {
	return rolloutID != "" && strings.TrimSpace(c.Annotations[AnnotationAbort]) == rolloutID
}

// RetryAsked reports whether the annotations ask for a retry that was not
// answered yet.
func (c *CanaryRelease) RetryAsked() bool {
	v := c.Annotations[AnnotationRetry]
	return v != "" && v != c.Status.Retried
}

// HelmPromoted reports whether the annotations say that the stable release was
// upgraded for the rollout.
func (c *CanaryRelease) HelmPromoted(rolloutID string) bool {
	return rolloutID != "" && strings.TrimSpace(c.Annotations[AnnotationHelmPromoted]) == rolloutID
}
