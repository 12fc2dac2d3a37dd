package helmrollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// pipeline is a Run with a Helm that is a script, and a driver that goes through
// phases.
type pipeline struct {
	t      *testing.T
	store  Store
	helm   []string       // what was run: "upgrade shop-canary"
	codes  map[string]int // exit codes by that
	said   []string
	phases []rollout.Phase // that the driver goes through
	begun  []string        // the parents of spans
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	stable := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout", Generation: 1}}
	return &pipeline{t: t, store: newStore(t, stable), codes: map[string]int{}}
}

func (p *pipeline) options() Options {
	cr := twoReleases()
	cr.Annotations = nil
	return Options{
		Store: p.store, Release: cr, Now: time.Now,
		Helm: func(_ context.Context, _ string, args []string) int {
			what := args[0] + " " + strings.TrimPrefix(strings.Join(args[1:3], " "), "--install ")
			what = strings.Fields(what)[0] + " " + strings.Fields(what)[1]
			p.helm = append(p.helm, what)
			if what == "upgrade checkout" && p.codes[what] == 0 {
				p.changeStable()
			}
			return p.codes[what]
		},
		Template: func(_ context.Context, args []string) ([]byte, error) {
			return []byte(manifest(args[1], map[string]string{"checkout": "stable", "checkout-canary": "canary"}[args[1]])), nil
		},
		Drive: p.drive,
		Lock: func(ctx context.Context, _ client.ObjectKey) (context.Context, func(), error) {
			return ctx, func() {}, nil
		},
		Begin: func(parent string) string {
			p.begun = append(p.begun, parent)
			return "00-trace-span-01"
		},
		Show: func(*v1alpha1.CanaryRelease) {},
		Say:  func(format string, args ...any) { p.said = append(p.said, fmt.Sprintf(format, args...)) },
	}
}

func (p *pipeline) changeStable() {
	var d appsv1.Deployment
	if err := p.store.Client.Get(p.t.Context(), key, &d); err != nil {
		p.t.Fatal(err)
	}
	d.Generation++
	if err := p.store.Client.Update(p.t.Context(), &d); err != nil {
		p.t.Fatal(err)
	}
}

// drive stands for the controller: it answers wishes, and goes on when stable
// was upgraded.
func (p *pipeline) drive(ctx context.Context, _ client.ObjectKey) error {
	for ctx.Err() == nil {
		p.status(func(cr *v1alpha1.CanaryRelease) {
			s := &cr.Status
			switch phase := rollout.Phase(s.Phase); {
			case underWay(cr) && cr.Aborted(s.RolloutID):
				s.Phase = string(rollout.PhaseRolledBack)
			case cr.RetryAsked() && phase == rollout.PhasePromotionFailed:
				s.Phase, s.Reason, s.Retried = string(rollout.PhasePromoting), string(rollout.ReasonPromoting), cr.Annotations[v1alpha1.AnnotationRetry]
			case cr.RetryAsked():
				s.RolloutID, s.Retried = s.RolloutID+"x", cr.Annotations[v1alpha1.AnnotationRetry]
				s.Phase, s.Reason = string(rollout.PhaseProgressing), ""
			case phase.Ended():
			case phase == rollout.PhasePromoting && !cr.HelmPromoted(s.RolloutID):
			case len(p.phases) > 0:
				s.Phase, p.phases = string(p.phases[0]), p.phases[1:]
				s.Reason = ""
				if s.Phase == string(rollout.PhasePromoting) {
					s.Reason = string(rollout.ReasonPromoting)
				}
			}
		})
		time.Sleep(time.Millisecond)
	}
	return nil
}

// status writes the status that is kept.
func (p *pipeline) status(change func(*v1alpha1.CanaryRelease)) {
	var cr v1alpha1.CanaryRelease
	if err := p.store.Get(context.Background(), key, &cr); err != nil {
		return
	}
	change(&cr)
	_ = p.store.Status().Update(context.Background(), &cr) // a conflict is tried again
}

