package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
)

type rolloutGetOptions struct {
	streams Streams
	cluster rolloutFlags
	output  outputFlag
	all     bool
	now     func() time.Time
}

func newRolloutGetCommand(s Streams) *cobra.Command {
	o := rolloutGetOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "get [NAME]",
		Short: "Show where rollouts are",
		Long: `Show where the rollouts of a namespace are, or one of them.

-o json and yaml print CanaryReleases: one where a name is given, else a list.`,
		Example: `  fairlead rollout get -A
  fairlead rollout get checkout -n shop -o wide
  fairlead rollout get checkout -n shop -o json | jq .status.verdict`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			return runRolloutGet(cmd.Context(), o, args)
		},
	}
	o.cluster.bind(cmd)
	o.output.bind(cmd, "table", "wide", "json", "yaml", "name")
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "of all namespaces")
	return cmd
}

func runRolloutGet(ctx context.Context, o rolloutGetOptions, args []string) error {
	c, err := o.cluster.open()
	if err != nil {
		return err
	}
	if len(args) == 1 {
		if o.all {
			return fmt.Errorf("%q and --all-namespaces: give one of them", args[0])
		}
		cr, err := c.get(ctx, args[0])
		if err != nil {
			return err
		}
		if done, err := o.output.encode(o.streams.Out, typed(cr)); done {
			return err
		}
		return o.print([]v1alpha1.CanaryRelease{*cr})
	}
	var list v1alpha1.CanaryReleaseList
	if o.all {
		c.namespace = ""
	}
	if err := c.store.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		return err
	}
	list.APIVersion, list.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind+"List"
	for i := range list.Items {
		typed(&list.Items[i])
	}
	if list.Items == nil {
		list.Items = []v1alpha1.CanaryRelease{}
	}
	if done, err := o.output.encode(o.streams.Out, list); done {
		return err
	}
	if len(list.Items) == 0 {
		where := "namespace " + c.namespace
		if o.all {
			where = "any namespace"
		}
		fmt.Fprintf(o.streams.Err, "No rollouts in %s.\n", where)
		return nil
	}
	return o.print(list.Items)
}

// typed gives an object the kind that clients leave out.
func typed(cr *v1alpha1.CanaryRelease) *v1alpha1.CanaryRelease {
	cr.APIVersion, cr.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind
	cr.ManagedFields = nil
	return cr
}

func (o *rolloutGetOptions) print(items []v1alpha1.CanaryRelease) error {
	if o.output.value == "name" {
		for i := range items {
			fmt.Fprintf(o.streams.Out, "canaryrelease.%s/%s\n", v1alpha1.GroupVersion.Group, items[i].Name)
		}
		return nil
	}
	head := []string{"NAMESPACE", "NAME", "PHASE", "STEP", "WEIGHT", "DECISION", "REASON", "AGE"}
	if o.output.value == "wide" {
		head = append(head, "STABLE", "CANARY", "REQUESTS", "ERRORS", "MESSAGE")
	}
	rows := [][]string{head}
	for i := range items {
		cr, s := &items[i], &items[i].Status
		row := []string{cr.Namespace, cr.Name, nameOr(s.Phase, "Idle"), s.Step, percentText(s.Weight), decisionOf(cr), s.Reason, short(o.now().Sub(cr.CreationTimestamp.Time))}
		if o.output.value == "wide" {
			requests, errors := "", ""
			if v := s.Verdict; v != nil {
				requests, errors = number(v.CanaryRequests), number(v.CanaryErrors)
			}
			row = append(row, s.StableVersion, s.CanaryVersion, requests, errors, messageOf(cr))
		}
		rows = append(rows, row)
	}
	return table(o.streams.Out, rows)
}

// messageOf is the sentence that says where a rollout is. A spec that cannot be
// rolled out says so in its condition.
func messageOf(cr *v1alpha1.CanaryRelease) string {
	for _, c := range cr.Status.Conditions {
		if c.Type == v1alpha1.ConditionAccepted && c.Status == "False" {
			return c.Message
		}
	}
	return cr.Status.Message
}

func decisionOf(cr *v1alpha1.CanaryRelease) string {
	if v := cr.Status.Verdict; v != nil {
		return v.Decision
	}
	return ""
}

func percentText(weight *int32) string {
	if weight == nil {
		return ""
	}
	return fmt.Sprintf("%d %%", *weight)
}
