// Package canary reads a CanaryRelease in the words of the packages that decide:
// a plan for rollout, settings for judge, a source for prom. Whoever drives a
// rollout, the controller or `rollout run`, reads it through here.
package canary

import (
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/rollout"
)

// Plan returns the plan that the spec asks for. Its error names field and value.
func Plan(spec *v1alpha1.CanaryReleaseSpec) (rollout.Plan, error) {
	p := rollout.Plan{
		Deadline:       duration(spec.Deadline),
		OnInconclusive: rollout.Policy(spec.OnInconclusive),
		PromoteTimeout: duration(spec.Promotion.Timeout),
	}
	for _, s := range spec.Steps {
		p.Steps = append(p.Steps, rollout.Step{Weight: int(s.Weight), Gate: duration(s.Gate), Approval: s.Approval})
	}
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("spec.%w", err)
	}
	return p, nil
}

// Analysis returns the settings of the judge, over its defaults. Its error
// names field and value.
func Analysis(spec *v1alpha1.CanaryReleaseSpec) (analysis.Config, error) {
	if spec.Analysis == nil {
		return analysis.Default(), nil
	}
	text, err := json.Marshal(spec.Analysis)
	if err != nil {
		return analysis.Config{}, fmt.Errorf("spec.analysis: %w", err)
	}
	c, err := analysis.Decode(text)
	if err != nil {
		return c, fmt.Errorf("spec.%w", err)
	}
	return c, nil
}

// Subject says whose series are compared. The tracks are told apart by the
// label of the track: versions change hands at a promotion.
func Subject(spec *v1alpha1.CanaryReleaseSpec) judge.Subject {
	s := judge.Subject{Service: spec.Service}
	if spec.Match != nil {
		s.Canary, s.Stable = spec.Match.Canary, spec.Match.Stable
	}
	return s
}

func duration(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}
