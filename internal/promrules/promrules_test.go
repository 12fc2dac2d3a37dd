package promrules

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/config"
)

func TestEveryRuleHasItsAlert(t *testing.T) {
	text, err := Plain(config.Default().Alerts)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	p := parser.NewParser(parser.Options{})
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if _, err := p.ParseExpr(r.Expr); err != nil {
				t.Errorf("%s%s: %v", r.Alert, r.Record, err)
			}
			if r.Alert == "" {
				continue
			}
			found[r.Alert] = true
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" ||
				!strings.HasSuffix(r.Annotations["runbook_url"], "#"+strings.ToLower(r.Alert)) {
				t.Errorf("%s: %v %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
	for _, r := range alert.Rules() {
		if !found[string(r)] {
			t.Errorf("no rule for %s", r)
		}
	}
}

func TestThresholdsAreTheConfigurations(t *testing.T) {
	c := config.Default().Alerts
	c.RollbackRate.Threshold, c.ConsecutiveFailures.Count, c.Runbooks = 0.35, 7, ""
	text, err := PrometheusRule(c, "monitoring", map[string]string{"release": "prometheus"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"> 0.35", "helm_release_consecutive_failures > 7", "kind: PrometheusRule", "namespace: monitoring", "release: prometheus"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "runbook_url") {
		t.Error("a runbook without a page")
	}
}
