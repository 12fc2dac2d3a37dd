package traffic

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// layout says where an object keeps its weights and whether its data plane has
// taken them.
type layout interface {
	// rules returns every list of weighted backends in the object.
	rules(obj *unstructured.Unstructured, t Target) []rule
	// accepted returns "" when the data plane serves the object as it is now,
	// and otherwise what it waits for.
	accepted(obj *unstructured.Unstructured) string
}

// rule is one list of weighted backends.
type rule struct {
	name  string // as the user gave it, "" where the rule has none
	field string // for people: spec.rules[0].backendRefs
	path  string // JSON pointer of the list
	list  []any
	// backends are the list's entries, in its order.
	backends []backend
}

// backend is an entry of a rule.
type backend struct {
	service string // the Service in the target's namespace; "" for anything else
	label   string // for people
	weight  int64
}

// find returns the index of the only entry of a Service; -1 where there is none,
// -2 where there are several.
func (r rule) find(service string) int {
	at := -1
	for i, b := range r.backends {
		if b.service != service {
			continue
		}
		if at >= 0 {
			return -2
		}
		at = i
	}
	return at
}

// weighted is a router over an object with lists of weighted backends.
type weighted struct {
	client client.Client
	target Target
	layout layout
}

// pair is a rule with the entries of stable and canary found in it.
type pair struct {
	rule
	stable, canary int
}

func (p pair) weights() (stable, canary, others int64) {
	for i, b := range p.backends {
		switch i {
		case p.stable:
			stable = b.weight
		case p.canary:
			canary = b.weight
		default:
			others += b.weight
		}
	}
	return stable, canary, others
}

// share returns the canary's percentage of the pair; ok is false when neither
// has any weight.
func (p pair) share() (percent int, ok bool) {
	stable, canary, _ := p.weights()
	if stable+canary == 0 {
		return 0, false
	}
	return wholePercent(float64(canary) / float64(stable+canary)), true
}

// shows reports whether the pair gives the canary exactly that.
func (p pair) shows(percent int) bool {
	stable, canary, _ := p.weights()
	return stable+canary > 0 && canary*100 == int64(percent)*(stable+canary)
}

// split returns the weights that give the canary percent without changing the
// share of the rule's other backends.
func (p pair) split(percent int) (stable, canary int64, err error) {
	s, c, others := p.weights()
	sum := s + c
	if others == 0 {
		sum = 100
	}
	if sum == 0 || sum*int64(percent)%100 != 0 {
		return 0, 0, fmt.Errorf("%s: %s and %s have %d of the rule's weight together, of which %d %% cannot be given in whole numbers: %s", p.field,
			p.backends[p.stable].label, p.backends[p.canary].label, s+c, percent, wholeHint)
	}
	canary = sum * int64(percent) / 100
	return sum - canary, canary, nil
}

const wholeHint = "multiply all weights of the rule so that the two add up to a multiple of 100"

// wholePercent rounds a share to whole percents, so that only nothing is 0 and
// only all is 100.
func wholePercent(share float64) int {
	p := int(share*100 + 0.5)
	switch {
	case share > 0 && p == 0:
		return 1
	case share < 1 && p == 100:
		return 99
	}
	return p
}

func (w *weighted) get(ctx context.Context) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(w.target.Kind.GroupVersionKind())
	err := w.client.Get(ctx, client.ObjectKey{Namespace: w.target.Namespace, Name: w.target.Name}, obj)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", w.target.object(), err)
	}
	return obj, nil
}

// pairs returns the rules that are meant, and what is wrong with them.
func (w *weighted) pairs(obj *unstructured.Unstructured) ([]pair, []Problem) {
	t := w.target
	rules := w.layout.rules(obj, t)
	var pairs []pair
	var problems []Problem
	problem := func(field, format string, args ...any) {
		problems = append(problems, Problem{CodeBackends, t.object(), field, fmt.Sprintf(format, args...)})
	}
	meant := rules
	if len(t.Rules) > 0 {
		meant = nil
		for _, name := range t.Rules {
			if i := ruleIndex(rules, name); i >= 0 {
				meant = append(meant, rules[i])
			} else {
				problem("", "has no rule %q", name)
			}
		}
	}
	for _, r := range meant {
		s, c := r.find(t.Stable), r.find(t.Canary)
		switch {
		case s == -2:
			problem(r.field, "names Service %s twice: join the two into one", t.Stable)
		case c == -2:
			problem(r.field, "names Service %s twice: join the two into one", t.Canary)
		case s >= 0 && c >= 0:
			pairs = append(pairs, pair{r, s, c})
		case len(t.Rules) > 0 && s < 0:
			problem(r.field, "lacks the stable Service %s", t.Stable)
		case len(t.Rules) > 0:
			problem(r.field, "lacks the canary Service %s: add it beside %s with weight 0", t.Canary, t.Stable)
		}
	}
	if len(pairs) == 0 && len(problems) == 0 {
		problem("", "no rule has both Services %s and %s as backends: add %s with weight 0 beside %s", t.Stable, t.Canary, t.Canary, t.Stable)
	}
	return pairs, problems
}

