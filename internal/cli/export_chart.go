package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/charts"
	"fairlead.dev/fairlead/deploy"
)

func newExportChartCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "chart DIRECTORY",
		Short: "Write the Helm chart of server, agent and controller to a new directory",
		Example: `  fairlead export chart ./fairlead-chart
  fairlead helm install fairlead ./fairlead-chart -n fairlead --create-namespace --wait`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Lstat(args[0]); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("export chart: %s is there already: name a directory that is not", args[0])
			}
			chart, err := fs.Sub(charts.Fairlead, "fairlead")
			if err != nil {
				return err
			}
			if err := os.CopyFS(args[0], chart); err != nil {
				return fmt.Errorf("export chart: %w", err)
			}
			fmt.Fprintln(s.Err, "wrote the chart; its settings are in", filepath.Join(args[0], "values.yaml"))
			return nil
		},
	}
}

func newExportManifestsCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "manifests",
		Short: "Print plain manifests of server, agent and controller, without Helm",
		Long: `Print plain manifests of server, agent and controller for the namespace fairlead,
rendered from the chart with its defaults. The token is a Secret that you make.`,
		Example: `  kubectl create namespace fairlead
  kubectl -n fairlead create secret generic fairlead-token --from-literal=token="$(openssl rand -hex 24)"
  fairlead export manifests | kubectl apply --server-side -f -`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := s.Out.Write(deploy.Manifests)
			return err
		},
	}
}
