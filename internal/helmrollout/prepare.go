package helmrollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
	"fairlead.dev/fairlead/internal/traffic"
)

// StrategyHelm is the promotion that a run does.
const StrategyHelm = "helm"

// AnnotationInputs holds a digest of what the canary release was deployed from,
// so that a run that goes on knows whether it still is that.
const AnnotationInputs = "fairlead.dev/run-inputs"

// maxFile bounds the file of a run.
const maxFile = 1 << 20

// Prepare reads a CanaryRelease with a helm block, gives it a namespace and
// defaults, and checks what an API server would. Its error names field and value.
func Prepare(text []byte, namespace string) (*v1alpha1.CanaryRelease, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("has %d bytes: want at most %d", len(text), maxFile)
	}
	cr := &v1alpha1.CanaryRelease{}
	if err := yaml.UnmarshalStrict(text, cr); err != nil {
		return nil, err
	}
	if cr.Namespace == "" {
		cr.Namespace = namespace
	}
	if cr.Spec.Promotion.Strategy == "" {
		cr.Spec.Promotion.Strategy = StrategyHelm
	}
	for _, track := range []*v1alpha1.Track{&cr.Spec.Stable, &cr.Spec.Canary} {
		if track.Workload.Kind == "" {
			track.Workload.Kind = "Deployment"
		}
	}
	return cr, check(cr)
}

func check(cr *v1alpha1.CanaryRelease) error {
	spec := &cr.Spec
	required := func(field, value string) error {
		if value == "" {
			return fmt.Errorf("%s is missing", field)
		}
		return nil
	}
	switch {
	case cr.APIVersion != v1alpha1.GroupVersion.String() || cr.Kind != v1alpha1.Kind:
		return fmt.Errorf("is %s %s: want %s %s", cr.APIVersion, cr.Kind, v1alpha1.GroupVersion, v1alpha1.Kind)
	case spec.Helm == nil:
		return fmt.Errorf("spec.helm is missing: want chart, stable and canary (the names of the releases)")
	case spec.Promotion.Strategy != StrategyHelm:
		return fmt.Errorf("spec.promotion.strategy: %q: want %q, or leave it out", spec.Promotion.Strategy, StrategyHelm)
	case spec.Helm.Stable != "" && spec.Helm.Stable == spec.Helm.Canary:
		return fmt.Errorf("spec.helm.canary: %q is the stable release: want another name", spec.Helm.Canary)
	case spec.Stable.Workload == spec.Canary.Workload && spec.Stable.Workload.Name != "":
		return fmt.Errorf("spec.canary.workload: %q is the workload of stable: each track needs one of its own", spec.Canary.Workload.Name)
	}
	for _, f := range [][2]string{
		{"metadata.name", cr.Name}, {"spec.service", spec.Service}, {"spec.helm.chart", spec.Helm.Chart},
		{"spec.helm.stable", spec.Helm.Stable}, {"spec.helm.canary", spec.Helm.Canary},
		{"spec.stable.workload.name", spec.Stable.Workload.Name}, {"spec.canary.workload.name", spec.Canary.Workload.Name},
		{"spec.stable.service", spec.Stable.Service}, {"spec.canary.service", spec.Canary.Service},
	} {
		if err := required(f[0], f[1]); err != nil {
			return err
		}
	}
	for field, w := range map[string]v1alpha1.Workload{"spec.stable.workload.kind": spec.Stable.Workload, "spec.canary.workload.kind": spec.Canary.Workload} {
		if w.Kind != "Deployment" && w.Kind != "StatefulSet" {
			return fmt.Errorf("%s: %q: want Deployment or StatefulSet", field, w.Kind)
		}
	}
	if _, err := canary.Plan(spec); err != nil {
		return err
	}
	if _, err := canary.Analysis(spec); err != nil {
		return err
	}
	t, err := canary.Target(cr)
	if err != nil {
		return err
	}
	if _, err := traffic.New(nil, t); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	return nil
}

// chartArgs are the arguments of a release after its name: chart, namespace,
// version, values.
func chartArgs(cr *v1alpha1.CanaryRelease, isCanary bool) []string {
	h := cr.Spec.Helm
	args := []string{h.Chart, "--namespace", cr.Namespace}
	if h.Version != "" {
		args = append(args, "--version", h.Version)
	}
	values, set := h.Values, h.Set
	if isCanary {
		values, set = append(values[:len(values):len(values)], h.CanaryValues...), append(set[:len(set):len(set)], h.CanarySet...)
	}
	for _, v := range values {
		args = append(args, "--values", v)
	}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	return args
}

// templateArgs are those of an upgrade that `helm template` takes, too. What it
// does not know would be an error: flags that only matter when something is
// installed are left out.
func templateArgs(args []string) []string {
	var kept []string
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		switch name {
		case "--history-max", "--cleanup-on-fail", "--reset-values", "--reuse-values", "--reset-then-reuse-values", "--force", "--force-replace", "--force-conflicts", "--take-ownership", "--install", "-i":
			if name == "--history-max" && !joined {
				i++
			}
			continue
		}
		kept = append(kept, args[i])
	}
	return kept
}

// digest is of everything that the canary release is deployed from.
func digest(cr *v1alpha1.CanaryRelease, args []string) (string, error) {
	h := sha256.New()
	text, err := json.Marshal([]any{cr.Spec.Helm, args})
	if err != nil {
		return "", err
	}
	h.Write(text)
	for _, path := range append(cr.Spec.Helm.Values[:len(cr.Spec.Helm.Values):len(cr.Spec.Helm.Values)], cr.Spec.Helm.CanaryValues...) {
		if strings.Contains(path, "://") {
			continue // Helm fetches it
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("spec.helm.values: %w", err)
		}
		fmt.Fprintf(h, "\x00%d\x00", len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// generation is of stable's workload: it rises with every change of its spec.
func (r *run) generation(ctx context.Context) (int64, error) {
	w := r.Release.Spec.Stable.Workload
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kindOr(w.Kind)})
	if err := r.Store.Get(ctx, client.ObjectKey{Namespace: r.key.Namespace, Name: w.Name}, o); err != nil {
		return 0, fmt.Errorf("read %s %s/%s: %w", w.Kind, r.key.Namespace, w.Name, err)
	}
	return o.GetGeneration(), nil
}
