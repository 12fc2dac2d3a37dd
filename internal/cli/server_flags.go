package cli

import (
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/api"
)

// serverFlags say which server a command asks.
type serverFlags struct{ url string }

func (f *serverFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "server", os.Getenv("FAIRLEAD_SERVER"),
		"URL of the fairlead server; FAIRLEAD_SERVER (token: FAIRLEAD_TOKEN) (default "+api.DefaultServer+")")
}

func (f *serverFlags) client() api.Client {
	// The token comes from the environment only: arguments show in process lists.
	return api.Client{Server: f.url, Token: os.Getenv("FAIRLEAD_TOKEN")}
}
