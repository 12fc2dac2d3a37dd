package canary

import (
	"encoding/json"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/deploy"
	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
)

// schemaOf walks the committed CRD to the schema of a path.
func schemaOf(t *testing.T, path ...string) map[string]any {
	t.Helper()
	text, err := fs.ReadFile(deploy.CRDs, "crds/fairlead.dev_canaryreleases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	at := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, name := range path {
		at = at["properties"].(map[string]any)[name].(map[string]any)
	}
	return at
}

func TestSchemaDefaultsAreTheRolloutsOwn(t *testing.T) {
	var spec v1alpha1.CanaryReleaseSpec
	defaults := map[string]any{}
	for _, name := range []string{"steps", "deadline", "onInconclusive", "promotion"} {
		defaults[name] = schemaOf(t, "spec", name)["default"]
	}
	defaults["promotion"] = map[string]any{"timeout": schemaOf(t, "spec", "promotion", "timeout")["default"]}
	text, err := json.Marshal(defaults)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	got, err := Plan(&spec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rollout.Plan{}.WithDefaults(), got); diff != "" {
		t.Errorf("the schema's defaults differ from package rollout's (-rollout +schema):\n%s", diff)
	}
}

// The CRD's analysis has every setting that package analysis reads, and no other.
func TestSchemaHasEverySettingOfTheAnalysis(t *testing.T) {
	var compare func(path string, api, own reflect.Type)
	names := func(typ reflect.Type) map[string]reflect.Type {
		m := map[string]reflect.Type{}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			f := typ.Field(i).Type
			for f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice {
				f = f.Elem()
			}
			m[name] = f
		}
		return m
	}
	aliases := []string{"analysis_window", "error_rate_threshold", "latency_threshold_pct", "min_analysis_minutes"}
	compare = func(path string, api, own reflect.Type) {
		have, want := names(api), names(own)
		for name := range have {
			if _, ok := want[name]; !ok && !slices.Contains(aliases, name) {
				t.Errorf("%s.%s: not a setting of package analysis", path, name)
			}
		}
		for name, typ := range want {
			switch h, ok := have[name]; {
			case !ok:
				t.Errorf("%s.%s: is missing in the API", path, name)
			case typ.Kind() == reflect.Struct:
				compare(path+"."+name, h, typ)
			}
		}
	}
	compare("analysis", reflect.TypeFor[v1alpha1.Analysis](), reflect.TypeFor[analysis.Config]())
}

func TestAnalysisOfTheContract(t *testing.T) {
	text := `
rule: sequential
preset: semconv
window: 5m
minRequests: 100
errorRate: {threshold: 0.10, margin: {relative: 0.10, absolute: 0.0002}}
latency: {quantiles: [0.99, 0.999], thresholdPct: 0.20, margin: 0.10}
routes: {label: http_route, max: 50}
business:
- {name: conversion, good: checkout_orders_total, of: checkout_sessions_total, maxDrop: 0.05}
`
	want, err := analysis.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var spec v1alpha1.CanaryReleaseSpec
	if err := yaml.UnmarshalStrict([]byte(text), &spec.Analysis); err != nil {
		t.Fatal(err)
	}
	got, err := Analysis(&spec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("through the API the analysis differs (-file +API):\n%s", diff)
	}
}

func TestErrorsNameTheField(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"deadline":        {`{steps: [{weight: 5, gate: 10m}, {weight: 100}], deadline: 5m}`, "spec.deadline: 5m0s: want more than the 10m0s of all gates"},
		"step":            {`{steps: [{weight: 50}, {weight: 5}, {weight: 100}]}`, "spec.steps[1].weight: 5: want more than the 50 of the step before"},
		"analysis window": {`{analysis: {window: 1s}}`, "spec.analysis.window = 1s: want at least one scrape interval (15s) and at most 24h"},
	} {
		t.Run(name, func(t *testing.T) {
			var spec v1alpha1.CanaryReleaseSpec
			if err := yaml.UnmarshalStrict([]byte(c.spec), &spec); err != nil {
				t.Fatal(err)
			}
			_, err := Plan(&spec)
			if err == nil {
				_, err = Analysis(&spec)
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestPlanOfDefaults(t *testing.T) {
	p, err := Plan(&v1alpha1.CanaryReleaseSpec{})
	if err != nil || p.Deadline != 2*time.Hour || len(p.Steps) != 4 {
		t.Errorf("plan of nothing: %+v, %v", p, err)
	}
}
