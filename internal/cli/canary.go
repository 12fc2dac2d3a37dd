package cli

import "github.com/spf13/cobra"

func newCanaryCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "canary",
		Short: "Judge a canary, list its failed traces, say what they have in common",
	}
	cmd.AddCommand(
		newCanaryAnalyzeCommand(s),
		newCanaryReplayCommand(s),
		newCanaryRecordCommand(s),
		newCanaryFailuresCommand(s),
		newCanaryExplainCommand(s),
	)
	return cmd
}
