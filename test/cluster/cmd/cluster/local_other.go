//go:build !linux

package main

import (
	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/test/cluster/internal/host"
)

// Only a cluster that KUBECONFIG names can be used here.

func newRun(o *options) *cobra.Command {
	cmd := newExec(o)
	cmd.Use = "run [flags] -- COMMAND [ARGUMENT...]"
	// Accepted, so that one command line does for every system.
	cmd.Flags().Bool("no-gateway", false, "no effect on a cluster of your own")
	cmd.Flags().Bool("audit", false, "no effect on a cluster of your own")
	cmd.Flags().Bool("keep", false, "no effect on a cluster of your own")
	cmd.Flags().StringArray("image", nil, "no effect on a cluster of your own")
	return cmd
}

func newExec(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "exec -- COMMAND [ARGUMENT...]",
		Short: "Run a command with KUBECONFIG, Helm and kubectl set for tests",
		Args:  commandArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.external() {
				return runExternal(cmd.Context(), o, args)
			}
			return host.Supported()
		},
	}
}

func newUp(*options) *cobra.Command         { return unsupported("up") }
func newDown(*options) *cobra.Command       { return unsupported("down") }
func newStatus(*options) *cobra.Command     { return unsupported("status") }
func newKubeconfig(*options) *cobra.Command { return unsupported("kubeconfig") }
func newComponent(*options) *cobra.Command  { return unsupported("component") }
func newLogs(*options) *cobra.Command       { return unsupported("logs") }
func newImage(*options) *cobra.Command      { return unsupported("image") }
func internalCommands() []*cobra.Command    { return nil }

// unsupported is a command about clusters of the test bed's own.
func unsupported(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              "Linux only",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return host.Supported()
		},
	}
}
