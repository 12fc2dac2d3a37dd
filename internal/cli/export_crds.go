package cli

import (
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/deploy"
)

func newExportCRDsCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "crds",
		Short:   "Print the custom resource definitions (CanaryRelease)",
		Example: "  fairlead export crds | kubectl apply --server-side -f -",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fs.WalkDir(deploy.CRDs, "crds", func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				text, err := fs.ReadFile(deploy.CRDs, path)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(s.Out, "%s", text)
				return err
			})
		},
	}
}
