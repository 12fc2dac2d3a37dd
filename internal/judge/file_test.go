package judge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
)

func TestDecodeFile(t *testing.T) {
	release := `
apiVersion: fairlead.dev/v1alpha1
kind: CanaryRelease
metadata: {name: checkout, namespace: shop}
spec:
  service: checkout-service
  stable: {workload: {kind: Deployment, name: checkout}, service: checkout}
  canary: {workload: {kind: Deployment, name: checkout-canary}, service: checkout-canary}
  traffic: {httpRoute: {name: checkout}}
  steps:
  - {weight: 10, gate: 5m}
  - {weight: 100}
  analysis:
    rule: sequential
    window: 5m
    minRequests: 50
    errorRate: {threshold: 0.10, margin: {relative: 0.10, absolute: 0.0002}}
    business:
    - {name: conversion, good: checkout_orders_total, of: checkout_sessions_total, maxDrop: 0.05}
  source: {prometheus: {url: "http://fairlead.fairlead:8484/prometheus"}}
  traces: {tempo: {url: "http://fairlead.fairlead:8484/tempo"}}
  promotion: {strategy: template}
  onInconclusive: hold
  deadline: 1h
  webhooks: []
  windows: []
`
	f, err := judge.DecodeFile([]byte(release))
	if err != nil {
		t.Fatal(err)
	}
	if f.Service != "checkout-service" || len(f.Steps) != 2 || f.Steps[0].Weight != 10 || time.Duration(f.Steps[0].Gate) != 5*time.Minute ||
		f.Analysis.MinRequests != 50 || len(f.Analysis.Business) != 1 || f.Source.Prometheus == nil || f.OnInconclusive != "hold" || time.Duration(f.Deadline) != time.Hour {
		t.Errorf("read %+v", f)
	}

	f, err = judge.DecodeFile([]byte("rule: threshold\nerror_rate_threshold: 0.05\nanalysis_window: 3m\n"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Analysis.Rule != analysis.RuleThreshold || f.Analysis.ErrorRate.Threshold != 0.05 || time.Duration(f.Analysis.Window) != 3*time.Minute || len(f.Steps) != 4 {
		t.Errorf("an analysis alone: read %+v", f)
	}
}

func TestDecodeFileRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown setting":  {"service: a\nservise: b", "servise: no such setting"},
		"unknown analysis": {"analysis: {minReqests: 1}", "minReqests"},
		"bare and wrong":   {"rule: astrology", "analysis.rule = astrology"},
		"kind":             {"kind: Deployment", "kind = Deployment"},
		"weights fall":     {"steps: [{weight: 50, gate: 1m}, {weight: 5, gate: 1m}]", "steps[1].weight = 5"},
		"weight":           {"steps: [{weight: 150}]", "steps[0].weight = 150"},
		"no steps":         {"steps: []", "steps"},
		"gate":             {"steps: [{weight: 5, gate: soon}]", "soon"},
		"policy":           {"onInconclusive: pray", "onInconclusive = pray"},
		"source":           {"source: {prometheus: {url: prometheus}}", "source.prometheus.url = prometheus"},
		"twice":            {"service: a\nservice: b", "service"},
		"no map":           {"- a", "want a map"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.yaml")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := judge.ReadFile(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with the file's name and %q", err, tc.want)
			}
		})
	}
}
