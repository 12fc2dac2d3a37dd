// Package steer is what people ask of a rollout: approve, pause, resume, abort,
// retry. A [Wish] is written into the CanaryRelease; whoever drives the rollout
// obeys it.
package steer

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// Wish writes what a person asks into the object, and returns what to tell. It
// fails with a [RefusedError] where that makes no sense now.
type Wish func(cr *v1alpha1.CanaryRelease, now time.Time) (told string, err error)

// Wishes are what people can ask of a rollout, by verb.
var Wishes = map[string]Wish{
	"approve": approve, "pause": pause, "resume": resume, "abort": abort, "retry": tryAgain,
}

// RefusedError says why a wish makes no sense now.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// Of is w for one rollout alone: it is refused when key is of another one by
// now. The id holds the object's UID, so that one of another cluster is another.
func (w Wish) Of(rolloutID string) Wish {
	return func(cr *v1alpha1.CanaryRelease, now time.Time) (string, error) {
		if cr.Status.RolloutID != rolloutID {
			return "", refuse("rollout %s is not the one that runs there now, which is %s", rolloutID, cmp.Or(cr.Status.RolloutID, "none"))
		}
		return w(cr, now)
	}
}

// At is w for a step, counted from 1: it is refused at any other.
func (w Wish) At(step int) Wish {
	return func(cr *v1alpha1.CanaryRelease, now time.Time) (string, error) {
		if n := stepOf(cr); n != step {
			return "", refuse("the rollout is at step %s by now: look again", cmp.Or(cr.Status.Step, "none"))
		}
		return w(cr, now)
	}
}

// Ask writes a wish into the CanaryRelease that key names, again when the
// rollout moved meanwhile: the wish is then judged anew.
func Ask(ctx context.Context, c client.Client, key client.ObjectKey, wish Wish, now func() time.Time) (told string, err error) {
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var cr v1alpha1.CanaryRelease
		if err := c.Get(ctx, key, &cr); err != nil {
			return err
		}
		before := cr.DeepCopy()
		if told, err = wish(&cr, now()); err != nil {
			return fmt.Errorf("%s/%s: %w", key.Namespace, key.Name, err)
		}
		return c.Patch(ctx, &cr, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if apierrors.IsForbidden(err) {
		return "", fmt.Errorf("%w\nhint: this needs the verb patch on canaryreleases.%s, or update on ConfigMaps for a rollout of `rollout run`", err, v1alpha1.GroupVersion.Group)
	}
	return told, err
}

func annotate(cr *v1alpha1.CanaryRelease, key, value string) {
	if cr.Annotations == nil {
		cr.Annotations = map[string]string{}
	}
	cr.Annotations[key] = value
}

// stepOf is the step that the rollout is at, counted from 1; 0 = none.
func stepOf(cr *v1alpha1.CanaryRelease) int {
	n, _, _ := strings.Cut(cr.Status.Step, "/")
	step, err := strconv.Atoi(n)
	if err != nil {
		return 0
	}
	return step
}

func approve(cr *v1alpha1.CanaryRelease, _ time.Time) (string, error) {
	step := stepOf(cr)
	switch {
	case step == 0 || rollout.Phase(cr.Status.Phase) != rollout.PhaseProgressing:
		return "", refuse("nothing to approve: the rollout is %s", cmp.Or(cr.Status.Phase, "idle"))
	case step < 1 || step > len(cr.Spec.Steps) || !cr.Spec.Steps[step-1].Approval:
		return "", refuse("nothing to approve: step %s has no approval: true", cr.Status.Step)
	}
	annotate(cr, v1alpha1.AnnotationApprove, v1alpha1.ApproveValue(cr.Status.RolloutID, step))
	return fmt.Sprintf("step %s approved", cr.Status.Step), nil
}

func pause(cr *v1alpha1.CanaryRelease, _ time.Time) (string, error) {
	if cr.Spec.Pause {
		return "is paused already", nil
	}
	cr.Spec.Pause = true
	weight := int32(0)
	if cr.Status.Weight != nil {
		weight = *cr.Status.Weight
	}
	return fmt.Sprintf("paused at %d %%", weight), nil
}

func resume(cr *v1alpha1.CanaryRelease, _ time.Time) (string, error) {
	if !cr.Spec.Pause {
		return "was not paused", nil
	}
	cr.Spec.Pause = false
	return "goes on", nil
}

func abort(cr *v1alpha1.CanaryRelease, _ time.Time) (string, error) {
	switch phase := rollout.Phase(cr.Status.Phase); {
	case phase == rollout.PhaseIdle || phase == rollout.PhaseSucceeded || phase == rollout.PhaseRolledBack:
		return "", refuse("nothing to abort: the rollout is %s", cmp.Or(cr.Status.Phase, "idle"))
	case phase == rollout.PhaseReturning:
		return "", refuse("too late to abort: stable runs the new version already; roll it back by a rollout of the old one")
	}
	annotate(cr, v1alpha1.AnnotationAbort, cr.Status.RolloutID)
	return "abort asked: all traffic goes to stable", nil
}

func tryAgain(cr *v1alpha1.CanaryRelease, now time.Time) (string, error) {
	phase := rollout.Phase(cr.Status.Phase)
	atDeadline := rollout.Reason(cr.Status.Reason) == rollout.ReasonHold
	switch {
	case phase == rollout.PhaseSucceeded:
		return "", refuse("nothing to try again: stable runs the canary's version")
	case !phase.Ended() && !atDeadline:
		return "", refuse("nothing to try again: the rollout is %s", cmp.Or(cr.Status.Phase, "idle"))
	}
	annotate(cr, v1alpha1.AnnotationRetry, now.UTC().Format(time.RFC3339Nano))
	switch {
	case atDeadline:
		return "as much time again", nil
	case phase == rollout.PhasePromotionFailed:
		return "the promotion is tried again", nil
	}
	return "tried again from the first step", nil
}
