package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/promrules"
)

func newExportRulesCommand(s Streams) *cobra.Command {
	var format, namespace, file, runbooks string
	var labels map[string]string
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Print the alerts as Prometheus rules",
		Long: `Print the alerts as Prometheus rules, over the metrics of the server or the
agent. Whoever lets fairlead server alert does not need them.

The thresholds are those of the section alerts in --config, or the defaults.`,
		Example: `  fairlead export rules > fairlead.yaml
  fairlead export rules --format prometheusrule --namespace monitoring --label release=prometheus | kubectl apply -f -
  fairlead export rules --config fairlead.yaml --runbooks https://wiki.example.com/fairlead`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Default()
			if file != "" {
				var err error
				if cfg, err = config.Load(file); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("runbooks") {
				cfg.Alerts.Runbooks = runbooks
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			var text []byte
			var err error
			switch format {
			case "plain":
				text, err = promrules.Plain(cfg.Alerts)
			case "prometheusrule":
				text, err = promrules.PrometheusRule(cfg.Alerts, namespace, labels)
			default:
				err = fmt.Errorf("--format %q: want plain or prometheusrule", format)
			}
			if err == nil {
				_, err = s.Out.Write(text)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "plain", "plain (a rule file) or prometheusrule (Prometheus operator)")
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the PrometheusRule")
	f.StringToStringVar(&labels, "label", nil, "label of the PrometheusRule, as its selector wants; may be repeated")
	f.StringVarP(&file, "config", "c", "", "server configuration with the thresholds")
	f.StringVar(&runbooks, "runbooks", config.Runbooks, "URL of the page with an anchor for each alert; empty = no runbook_url")
	return cmd
}
