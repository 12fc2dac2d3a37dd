package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/tracing"
)

// File is what `canary analyze -f` and `canary replay --config` read: the
// subject, the analysis, where the samples are and, for a replay, the steps. A
// CanaryRelease is read too; what it says of workloads, routes and promotion
// does not matter here.
type File struct {
	Service  string          `json:"service"`
	Versions Versions        `json:"versions,omitzero"`
	Match    Matches         `json:"match,omitzero"`
	Analysis analysis.Config `json:"analysis"`
	Source   FileSource      `json:"source,omitzero"`
	// Traces says where the canary's traces are: a rollback is explained by them.
	Traces *tracing.Config `json:"traces,omitempty"`
	Steps  []FileStep      `json:"steps,omitempty"`
	// Deadline of the rollout, and what happens then: rollback or hold.
	Deadline       analysis.Duration `json:"deadline,omitempty"`
	OnInconclusive string            `json:"onInconclusive,omitempty"`
}

// Versions are the service.version of both tracks.
type Versions struct {
	Canary string `json:"canary"`
	Stable string `json:"stable"`
}

// Matches are label equalities of both tracks, beside service and version.
type Matches struct {
	Canary map[string]string `json:"canary,omitempty"`
	Stable map[string]string `json:"stable,omitempty"`
}

// FileSource says where the samples are.
type FileSource struct {
	Prometheus *prom.Config `json:"prometheus,omitempty"`
}

// FileStep is a step of the rollout. Weight is percent.
type FileStep struct {
	Weight float64           `json:"weight"`
	Gate   analysis.Duration `json:"gate,omitempty"`
	// Approval is the rollout's affair.
	Approval bool `json:"approval,omitempty"`
}

// What a rollout does at its deadline.
const (
	OnInconclusiveRollback = "rollback"
	OnInconclusiveHold     = "hold"
)

// DefaultFile is the file of someone who wrote none.
func DefaultFile() File {
	return File{
		Analysis:       analysis.Default(),
		Steps:          defaultSteps(),
		Deadline:       analysis.Duration(2 * time.Hour),
		OnInconclusive: OnInconclusiveRollback,
	}
}

func defaultSteps() []FileStep {
	ten, fifteen := analysis.Duration(10*time.Minute), analysis.Duration(15*time.Minute)
	return []FileStep{{Weight: 5, Gate: ten}, {Weight: 25, Gate: ten}, {Weight: 50, Gate: fifteen}, {Weight: 100}}
}

