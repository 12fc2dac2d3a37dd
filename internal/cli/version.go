package cli

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version, commit and date are set by the linker (see the Makefile).
var (
	version = "0.1.0-dev"
	commit  = "unknown"
	date    = "unknown"
)

type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Go      string `json:"go"`
}

func newVersionCommand(s Streams) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of fairlead",
		Example: "  fairlead version\n  fairlead version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{Version: version, Commit: commit, Date: date, Go: runtime.Version()}
			switch output {
			case "json":
				return json.NewEncoder(s.Out).Encode(v)
			case "":
				fmt.Fprintf(s.Out, "fairlead %s (commit %s, built %s, %s)\n", v.Version, v.Commit, v.Date, v.Go)
				return nil
			default:
				return fmt.Errorf("--output %q: want json", output)
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json")
	return cmd
}
