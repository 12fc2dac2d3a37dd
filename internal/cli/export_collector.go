package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/collector"
)

func newExportCollectorCommand(s Streams) *cobra.Command {
	o := collector.Default()
	o.Environment, o.TokenEnv, o.TokenSecret, o.Endpoint = "", "", "", ""
	var format string
	cmd := &cobra.Command{
		Use:   "collector",
		Short: "Print a configuration of the OpenTelemetry Collector",
		Long: `Print a configuration of the OpenTelemetry Collector: OTLP in over gRPC (4317) and
HTTP (4318), a memory limit, batches of 512 or 5 s, resource attributes set where
they are wanted, Kubernetes events, and OTLP out over TLS, retried.

As resource it is an OpenTelemetryCollector of the operator with its ServiceAccount
and the permissions for events. The components are in the Collector's k8s and
contrib distributions. Where fairlead agent runs, add --no-events: it sends events
itself, joined to their releases.`,
		Example: `  fairlead export collector --endpoint fairlead.example.com:4317 --environment production
  fairlead export collector --format resource --endpoint otlp.example.com:4317 --token-env OTLP_TOKEN --token-secret otlp | kubectl apply -f -
  fairlead export collector --endpoint https://otlp.example.com --events shop --events payments > collector.yaml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			write := map[string]func(collector.Options) ([]byte, error){"plain": collector.Plain, "resource": collector.Resource}[format]
			if write == nil {
				return fmt.Errorf("--format %q: want plain or resource", format)
			}
			if o.Endpoint == "" {
				return fmt.Errorf("--endpoint: is missing; want host:port for gRPC, or an https URL")
			}
			text, err := write(o)
			if err == nil {
				_, err = s.Out.Write(text)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "plain", "plain (the Collector's file) or resource (OpenTelemetry operator, with RBAC)")
	f.StringVar(&o.Endpoint, "endpoint", "", "where everything goes: host:port for gRPC, or an https URL")
	f.StringVar(&o.Environment, "environment", "", "deployment.environment of everything that passes")
	f.StringVar(&o.Cluster, "cluster", "", "k8s.cluster.name of everything that passes")
	f.StringVar(&o.CAFile, "ca-file", "", "certificate authority of the endpoint")
	f.BoolVar(&o.Insecure, "insecure", false, "send without TLS")
	f.StringVar(&o.TokenEnv, "token-env", "", "environment variable of the Collector with a bearer token for the endpoint")
	f.StringVar(&o.TokenSecret, "token-secret", "", "Secret that the variable is filled from, key \"token\"")
	f.StringArrayVar(&o.Events, "events", nil, "take Kubernetes events from this namespace; may be repeated (default all)")
	f.BoolVar(&o.NoEvents, "no-events", false, "take no Kubernetes events")
	f.StringVar(&o.Name, "name", o.Name, "name of the resource")
	f.StringVarP(&o.Namespace, "namespace", "n", o.Namespace, "namespace of the resource")
	f.StringVar(&o.Image, "image", "", "image of the Collector (default: the operator's)")
	return cmd
}
