package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/rbac"
)

func newExportRBACCommand(s Streams) *cobra.Command {
	var o rbac.Options
	cmd := &cobra.Command{
		Use:   "rbac agent|controller|wrapper|rollout",
		Short: "Print the Kubernetes permissions of agent, controller, fairlead helm or fairlead rollout run",
		Long: `Print a ServiceAccount with the roles and bindings of one part: agent is
fairlead agent; controller is fairlead controller; wrapper is fairlead helm, beside what Helm itself needs;
rollout is fairlead rollout run, beside what Helm and wrapper need.

Without --namespace they hold for the whole cluster, otherwise for the chosen
namespaces only. What is not granted is missed where it would have shown, is
named once, and stops nothing else.`,
		Example: `  fairlead export rbac agent | kubectl apply -f -
  fairlead export rbac controller | kubectl apply -f -
  fairlead export rbac agent --namespace shop --namespace payments
  fairlead export rbac wrapper --namespace shop --own-namespace ci --service-account deployer
  fairlead export rbac rollout --namespace shop --own-namespace ci --service-account deployer`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Part = rbac.Part(args[0])
			out, err := rbac.Manifests(o)
			if err != nil {
				return fmt.Errorf("export rbac: %w", err)
			}
			_, err = s.Out.Write(out)
			return err
		},
	}
	for _, p := range rbac.Parts {
		cmd.ValidArgs = append(cmd.ValidArgs, string(p))
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Namespaces, "namespace", "n", nil, "namespace of releases; may be repeated (default: the whole cluster)")
	f.StringVar(&o.Own, "own-namespace", "fairlead", "namespace of the ServiceAccount")
	f.StringVar(&o.ServiceAccount, "service-account", "", "name of the ServiceAccount (default \"fairlead-\" and the part)")
	f.StringVar(&o.Storage, "storage", "secrets", "where Helm keeps its records: secrets or configmaps")
	return cmd
}
