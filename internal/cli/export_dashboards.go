package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/deploy"
)

// The forms of dashboards.
const (
	dashboardsJSON      = "json"
	dashboardsConfigMap = "configmap"
	dashboardsOperator  = "grafana-operator"
)

type exportDashboardsOptions struct {
	streams   Streams
	format    string
	namespace string
	directory string
}

func newExportDashboardsCommand(s Streams) *cobra.Command {
	o := exportDashboardsOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "dashboards [NAME]",
		Short: "Print the Grafana dashboards",
		Long: `Print the Grafana dashboards: fairlead-helm, fairlead-deployment, fairlead-canary.

As json they are what Grafana imports; one needs a NAME, or --dir for all. A
configmap has the label grafana_dashboard="1", which Grafana's sidecar reads; for
the grafana-operator they are GrafanaDashboard resources.`,
		Example: `  fairlead export dashboards fairlead-helm > helm.json
  fairlead export dashboards --dir /var/lib/grafana/dashboards
  fairlead export dashboards --format configmap --namespace monitoring | kubectl apply -f -
  fairlead export dashboards --format grafana-operator | kubectl apply -f -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runExportDashboards(o, args) },
	}
	cmd.Flags().StringVar(&o.format, "format", dashboardsJSON, "json, configmap or grafana-operator")
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "namespace of the resources")
	cmd.Flags().StringVar(&o.directory, "dir", "", "write a file each into this directory")
	return cmd
}

func runExportDashboards(o exportDashboardsOptions, args []string) error {
	entries, err := deploy.Dashboards.ReadDir("dashboards")
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".json")
		if len(args) == 0 || args[0] == name {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return fmt.Errorf("dashboard %q: want fairlead-helm, fairlead-deployment or fairlead-canary", args[0])
	case o.format == dashboardsJSON && len(names) > 1 && o.directory == "":
		return fmt.Errorf("--format json: want the NAME of a dashboard, or --dir; there are %s", strings.Join(names, ", "))
	}
	for i, name := range names {
		text, extension, err := dashboardForm(name, o.format, o.namespace)
		if err != nil {
			return err
		}
		if o.directory != "" {
			path := filepath.Join(o.directory, name+extension)
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return err
			}
			fmt.Fprintln(o.streams.Err, "wrote "+path)
			continue
		}
		if i > 0 {
			fmt.Fprintln(o.streams.Out, "---")
		}
		if _, err := io.Copy(o.streams.Out, bytes.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

func dashboardForm(name, format, namespace string) (text []byte, extension string, err error) {
	text, err = deploy.Dashboards.ReadFile("dashboards/" + name + ".json")
	if err != nil || format == dashboardsJSON {
		return text, ".json", err
	}
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, "", err
	}
	var resource map[string]any
	switch format {
	case dashboardsConfigMap:
		metadata["labels"] = map[string]string{"grafana_dashboard": "1"}
		resource = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": map[string]string{name + ".json": compact.String()}}
	case dashboardsOperator:
		resource = map[string]any{"apiVersion": "grafana.integreatly.org/v1beta1", "kind": "GrafanaDashboard", "metadata": metadata,
			"spec": map[string]any{"instanceSelector": map[string]any{"matchLabels": map[string]string{"dashboards": "grafana"}}, "json": compact.String()}}
	default:
		return nil, "", fmt.Errorf("--format %q: want json, configmap or grafana-operator", format)
	}
	text, err = yaml.Marshal(resource)
	return text, ".yaml", err
}