func ruleIndex(rules []rule, name string) int {
	for i, r := range rules {
		if r.name == name {
			return i
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(rules) && name != "" {
		return i
	}
	return -1
}

func (w *weighted) Observe(ctx context.Context) (State, error) {
	obj, err := w.get(ctx)
	if gone(err) {
		return State{Problem: w.target.object() + " does not exist"}, nil
	}
	if err != nil {
		return State{}, err
	}
	pairs, problems := w.pairs(obj)
	var state State
	total, differ := 0, false
	first := -1
	for _, p := range pairs {
		percent, ok := p.share()
		if !ok {
			problems = append(problems, Problem{CodeWeights, w.target.object(), p.field, "both weights are 0: nobody is served"})
		}
		total += percent
		differ = differ || (first >= 0 && percent != first)
		first = percent
	}
	if len(pairs) > 0 {
		state.Weight = wholePercent(float64(total) / float64(100*len(pairs)))
	}
	state.Writable = len(pairs) > 0
	switch waits := w.layout.accepted(obj); {
	case len(problems) > 0:
		state.Problem = problems[0].String()
	case waits != "":
		state.Problem = w.target.object() + ": " + waits
	default:
		state.OK = true
		if differ {
			state.Problem = w.target.object() + ": its rules give the canary different weights"
		}
	}
	return state, nil
}

func (w *weighted) SetWeight(ctx context.Context, percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("weight %d: want 0 to 100", percent)
	}
	err := retryStale(ctx, func() error {
		obj, err := w.get(ctx)
		if err != nil {
			return err
		}
		pairs, problems := w.pairs(obj)
		if len(pairs) == 0 {
			return fmt.Errorf("%s", problems[0])
		}
		var ops []operation
		for _, p := range pairs {
			if p.shows(percent) {
				continue
			}
			stable, canary, err := p.split(percent)
			if err != nil {
				return fmt.Errorf("%s: %w", w.target.object(), err)
			}
			ops = append(ops, operation{Op: "test", Path: p.path, Value: p.list},
				operation{Op: "add", Path: fmt.Sprintf("%s/%d/weight", p.path, p.stable), Value: stable},
				operation{Op: "add", Path: fmt.Sprintf("%s/%d/weight", p.path, p.canary), Value: canary})
		}
		return patch(ctx, w.client, obj, ops)
	})
	if err != nil {
		return fmt.Errorf("give %s %d %%: %w", w.target.Canary, percent, err)
	}
	return nil
}

func (w *weighted) Preflight(ctx context.Context) ([]Problem, error) {
	obj, err := w.get(ctx)
	if gone(err) {
		return []Problem{{CodeNotFound, w.target.object(), "", missing(err)}}, nil
	}
	if err != nil {
		return nil, err
	}
	pairs, problems := w.pairs(obj)
	for _, p := range pairs {
		stable, canary, others := p.weights()
		switch {
		case stable+canary == 0:
			problems = append(problems, Problem{CodeWeights, w.target.object(), p.field, "both weights are 0: nobody is served"})
		case others > 0 && (stable+canary)%100 != 0:
			problems = append(problems, Problem{CodeWeights, w.target.object(), p.field, fmt.Sprintf(
				"has other backends (%s), and %s and %s have only %d of its weight together, of which not every whole percent can be given: %s",
				strings.Join(p.others(), ", "), w.target.Stable, w.target.Canary, stable+canary, wholeHint)})
		}
	}
	if waits := w.layout.accepted(obj); waits != "" {
		problems = append(problems, Problem{CodeNotAccepted, w.target.object(), "status", waits})
	}
	return append(problems, owned(w.target.object(), obj)...), nil
}

// others names the backends beside the pair that have any weight.
func (p pair) others() []string {
	var names []string
	for i, b := range p.backends {
		if i != p.stable && i != p.canary && b.weight > 0 {
			names = append(names, b.label)
		}
	}
	return names
}

func gone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

func missing(err error) string {
	if meta.IsNoMatchError(err) {
		return "the cluster does not know this kind: is its controller installed?"
	}
	return "does not exist: create it with the stable and the canary Service as backends"
}
