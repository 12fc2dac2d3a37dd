package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

const unknown = "unknown"

// Version, commit and date are set by the linker (see the Makefile); what it
// did not set is taken from what Go wrote into the binary.
var (
	version = "0.1.0-dev"
	commit  = unknown
	date    = unknown
)

func init() {
	if info, ok := debug.ReadBuildInfo(); ok && commit == unknown {
		version, commit, date = fromBuildInfo(info, version)
	}
}

// fromBuildInfo returns the module's version where it has one (go install
// ...@v0.1.0), or else fallback, and the commit, where there was a checkout.
func fromBuildInfo(info *debug.BuildInfo, fallback string) (version, commit, date string) {
	version, commit, date = fallback, unknown, unknown
	if v := info.Main.Version; v != "" && v != "(devel)" {
		version = strings.TrimPrefix(v, "v")
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			date = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if commit != unknown {
		version = fallback // in a checkout Go makes up a version
	}
	if modified && commit != unknown {
		commit += "-modified"
	}
	return version, commit, date
}

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
