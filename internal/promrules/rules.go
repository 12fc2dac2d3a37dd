// Package promrules makes the Prometheus rules of deploy/rules: the rules of
// package alert as PromQL, for who alerts with Prometheus over the metrics of
// fairlead's server or agent.
package promrules

import (
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/config"
)

// Name is the name of the rules, as a file and as a PrometheusRule.
const Name = "fairlead"

type file struct {
	Groups []group `json:"groups"`
}

type group struct {
	Name     string `json:"name"`
	Interval string `json:"interval,omitempty"`
	Rules    []rule `json:"rules"`
}

type rule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Plain returns the rules as a rule file, with the thresholds of c.
func Plain(c config.Alerts) ([]byte, error) {
	return marshal(rules(c))
}

// PrometheusRule returns them as a resource of the Prometheus operator. labels
// are what its ruleSelector asks for.
func PrometheusRule(c config.Alerts, namespace string, labels map[string]string) ([]byte, error) {
	metadata := map[string]any{"name": Name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	return marshal(map[string]any{"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": rules(c)})
}

func marshal(v any) ([]byte, error) {
	text, err := yaml.Marshal(v)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{[]byte("# Made by `fairlead export rules`; docs/alerts.md says what to do when one fires.\n"), text}, nil), nil
}

// byRelease are the labels of a release's series.
const (
	byRelease   = "k8s_cluster_name, helm_namespace, helm_release"
	byNamespace = "k8s_cluster_name, helm_namespace"
)

func rules(c config.Alerts) file {
	return file{Groups: []group{
		{Name: "fairlead-baselines", Interval: "5m", Rules: baselines(c)},
		{Name: "fairlead-helm", Rules: append(append(rollbackRate(c), slow(c)), failing(c), stuck(c))},
		{Name: "fairlead-canary", Rules: []rule{noData(c)}},
	}}
}

// Names of recorded series. The baseline leaves out the last hour, and with it
// the deployment that is compared.
const (
	recordP99   = "fairlead:helm_deploy_duration_seconds:p99"
	recordCount = "fairlead:helm_deploy_duration_seconds:count"
)

func baselines(c config.Alerts) []rule {
	window := c.SlowDeploy.Baseline.String()
	over := func(suffix, by string) string {
		return fmt.Sprintf(`sum by (%s) (increase(helm_deploy_duration_seconds_%s{helm_success="true"}[%s] offset %s))`, by, suffix, window, c.SlowDeploy.Keep)
	}
	return []rule{
		{Record: recordP99, Expr: "histogram_quantile(0.99, " + over("bucket", "le, "+byRelease) + ")"},
		{Record: recordCount, Expr: over("count", byRelease)},
	}
}

func rollbackRate(c config.Alerts) []rule {
	r := c.RollbackRate
	expr := func(by string) string {
		sum := func(metric string) string {
			if by == "" {
				return fmt.Sprintf("sum(increase(%s[%s]))", metric, r.Window)
			}
			return fmt.Sprintf("sum by (%s) (increase(%s[%s]))", by, metric, r.Window)
		}
		// increase() extrapolates; whole operations are meant.
		return fmt.Sprintf("%s\n  / (%s > 0) > %g\nand round(%s) >= %d", sum("helm_rollback_count_total"), sum("helm_deploy_count_total"), r.Threshold,
			sum("helm_deploy_count_total"), r.MinOperations)
	}
	one := alertRule(c, alert.RollbackRateHigh, expr(byNamespace),
		"Rollback rate {{ $value | humanizePercentage }} in namespace {{ $labels.helm_namespace }} in the last "+r.Window.String(),
		fmt.Sprintf("More than %g %% of the deployments of the namespace were rolled back.", r.Threshold*100))
	all := alertRule(c, alert.RollbackRateHigh, expr("")+fmt.Sprintf("\nand count(count by (%s) (increase(helm_deploy_count_total[%s]) > 0)) > 1", byNamespace, r.Window),
		"Rollback rate {{ $value | humanizePercentage }} over all namespaces in the last "+r.Window.String(),
		fmt.Sprintf("More than %g %% of all deployments were rolled back.", r.Threshold*100))
	all.Labels[alert.LabelScope] = "all"
	return []rule{one, all}
}

func slow(c config.Alerts) rule {
	s := c.SlowDeploy
	recent := fmt.Sprintf("(changes(helm_release_last_duration_seconds[%s]) > 0 or changes(helm_release_last_deploy_time_seconds[%s]) > 0)", s.Keep, s.Keep)
	limit := fmt.Sprintf("> on (%s) group_left () (%g * %s)", byRelease, s.Factor, recordP99)
	expr := fmt.Sprintf(`(
  (helm_release_last_duration_seconds and on (%[1]s) %[2]s)
    %[3]s
  or on (%[1]s)
  (time() - helm_release_pending_since_seconds)
    %[3]s
)
and on (%[1]s) round(%[4]s) >= %[5]d`, byRelease, recent, limit, recordCount, s.MinSamples)
	return alertRule(c, alert.DeploymentSlow, expr,
		"Deployment of {{ $labels.helm_namespace }}/{{ $labels.helm_release }} takes {{ $value | humanizeDuration }}",
		fmt.Sprintf("That is more than %g times the P99 of its successful deployments of the last %s.", s.Factor, s.Baseline))
}

func failing(c config.Alerts) rule {
	return alertRule(c, alert.DeploymentsFailing, fmt.Sprintf("helm_release_consecutive_failures > %d", c.ConsecutiveFailures.Count),
		"{{ $value }} deployments of {{ $labels.helm_namespace }}/{{ $labels.helm_release }} failed in a row",
		fmt.Sprintf("More than %d deployments failed since the last one that went well.", c.ConsecutiveFailures.Count))
}

func stuck(c config.Alerts) rule {
	return alertRule(c, alert.ReleaseStuck, fmt.Sprintf("time() - helm_release_pending_since_seconds > %g", c.StuckPending.After.Std().Seconds()),
		"Release {{ $labels.helm_namespace }}/{{ $labels.helm_release }} has been pending for {{ $value | humanizeDuration }}",
		"An operation began and nobody has seen it end. While it is pending Helm refuses every other operation on the release.")
}

// noData finds analyses that decide something without having the canary's error
// rate, which is left out where there is no data.
func noData(c config.Alerts) rule {
	r := alertRule(c, alert.AnalysisNoData,
		"max by (canary_service, canary_version) (canary_decision_ratio)\nunless on (canary_service, canary_version) canary_error_rate_ratio{deployment_track=\"canary\"}",
		"Canary {{ $labels.canary_version }} of {{ $labels.canary_service }} cannot be judged",
		"Its analysis has no data. Without data it is never promoted.")
	r.For = c.AnalysisNoData.After.String()
	return r
}

func alertRule(c config.Alerts, name alert.Rule, expr, summary, description string) rule {
	a := map[string]string{"summary": summary, "description": description}
	if c.Runbooks != "" {
		a["runbook_url"] = strings.TrimSuffix(c.Runbooks, "/") + "#" + strings.ToLower(string(name))
	}
	return rule{Alert: string(name), Expr: expr, Labels: map[string]string{"severity": name.Severity()}, Annotations: a}
}