// killed is a rollout that a run before left in a phase, of the same inputs or
// of others.
func (p *pipeline) killed(phase rollout.Phase, same bool, change ...func(*v1alpha1.CanaryRelease)) {
	p.t.Helper()
	cr := twoReleases()
	inputs, err := digest(cr, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if !same {
		inputs = "others"
	}
	cr.Annotations = map[string]string{AnnotationInputs: inputs, v1alpha1.AnnotationTraceparent: "00-before-before-01"}
	cr.Status.Phase, cr.Status.RolloutID = string(phase), "r1"
	if phase == rollout.PhasePromoting {
		cr.Status.Reason = string(rollout.ReasonPromoting)
	}
	for _, f := range change {
		f(cr)
	}
	if err := p.store.Create(p.t.Context(), cr); err != nil {
		p.t.Fatal(err)
	}
	var cm corev1.ConfigMap
	if err := p.store.Client.Get(p.t.Context(), configMapKey(key), &cm); err != nil {
		p.t.Fatal(err)
	}
	cm.UID = types.UID("u-1")
	if err := p.store.Client.Update(p.t.Context(), &cm); err != nil {
		p.t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	aborted := func(cr *v1alpha1.CanaryRelease) { cr.Annotations[v1alpha1.AnnotationAbort] = "r1" }
	full := []rollout.Phase{rollout.PhaseProgressing, rollout.PhasePromoting, rollout.PhaseReturning, rollout.PhaseSucceeded}
	for _, tc := range []struct {
		reason string
		before func(*pipeline)
		phases []rollout.Phase
		codes  map[string]int
		want   rollout.Phase
		helm   []string
		begun  []string
		err    string
	}{
		{
			reason: "a first rollout", phases: full, want: rollout.PhaseSucceeded,
			helm: []string{"upgrade checkout-canary", "upgrade checkout", "uninstall checkout-canary"}, begun: []string{""},
		},
		{
			reason: "a canary that harms", phases: []rollout.Phase{rollout.PhaseProgressing, rollout.PhaseRollingBack, rollout.PhaseRolledBack}, want: rollout.PhaseRolledBack,
			helm: []string{"upgrade checkout-canary", "uninstall checkout-canary"}, begun: []string{""},
		},
		{
			reason: "a canary that Helm cannot deploy", codes: map[string]int{"upgrade checkout-canary": 1},
			helm: []string{"upgrade checkout-canary"}, begun: []string{""}, err: "stable keeps all traffic",
		},
		{
			reason: "a stable that Helm cannot begin to upgrade", phases: full, codes: map[string]int{"upgrade checkout": 1},
			helm: []string{"upgrade checkout-canary", "upgrade checkout"}, begun: []string{""}, err: "the canary keeps serving all traffic",
		},
		{
			reason: "killed in a gate", before: func(p *pipeline) { p.killed(rollout.PhaseProgressing, true) }, phases: full[1:], want: rollout.PhaseSucceeded,
			helm: []string{"upgrade checkout", "uninstall checkout-canary"}, begun: []string{"00-before-before-01"},
		},
		{
			reason: "killed while stable was upgraded", before: func(p *pipeline) { p.killed(rollout.PhasePromoting, true) }, phases: full[2:], want: rollout.PhaseSucceeded,
			helm: []string{"upgrade checkout", "uninstall checkout-canary"}, begun: []string{"00-before-before-01"},
		},
		{
			reason: "killed in a rollback", before: func(p *pipeline) { p.killed(rollout.PhaseRollingBack, true) }, phases: []rollout.Phase{rollout.PhaseRolledBack}, want: rollout.PhaseRolledBack,
			helm: []string{"uninstall checkout-canary"}, begun: []string{"00-before-before-01"},
		},
		{
			reason: "a promotion that failed is tried again",
			before: func(p *pipeline) {
				p.killed(rollout.PhasePromotionFailed, true, func(cr *v1alpha1.CanaryRelease) { cr.Annotations[v1alpha1.AnnotationHelmPromoted] = "r1" })
			},
			phases: full[2:], want: rollout.PhaseSucceeded,
			helm: []string{"upgrade checkout", "uninstall checkout-canary"}, begun: []string{"00-before-before-01"},
		},
		{
			reason: "or aborted by a person", before: func(p *pipeline) { p.killed(rollout.PhasePromotionFailed, true, aborted) }, want: rollout.PhaseRolledBack,
			helm: []string{"uninstall checkout-canary"}, begun: []string{"00-before-before-01"},
		},
		{
			reason: "other values in the middle: the canary must have no traffic when it is replaced",
			before: func(p *pipeline) { p.killed(rollout.PhaseProgressing, false) }, phases: full[1:], want: rollout.PhaseSucceeded,
			helm: []string{"upgrade checkout-canary", "upgrade checkout", "uninstall checkout-canary"}, begun: []string{""},
		},
		{
			reason: "other values while a canary serves everybody", before: func(p *pipeline) { p.killed(rollout.PhasePromotionFailed, false) },
			err: "rollout r1 of other values is in phase PromotionFailed and its canary serves users",
		},
		{
			reason: "the same values again after a rollback begin a rollout", before: func(p *pipeline) { p.killed(rollout.PhaseRolledBack, true) }, phases: full[1:], want: rollout.PhaseSucceeded,
			helm: []string{"upgrade checkout-canary", "upgrade checkout", "uninstall checkout-canary"}, begun: []string{""},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			p := newPipeline(t)
			if tc.before != nil {
				tc.before(p)
			}
			p.phases = tc.phases
			for k, v := range tc.codes {
				p.codes[k] = v
			}
			end, err := Run(t.Context(), p.options())
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
			} else if err != nil || rollout.Phase(end.Status.Phase) != tc.want {
				t.Errorf("Run() = %+v, %v, want phase %s", end, err, tc.want)
			}
			if diff := cmp.Diff(tc.helm, p.helm); diff != "" {
				t.Errorf("helm (-want +got):\n%s\n%q", diff, p.said)
			}
			if diff := cmp.Diff(tc.begun, p.begun); diff != "" {
				t.Errorf("parents of spans (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunThatIsInterruptedLeavesTheCanary(t *testing.T) {
	p := newPipeline(t)
	p.phases = []rollout.Phase{rollout.PhaseProgressing}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	end, err := Run(ctx, p.options())
	if !errors.Is(err, context.DeadlineExceeded) || end == nil || !underWay(end) {
		t.Errorf("Run() = %+v, %v", end, err)
	}
	if diff := cmp.Diff([]string{"upgrade checkout-canary"}, p.helm); diff != "" {
		t.Errorf("helm (-want +got):\n%s", diff)
	}
}
