package traffic

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// AnnotationWeight is on the canary workload where the split is by numbers of
// pods: the percentage that was asked for, of which pods are only a rounding.
const AnnotationWeight = "fairlead.dev/weight"

// replicas splits by the number of pods behind one Service that selects both
// tracks. Only the canary is scaled: stable keeps all of its pods until it is
// upgraded, so the canary gets at most half of the requests, whatever the step
// says, and a step gets the next whole number of pods above its share.
type replicas struct {
	client client.Client
	target Target
}

func (r *replicas) get(ctx context.Context, w Workload) (*unstructured.Unstructured, int64, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: w.Kind})
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: r.target.Namespace, Name: w.Name}, obj); err != nil {
		return nil, 0, fmt.Errorf("read %s %s/%s: %w", w.Kind, r.target.Namespace, w.Name, err)
	}
	spec, _, _ := unstructured.NestedMap(obj.Object, "spec")
	return obj, number(spec, "replicas", 1), nil
}

func (r *replicas) both(ctx context.Context) (canary *unstructured.Unstructured, canaryPods, stablePods int64, err error) {
	_, stablePods, err = r.get(ctx, r.target.StableWorkload)
	if err != nil {
		return nil, 0, 0, err
	}
	canary, canaryPods, err = r.get(ctx, r.target.CanaryWorkload)
	return canary, canaryPods, stablePods, err
}

// canaryPods returns how many canary pods beside so many of stable make at
// least that share; from half on it is as many as stable has.
func canaryPods(stable int64, percent int) int64 {
	if percent >= 50 {
		return max(stable, 1)
	}
	rest := int64(100 - percent)
	pods := (stable*int64(percent) + rest - 1) / rest
	if percent > 0 {
		pods = max(pods, 1)
	}
	return pods
}

func (r *replicas) Observe(ctx context.Context) (State, error) {
	canary, pods, stable, err := r.both(ctx)
	if gone(err) {
		return State{Problem: strings.TrimPrefix(err.Error(), "read ") + ": does not exist"}, nil
	}
	if err != nil {
		return State{}, err
	}
	s := State{OK: true, Writable: true}
	if pods == 0 {
		return s, nil
	}
	// A percentage that was asked for stands while the pods are about those it
	// takes: an autoscaler of stable is no edit of the split.
	asked, err := strconv.Atoi(canary.GetAnnotations()[AnnotationWeight])
	if want := canaryPods(stable, asked); err == nil && asked > 0 && pods <= 2*want && 2*pods >= want {
		s.Weight = asked
		return s, nil
	}
	s.Weight = wholePercent(float64(pods) / float64(pods+stable))
	return s, nil
}

func (r *replicas) SetWeight(ctx context.Context, percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("weight %d: want 0 to 100", percent)
	}
	err := retryStale(ctx, func() error {
		canary, pods, stable, err := r.both(ctx)
		if err != nil {
			return err
		}
		want := canaryPods(stable, percent)
		notes := canary.GetAnnotations()
		asked, set := notes[AnnotationWeight]
		if pods == want && (asked == strconv.Itoa(percent) || (!set && percent == 0)) {
			return nil
		}
		ops := []operation{{"test", "/metadata/resourceVersion", canary.GetResourceVersion()}, {"add", "/spec/replicas", want}}
		if notes == nil {
			ops = append(ops, operation{"add", "/metadata/annotations", map[string]string{AnnotationWeight: strconv.Itoa(percent)}})
		} else {
			ops = append(ops, operation{"add", "/metadata/annotations/" + strings.ReplaceAll(AnnotationWeight, "/", "~1"), strconv.Itoa(percent)})
		}
		return patch(ctx, r.client, canary, ops)
	})
	if err != nil {
		return fmt.Errorf("give %s %d %%: %w", r.target.CanaryWorkload.Name, percent, err)
	}
	return nil
}

func (r *replicas) Preflight(ctx context.Context) ([]Problem, error) {
	var problems []Problem
	for _, w := range []Workload{r.target.StableWorkload, r.target.CanaryWorkload} {
		_, pods, err := r.get(ctx, w)
		object := fmt.Sprintf("%s %s/%s", w.Kind, r.target.Namespace, w.Name)
		switch {
		case gone(err):
			problems = append(problems, Problem{CodeNotFound, object, "", "does not exist"})
		case err != nil:
			return nil, err
		case w == r.target.StableWorkload && pods == 0:
			problems = append(problems, Problem{CodeWeights, object, "spec.replicas", "is 0: no share can be had of no pods"})
		}
	}
	return problems, nil
}
