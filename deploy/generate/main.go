// Command generate writes the dashboards, rules and Collector configurations
// beside it, in deploy/, from the code that defines them. `go generate ./deploy`
// runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"fairlead.dev/fairlead/internal/collector"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/dashboards"
	"fairlead.dev/fairlead/internal/promrules"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files := map[string][]byte{}
	for _, d := range dashboards.All() {
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		files["dashboards/"+d.UID+".json"] = append(text, '\n')
	}
	alerts := config.Default().Alerts
	var err error
	if files["rules/fairlead.yaml"], err = promrules.Plain(alerts); err != nil {
		return err
	}
	if files["rules/prometheusrule.yaml"], err = promrules.PrometheusRule(alerts, "", nil); err != nil {
		return err
	}
	if files["collector/collector.yaml"], err = collector.Plain(collector.Default()); err != nil {
		return err
	}
	if files["collector/opentelemetrycollector.yaml"], err = collector.Resource(collector.Default()); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
