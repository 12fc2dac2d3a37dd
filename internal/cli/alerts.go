package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/alerting"
	"fairlead.dev/fairlead/internal/api"
)

// alertsOptions are what a command of `fairlead alerts` was asked.
type alertsOptions struct {
	streams Streams
	server  serverFlags
	output  outputFlag
	now     func() time.Time

	state    string
	duration string
	comment  string
	end      string
}

func newAlertsCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "Show, silence and test the alerts of the server",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newAlertsListCommand(s), newAlertsSilenceCommand(s), newAlertsTestCommand(s))
	return cmd
}

func newAlertsListCommand(s Streams) *cobra.Command {
	o := alertsOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what fires, is pending, or was resolved within a day",
		Example: `  fairlead alerts list
  fairlead alerts list --state firing -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			return runAlertsList(cmd.Context(), o)
		},
	}
	o.server.bind(cmd)
	o.output.bind(cmd, "table", "json", "yaml")
	cmd.Flags().StringVar(&o.state, "state", "", "only pending, firing or resolved ones")
	return cmd
}

func runAlertsList(ctx context.Context, o alertsOptions) error {
	found, err := o.server.client().Alerts(ctx, url.Values{"state": {o.state}})
	if err != nil {
		return noServerHint(err)
	}
	if done, err := o.output.encode(o.streams.Out, found); done {
		return err
	}
	switch {
	case found.EvaluationError != "":
		fmt.Fprintf(o.streams.Err, "The last evaluation failed: %s\n", found.EvaluationError)
	case found.EvaluatedAt.IsZero():
		fmt.Fprintln(o.streams.Err, "Not evaluated yet.")
	case len(found.Alerts) == 0:
		fmt.Fprintf(o.streams.Err, "None; evaluated %s.\n", ago(o.now(), &found.EvaluatedAt))
	}
	if len(found.Alerts) == 0 {
		return nil
	}
	rows := [][]string{{"STATE", "ALERT", "SINCE", "VALUE", "LIMIT", "TOLD", "SUMMARY"}}
	for _, a := range found.Alerts {
		rows = append(rows, []string{alertState(a), string(a.Rule), ago(o.now(), &a.Since), alerting.Amount(a.Value, a.Unit), alerting.Amount(a.Threshold, a.Unit), toldTo(a), a.Summary})
	}
	return table(o.streams.Out, rows)
}

func alertState(a alerting.Entry) string {
	if len(a.SilencedBy) > 0 && a.State != alert.StateResolved {
		return string(a.State) + " (silenced)"
	}
	return string(a.State)
}

// toldTo says how telling the receivers stands.
func toldTo(a alerting.Entry) string {
	told := map[string]int{}
	for _, d := range a.Deliveries {
		told[d.State]++
	}
	text := ""
	for _, state := range []string{"delivered", "waiting", "failed"} {
		if told[state] > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%d %s", told[state], state)
		}
	}
	return text
}

func newAlertsSilenceCommand(s Streams) *cobra.Command {
	o := alertsOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "silence MATCHER...",
		Short: "Keep alerts from being told for a while; they stay visible",
		Long: `Keep alerts whose labels match from being told. All matchers must match:
name=value, name!=value, name=~regexp, name!~regexp. The labels are those of
"fairlead alerts list -o json", with alertname and severity.

Needs a token with the access "write" in FAIRLEAD_TOKEN, and leaves a record.`,
		Example: `  fairlead alerts silence helm_namespace=shop --for 2h --comment "moving the database"
  fairlead alerts silence alertname=HelmDeploymentSlow helm_release=~batch-.*
  fairlead alerts silence --end 6wq2cymb4n3k`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			if (len(args) == 0) == (o.end == "") {
				return fmt.Errorf("want matchers, or --end with the id of a silence")
			}
			for _, text := range args {
				if _, err := alert.ParseMatcher(text); err != nil {
					return err
				}
			}
			return runAlertsSilence(cmd.Context(), o, args)
		},
	}
	o.server.bind(cmd)
	o.output.bind(cmd, "table", "json", "yaml")
	cmd.Flags().StringVar(&o.duration, "for", "2h", "how long, up to 2160h")
	cmd.Flags().StringVar(&o.comment, "comment", "", "why")
	cmd.Flags().StringVar(&o.end, "end", "", "end the silence of this id")
	return cmd
}

func runAlertsSilence(ctx context.Context, o alertsOptions, matchers []string) error {
	client := o.server.client()
	var silence alert.Silence
	var err error
	if o.end != "" {
		silence, err = client.Unsilence(ctx, o.end)
	} else {
		silence, err = client.Silence(ctx, api.SilenceRequest{Matchers: matchers, Duration: o.duration, Comment: o.comment})
	}
	if err != nil {
		return noServerHint(err)
	}
	if done, err := o.output.encode(o.streams.Out, silence); done {
		return err
	}
	verb := "until"
	if o.end != "" {
		verb = "ended"
	}
	fmt.Fprintf(o.streams.Out, "silence %s %s %s\n", silence.ID, verb, silence.EndsAt.Format(time.RFC3339))
	return nil
}

func newAlertsTestCommand(s Streams) *cobra.Command {
	o := alertsOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Send a test of an alert to every receiver, and say how that went",
		Long: `Send a test of an alert to every receiver of the server, now and past the queue.
It is marked with test="true" and says that nothing is wrong.

Needs a token with the access "write" in FAIRLEAD_TOKEN, and leaves a record.
The exit code is 1 when a receiver did not take it.`,
		Example: `  fairlead alerts test HelmRollbackRateHigh
  fairlead alerts test HelmDeploymentSlow -o json`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: ruleNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			return runAlertsTest(cmd.Context(), o, args[0])
		},
	}
	o.server.bind(cmd)
	o.output.bind(cmd, "table", "json", "yaml")
	return cmd
}

func ruleNames() (names []string) {
	for _, r := range alert.Rules() {
		names = append(names, string(r))
	}
	return names
}

func runAlertsTest(ctx context.Context, o alertsOptions, name string) error {
	test, err := o.server.client().TestAlert(ctx, name)
	if err != nil {
		return noServerHint(err)
	}
	refused := 0
	rows := [][]string{{"RECEIVER", "KIND", "DELIVERED", "TOOK", "ERROR"}}
	for _, r := range test.Results {
		delivered := "yes"
		if !r.Delivered {
			delivered = "no"
			refused++
		}
		rows = append(rows, []string{r.Receiver, r.Kind, delivered, fmt.Sprintf("%dms", int(r.Seconds*1000)), r.Error})
	}
	done, err := o.output.encode(o.streams.Out, test)
	switch {
	case done:
	case len(test.Results) == 0:
		return fmt.Errorf("the server has no receivers: add some to alerts.receivers in its configuration")
	default:
		err = table(o.streams.Out, rows)
	}
	if err == nil && refused > 0 {
		return Exit(ExitError)
	}
	return err
}

// noServerHint adds the next step to an error that says there is no server.
func noServerHint(err error) error {
	if errors.Is(err, api.ErrNoServer) {
		return fmt.Errorf("%w\nhint: start one with `fairlead server`, or name yours with --server or FAIRLEAD_SERVER", err)
	}
	return err
}
