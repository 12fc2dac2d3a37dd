package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	labelTrack = "track"
	envTrack   = "DEPLOYMENT_TRACK"
	envVersion = "APP_VERSION"
)

// templateHash identifies a pod template.
func templateHash(t *corev1.PodTemplateSpec) string {
	text, err := json.Marshal(t)
	if err != nil {
		return "" // a template that was decoded from JSON encodes
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5])
}

// versionOf is the version that a pod template tells: APP_VERSION, the label
// app.kubernetes.io/version, or the tag of the first image.
func versionOf(t *corev1.PodTemplateSpec) string {
	for _, c := range t.Spec.Containers {
		for _, e := range c.Env {
			if e.Name == envVersion && e.Value != "" {
				return e.Value
			}
		}
	}
	if v := t.Labels["app.kubernetes.io/version"]; v != "" {
		return v
	}
	for _, c := range t.Spec.Containers {
		_, after, _ := strings.Cut(c.Image, "/")
		if _, tag, ok := strings.Cut(after, ":"); ok {
			return tag
		}
	}
	return ""
}

// promoted returns stable's pod template with what the canary's has, but for
// what makes each of them its track: the labels that either selects pods by,
// the label track, DEPLOYMENT_TRACK, and the paths to keep.
func promoted(stable, canary *workload, keep []string) (*corev1.PodTemplateSpec, error) {
	out := canary.template.DeepCopy()
	own := map[string]bool{labelTrack: true}
	for _, w := range []*workload{stable, canary} {
		for key := range w.selector.MatchLabels {
			own[key] = true
		}
		for _, e := range w.selector.MatchExpressions {
			own[e.Key] = true
		}
	}
	for key := range own {
		setOrDelete(&out.Labels, key, stable.template.Labels)
	}
	for i := range out.Spec.Containers {
		keepEnv(&out.Spec.Containers[i], stable.template.Spec.Containers, envTrack)
	}
	for i := range out.Spec.InitContainers {
		keepEnv(&out.Spec.InitContainers[i], stable.template.Spec.InitContainers, envTrack)
	}
	for _, path := range keep {
		if err := keepPath(out, stable.template, path); err != nil {
			return nil, fmt.Errorf("spec.promotion.keep: %q: %w", path, err)
		}
	}
	return out, nil
}

// sameVersion reports whether a promotion by somebody else has happened: the
// same images in the same containers, and the same version.
func sameVersion(stable, canary *corev1.PodTemplateSpec) bool {
	images := func(t *corev1.PodTemplateSpec) map[string]string {
		m := map[string]string{}
		for _, c := range t.Spec.Containers {
			m[c.Name] = c.Image
		}
		return m
	}
	return equality.Semantic.DeepEqual(images(stable), images(canary)) && versionOf(stable) == versionOf(canary)
}

func setOrDelete(to *map[string]string, key string, from map[string]string) {
	v, ok := from[key]
	if !ok {
		delete(*to, key)
		return
	}
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[key] = v
}

// keepEnv gives a container the variable as stable's container of that name has it.
func keepEnv(c *corev1.Container, stable []corev1.Container, name string) {
	at := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
	var have *corev1.EnvVar
	for i := range stable {
		if stable[i].Name != c.Name {
			continue
		}
		if j := slices.IndexFunc(stable[i].Env, func(e corev1.EnvVar) bool { return e.Name == name }); j >= 0 {
			have = &stable[i].Env[j]
		}
	}
	switch {
	case have != nil && at >= 0:
		c.Env[at] = *have.DeepCopy()
	case have != nil:
		c.Env = append(c.Env, *have.DeepCopy())
	case at >= 0:
		c.Env = slices.Delete(c.Env, at, at+1)
	}
}

// keepPath gives out what stable has at path, or nothing where stable has nothing.
func keepPath(out, stable *corev1.PodTemplateSpec, path string) error {
	steps, err := parsePath(path)
	if err != nil {
		return err
	}
	to, err := runtime.DefaultUnstructuredConverter.ToUnstructured(out)
	if err != nil {
		return err
	}
	from, err := runtime.DefaultUnstructuredConverter.ToUnstructured(stable)
	if err != nil {
		return err
	}
	value, ok := valueAt(from, steps)
	if err := setAt(to, steps, value, ok); err != nil {
		return err
	}
	*out = corev1.PodTemplateSpec{}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(to, out)
}

// pathStep is a field, and in a list the element of that name.
type pathStep struct{ field, element string }

// parsePath reads metadata.labels.KEY, metadata.annotations.KEY (keys may have
// dots) and spec.field.list[name].field.
func parsePath(path string) ([]pathStep, error) {
	for _, prefix := range []string{"metadata.labels.", "metadata.annotations."} {
		if key, ok := strings.CutPrefix(path, prefix); ok && key != "" {
			return []pathStep{{field: "metadata"}, {field: strings.Split(prefix, ".")[1]}, {field: key}}, nil
		}
	}
	if rest, ok := strings.CutPrefix(path, "spec."); !ok || rest == "" {
		return nil, fmt.Errorf("want a path of the pod template: metadata.labels.KEY, metadata.annotations.KEY or spec.FIELD")
	}
	var steps []pathStep
	rest := path
	for rest != "" {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		step := pathStep{field: rest[:end]}
		rest = rest[end:]
		if inner, ok := strings.CutPrefix(rest, "["); ok {
			name, after, closed := strings.Cut(inner, "]")
			if !closed || name == "" {
				return nil, fmt.Errorf("want [name] with the name of an element of %s", step.field)
			}
			step.element, rest = name, after
		}
		if step.field == "" {
			return nil, fmt.Errorf("a field is missing")
		}
		if rest != "" && !strings.HasPrefix(rest, ".") {
			return nil, fmt.Errorf("want a dot before %q", rest)
		}
		rest = strings.TrimPrefix(rest, ".")
		steps = append(steps, step)
	}
	return steps, nil
}

func element(list any, name string) (int, map[string]any) {
	items, _ := list.([]any)
	for i, item := range items {
		if m, ok := item.(map[string]any); ok && m["name"] == name {
			return i, m
		}
	}
	return -1, nil
}

func valueAt(at map[string]any, steps []pathStep) (any, bool) {
	for i, s := range steps {
		v, ok := at[s.field]
		if ok && s.element != "" {
			n, m := element(v, s.element)
			v, ok = m, n >= 0
		}
		if !ok || i == len(steps)-1 {
			return v, ok
		}
		if at, ok = v.(map[string]any); !ok {
			return nil, false
		}
	}
	return nil, false
}

// setAt puts value at the path, or removes what is there.
func setAt(at map[string]any, steps []pathStep, value any, present bool) error {
	s, last := steps[0], len(steps) == 1
	if s.element == "" {
		if last {
			if present {
				at[s.field] = value
			} else {
				delete(at, s.field)
			}
			return nil
		}
		next, ok := at[s.field].(map[string]any)
		if !ok {
			if !present {
				return nil
			}
			next = map[string]any{}
			at[s.field] = next
		}
		return setAt(next, steps[1:], value, present)
	}
	list, _ := at[s.field].([]any)
	n, m := element(at[s.field], s.element)
	switch {
	case last && present && n >= 0:
		list[n] = value
	case last && present:
		at[s.field] = append(list, value)
	case last && n >= 0:
		at[s.field] = slices.Delete(list, n, n+1)
	case n >= 0:
		return setAt(m, steps[1:], value, present)
	case present:
		return fmt.Errorf("%s has no element %s", s.field, s.element)
	}
	return nil
}
