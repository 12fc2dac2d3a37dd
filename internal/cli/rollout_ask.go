package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// wish writes what a person asks into the object, and returns what to tell; an
// error says why it makes no sense now.
type wish func(cr *v1alpha1.CanaryRelease, now time.Time) (string, error)

// rolloutWishes are what people can ask of a rollout.
var rolloutWishes = map[string]wish{
	"approve": approve, "pause": pause, "resume": resume, "abort": abort, "retry": tryAgain,
}

// rolloutAskTexts are the commands' short and long help.
var rolloutAskTexts = map[string][2]string{
	"approve": {"Approve the step that a rollout is at", `Approve the current step of a rollout, where it asks for it (approval: true). The
rollout goes on when the step's gate has passed, too. The approval counts for this
step of this rollout alone.`},
	"pause": {"Keep the weight where it is", `Keep the canary's weight where it is until resume. A canary that harms is rolled
back nevertheless, and the deadline runs on.`},
	"resume": {"Let a paused rollout go on", "Let a paused rollout go on from the weight that it has."},
	"abort": {"Take a rollout back: all traffic to stable", `Give all traffic back to stable and end the rollout. It can be tried again with
retry, or with a new version.`},
	"retry": {"Try a rollout again that ended or is held", `Try again: the same version from the first step after a rollback, the promotion
after a stable that did not become ready, or as much time again for a rollout
that is held at its deadline.`},
}

func newRolloutAskCommand(s Streams, verb string) *cobra.Command {
	var flags rolloutFlags
	texts, change := rolloutAskTexts[verb], rolloutWishes[verb]
	example := "  fairlead rollout " + verb + " checkout -n shop"
	if verb == "abort" || verb == "retry" {
		example += "\n" + example + " && fairlead rollout wait checkout -n shop"
	}
	cmd := &cobra.Command{
		Use: verb + " NAME", Short: texts[0], Long: texts[1], Example: example,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			told, err := c.ask(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.Out, "%s/%s: %s\n", c.namespace, args[0], told)
			return nil
		},
	}
	flags.bind(cmd)
	return cmd
}

// ask writes a wish, again when the rollout moved meanwhile: the wish is then
// judged anew.
func (c *rolloutCluster) ask(ctx context.Context, name string, change wish) (told string, err error) {
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		cr, err := c.get(ctx, name)
		if err != nil {
			return err
		}
		before := cr.DeepCopy()
		if told, err = change(cr, time.Now()); err != nil {
			return fmt.Errorf("%s/%s: %w", c.namespace, name, err)
		}
		return c.store.Patch(ctx, cr, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if errors.IsForbidden(err) {
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

func approve(cr *v1alpha1.CanaryRelease, _ time.Time) (string, error) {
	n, _, _ := strings.Cut(cr.Status.Step, "/")
	step, err := strconv.Atoi(n)
	switch {
	case err != nil || rollout.Phase(cr.Status.Phase) != rollout.PhaseProgressing:
		return "", fmt.Errorf("nothing to approve: the rollout is %s", nameOr(cr.Status.Phase, "idle"))
	case step < 1 || step > len(cr.Spec.Steps) || !cr.Spec.Steps[step-1].Approval:
		return "", fmt.Errorf("nothing to approve: step %s has no approval: true", cr.Status.Step)
	}
	annotate(cr, v1alpha1.AnnotationApprove, v1alpha1.ApproveValue(cr.Status.RolloutID, step))
	return fmt.Sprintf("step %s approved", cr.Status.Step), nil
}

func pause(cr *v1alpha1.CanaryRelease, _ time.Time) (string, error) {
	if cr.Spec.Pause {
		return "is paused already", nil
	}
	cr.Spec.Pause = true
	return "paused at " + nameOr(percentText(cr.Status.Weight), "0 %"), nil
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
		return "", fmt.Errorf("nothing to abort: the rollout is %s", nameOr(cr.Status.Phase, "idle"))
	case phase == rollout.PhaseReturning:
		return "", fmt.Errorf("too late to abort: stable runs the new version already; roll it back by a rollout of the old one")
	}
	annotate(cr, v1alpha1.AnnotationAbort, cr.Status.RolloutID)
	return "abort asked: all traffic goes to stable", nil
}

func tryAgain(cr *v1alpha1.CanaryRelease, now time.Time) (string, error) {
	phase := rollout.Phase(cr.Status.Phase)
	atDeadline := rollout.Reason(cr.Status.Reason) == rollout.ReasonHold
	switch {
	case phase == rollout.PhaseSucceeded:
		return "", fmt.Errorf("nothing to try again: stable runs the canary's version")
	case !phase.Ended() && !atDeadline:
		return "", fmt.Errorf("nothing to try again: the rollout is %s", nameOr(cr.Status.Phase, "idle"))
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
