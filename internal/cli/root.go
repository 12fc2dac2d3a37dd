// Package cli is the command line: one file per command, each with its
// options, a constructor that only binds and checks flags, and a run function.
// Results go to stdout, everything else to stderr.
package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/startup"
)

// Main runs the command line args (args[0] is the program's name) and returns
// the exit code of the process.
func Main(ctx context.Context, args []string, s Streams) int {
	// Helm goes first: a passthrough must not wait for the other commands.
	if call, ok := parseHelmCall(args, os.Getenv); ok {
		return runHelm(ctx, call, s)
	}
	startup.CollectAsUsual()
	root := newRootCommand(s)
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(s.Err, "fairlead: %v\n", err)
	}
	return exitCode(err)
}

// Commands returns the command line for those who describe it, with the
// commands for help and completion that cobra adds.
func Commands() *cobra.Command {
	root := newRootCommand(Streams{})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

func newRootCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "fairlead",
		Short:         "Observable Helm releases, judged canaries",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetIn(s.In)
	cmd.SetOut(s.Out)
	cmd.SetErr(s.Err)
	cmd.AddCommand(
		newAgentCommand(s),
		newAlertsCommand(s),
		newCanaryCommand(s),
		newControllerCommand(s),
		newExportCommand(s),
		newDemoCommand(s),
		newHelmCommand(),
		newReleasesCommand(s),
		newReleaseCommand(s),
		newRolloutCommand(s),
		newServerCommand(s),
		newVersionCommand(s),
	)
	return cmd
}
