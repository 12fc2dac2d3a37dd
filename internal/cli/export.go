package cli

import "github.com/spf13/cobra"

func newExportCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print what you apply to your own stack",
		Long: `Print what you apply to your own stack. It is part of this binary, so that both
are always of the same version.`,
		Example: "  fairlead export crds | kubectl apply --server-side -f -",
	}
	cmd.AddCommand(newExportChartCommand(s), newExportManifestsCommand(s),
		newExportCollectorCommand(s), newExportCRDsCommand(s), newExportDashboardsCommand(s), newExportRBACCommand(s), newExportRulesCommand(s))
	return cmd
}