// ReadFile reads and validates a file; "" is the default one.
func ReadFile(path string) (File, error) {
	if path == "" {
		return DefaultFile(), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return File{}, fmt.Errorf("read configuration: %w", err)
	}
	f, err := DecodeFile(text)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// elsewhere are the parts of a CanaryRelease that say nothing about judging.
var elsewhere = []string{"stable", "canary", "traffic", "promotion", "webhooks", "windows", "helm", "pause"}

// DecodeFile reads YAML or JSON over the defaults, strictly.
func DecodeFile(text []byte) (File, error) {
	f := DefaultFile()
	js, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return f, fmt.Errorf("read YAML: %w", err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(js, &top); err != nil {
		return f, errors.New("want a map with service, versions, analysis, source and steps")
	}
	if kind := strings.Trim(string(top["kind"]), `"`); kind != "" {
		if kind != "CanaryRelease" {
			return f, fmt.Errorf("kind = %s: want a CanaryRelease, or a file without kind", kind)
		}
		top, err = releaseSpec(top["spec"])
		if err != nil {
			return f, err
		}
	}
	if err := bareAnalysis(top); err != nil {
		return f, err
	}
	if _, ok := top["steps"]; ok {
		f.Steps = nil
	}
	rest, err := json.Marshal(top)
	if err != nil {
		return f, err
	}
	dec := json.NewDecoder(bytes.NewReader(rest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fileError(err)
	}
	return f, f.Validate()
}

// bareAnalysis moves the settings of a file that is an analysis structure alone,
// or has it beside the rest, to where they belong. A file with a word that is
// neither is left as it is: the decoder names the word.
func bareAnalysis(top map[string]json.RawMessage) error {
	if _, ok := top["analysis"]; ok {
		return nil
	}
	own, settings := fieldNames(reflect.TypeFor[File]()), fieldNames(reflect.TypeFor[analysis.Config]())
	settings = append(settings, "analysis_window", "error_rate_threshold", "latency_threshold_pct", "min_analysis_minutes")
	moved := map[string]json.RawMessage{}
	for name, value := range top {
		switch {
		case slices.Contains(own, name):
		case slices.Contains(settings, name):
			moved[name] = value
		default:
			return nil
		}
	}
	if len(moved) == 0 {
		return nil
	}
	for name := range moved {
		delete(top, name)
	}
	text, err := json.Marshal(moved)
	top["analysis"] = text
	return err
}

// fieldNames are the JSON names of a struct's fields.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// releaseSpec keeps what this package reads of a CanaryRelease's spec.
func releaseSpec(spec json.RawMessage) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(spec, &all); err != nil {
		return nil, errors.New("spec: want a map")
	}
	for _, name := range elsewhere {
		delete(all, name)
	}
	return all, dropSecret(all)
}

// dropSecret removes the name of the Secret with the source's credentials: it
// is in the cluster, and whoever reads a file has credentials of their own.
func dropSecret(spec map[string]json.RawMessage) error {
	var source map[string]map[string]json.RawMessage
	if json.Unmarshal(spec["source"], &source) != nil || source["prometheus"]["secretRef"] == nil {
		return nil // whatever is wrong with it, the decoder says
	}
	delete(source["prometheus"], "secretRef")
	text, err := json.Marshal(source)
	spec["source"] = text
	return err
}

func fileError(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Errorf("%s = %s: want %s", typ.Field, typ.Value, typ.Type)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("%s: no such setting; there are service, versions, match, analysis, source, traces, steps, deadline and onInconclusive", strings.Trim(name, `"`))
	}
	return err
}

// Validate names the first setting that cannot be.
func (f *File) Validate() error {
	if err := f.Analysis.Validate(); err != nil {
		return err
	}
	if f.Source.Prometheus != nil {
		if err := f.Source.Prometheus.Validate(); err != nil {
			return err
		}
	}
	if f.Traces != nil {
		if err := f.Traces.Validate(); err != nil {
			return err
		}
	}
	if len(f.Steps) == 0 {
		return errors.New("steps: want at least one")
	}
	for i, s := range f.Steps {
		switch {
		case !(s.Weight > 0 && s.Weight <= 100):
			return fmt.Errorf("steps[%d].weight = %g: want more than 0 and at most 100 percent", i, s.Weight)
		case i > 0 && s.Weight <= f.Steps[i-1].Weight:
			return fmt.Errorf("steps[%d].weight = %g: want more than the %g of the step before", i, s.Weight, f.Steps[i-1].Weight)
		case s.Gate < 0:
			return fmt.Errorf("steps[%d].gate = %s: want 0s or more", i, s.Gate)
		}
	}
	if f.Deadline < 0 {
		return fmt.Errorf("deadline = %s: want more than 0s", f.Deadline)
	}
	if !slices.Contains([]string{OnInconclusiveRollback, OnInconclusiveHold}, f.OnInconclusive) {
		return fmt.Errorf("onInconclusive = %s: want rollback or hold", f.OnInconclusive)
	}
	return nil
}

// Subject is whose canary the file is about.
func (f *File) Subject() Subject {
	return Subject{Service: f.Service, CanaryVersion: f.Versions.Canary, StableVersion: f.Versions.Stable, Canary: f.Match.Canary, Stable: f.Match.Stable}
}
