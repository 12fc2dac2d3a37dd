package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newBuild(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build what a cluster runs, into the user's cache directory",
		Long: `Builds etcd, Kubernetes, CoreDNS, Traefik, Helm 3, Helm 4 and the test images.
What is in the cache is not built again; "up" and "run" do the same first.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache, err := o.cache()
			if err != nil {
				return err
			}
			set, err := cache.Build(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(o.stdout, "components  %s\nhelm3       %s\nhelm4       %s\nimages      %s\n",
				set.Components, set.Helm3, set.Helm4, set.Images)
			return nil
		},
	}
}

func newHelm(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "helm 3|4",
		Short:   "Print the path of a Helm binary, building it if need be",
		Example: `  $(cluster helm 4) version`,
		Args:    exactly("3|4"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cache, err := o.cache()
			if err != nil {
				return err
			}
			path, err := cache.Helm(cmd.Context(), args[0])
			if err != nil {
				return usageOr(err, args[0] != "3" && args[0] != "4")
			}
			fmt.Fprintln(o.stdout, path)
			return nil
		},
	}
}

func usageOr(err error, usage bool) error {
	if usage {
		return usageError{err}
	}
	return err
}
