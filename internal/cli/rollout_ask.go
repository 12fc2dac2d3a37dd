package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/steer"
)

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
	texts, wish := rolloutAskTexts[verb], steer.Wishes[verb]
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
			told, err := c.ask(cmd.Context(), args[0], wish)
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

// ask asks something of the rollout.
func (c *rolloutCluster) ask(ctx context.Context, name string, wish steer.Wish) (string, error) {
	told, err := steer.Ask(ctx, c.store, client.ObjectKey{Namespace: c.namespace, Name: name}, wish, time.Now)
	return told, c.explain(name, err)
}
