package helmrollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// Options are what Run works with.
type Options struct {
	Store Store
	// Release is what the user wrote, with a helm block, a namespace and
	// defaults; see [Prepare].
	Release *v1alpha1.CanaryRelease
	// HelmArgs are given to every install and upgrade, after what Release says.
	HelmArgs []string
	// Helm runs helm, recorded in the trace of traceparent, and returns its exit
	// code.
	Helm func(ctx context.Context, traceparent string, args []string) int
	// Template runs helm and returns its standard output.
	Template func(ctx context.Context, args []string) ([]byte, error)
	// Drive moves the weights until ctx ends, where no controller does.
	Drive func(ctx context.Context, key client.ObjectKey) error
	// Lock makes this process the only driver of a rollout that no controller
	// owns. The context it returns ends when it no longer is.
	Lock func(ctx context.Context, key client.ObjectKey) (context.Context, func(), error)
	// Begin starts the span of this run under a traceparent, "" for the one of
	// the environment, and returns its own.
	Begin func(parent string) (traceparent string)
	// Show is called with what is new of the rollout, Say with what Run does.
	Show func(*v1alpha1.CanaryRelease)
	Say  func(format string, args ...any)
	// Lint findings that are no warnings keep a rollout from beginning, unless
	// IgnoreFindings.
	IgnoreFindings bool
	// KeepCanary leaves the canary release installed, without pods.
	KeepCanary bool
	// Drain is how long stable's pods may still be sent requests once the canary
	// has all of them.
	Drain time.Duration
	Now   func() time.Time
}

const (
	// pollEvery is how often the rollout is looked at.
	pollEvery = 500 * time.Millisecond
	// startWithin is how long a rollout may take to begin once the canary is
	// deployed, or to be refused for good.
	startWithin = 30 * time.Second
	// patience is for how long the API server may be away.
	patience = 5 * time.Minute
)

// Run rolls the chart out and returns where the rollout ended: Succeeded,
// RolledBack, PromotionFailed, or held for a person. A run that was killed goes
// on where it was when it is started again with the same release and values. An
// error means that it could not be done, or that ctx ended; the canary keeps the
// weight that it has.
func Run(ctx context.Context, o Options) (*v1alpha1.CanaryRelease, error) {
	r := &run{Options: o, key: client.ObjectKeyFromObject(o.Release)}
	var err error
	if r.inputs, err = digest(o.Release, o.HelmArgs); err != nil {
		return nil, err
	}
	have, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if r.kept {
		var unlock func()
		if ctx, unlock, err = o.Lock(ctx, r.key); err != nil {
			return nil, err
		}
		defer unlock()
		if have, err = r.load(ctx); err != nil { // as whoever had the lock left it
			return nil, err
		}
	}
	if err := r.deploy(ctx, have); err != nil {
		return nil, err
	}
	end, err := r.drive(ctx)
	if err != nil {
		return end, err
	}
	return end, r.cleanUp(ctx, end)
}

type run struct {
	Options
	key         client.ObjectKey
	inputs      string
	kept        bool // in a ConfigMap, and driven by us
	before      string
	resumed     bool
	traceparent string
}

// load reads what is known of the rollout; nil when it is the first.
func (r *run) load(ctx context.Context) (*v1alpha1.CanaryRelease, error) {
	var cr v1alpha1.CanaryRelease
	err := r.Store.Get(ctx, r.key, &cr)
	if apierrors.IsNotFound(err) {
		r.kept = true
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rollout %s: %w", r.key, err)
	}
	if r.kept, err = r.Store.Kept(ctx, &cr); err != nil {
		return nil, err
	}
	if s := cr.Spec.Promotion.Strategy; !r.kept && s != StrategyHelm {
		return nil, fmt.Errorf("CanaryRelease %s is in the cluster with spec.promotion.strategy %q: want %q for its stable release to be upgraded from here", r.key, s, StrategyHelm)
	}
	return &cr, nil
}

// deploy brings the canary release up to what is asked for, unless a run before
// this one has.
func (r *run) deploy(ctx context.Context, have *v1alpha1.CanaryRelease) error {
	r.resumed = have != nil && underWay(have) && have.Annotations[AnnotationInputs] == r.inputs
	if r.resumed {
		r.before = have.Status.RolloutID
		r.traceparent = r.Begin(have.Annotations[v1alpha1.AnnotationTraceparent])
		r.Say("goes on with rollout %s: %s, step %s", have.Status.RolloutID, have.Status.Phase, have.Status.Step)
		return r.change(ctx, func(cr *v1alpha1.CanaryRelease) {
			failed := rollout.Phase(cr.Status.Phase) == rollout.PhasePromotionFailed
			if !cr.Aborted(cr.Status.RolloutID) && (failed || rollout.Reason(cr.Status.Reason) == rollout.ReasonHold) {
				delete(cr.Annotations, v1alpha1.AnnotationHelmPromoted)
				r.askAgain(cr)
			}
		})
	}
	if err := r.lint(ctx); err != nil {
		return err
	}
	if have != nil {
		var err error
		if have, err = r.takeBackOther(ctx, have); err != nil {
			return err
		}
		r.before = have.Status.RolloutID
	}
	r.traceparent = r.Begin("")
	if err := r.begin(ctx, have); err != nil {
		return err
	}
	h := r.Release.Spec.Helm
	args := append([]string{"upgrade", "--install", h.Canary}, chartArgs(r.Release, true)...)
	r.Say("deploying the canary: release %s", h.Canary)
	if code := r.Helm(ctx, r.traceparent, append(args, r.HelmArgs...)); code != 0 {
		return fmt.Errorf("helm could not deploy the canary release %s (exit code %d); stable keeps all traffic", h.Canary, code)
	}
	// Only now is what runs what was asked for: a run that goes on may trust it.
	return r.change(ctx, func(cr *v1alpha1.CanaryRelease) {
		annotate(cr, AnnotationInputs, r.inputs)
		if p := rollout.Phase(cr.Status.Phase); r.kept && (p == rollout.PhaseIdle || p.Ended()) {
			r.askAgain(cr)
		}
	})
}

// underWay reports whether a rollout has begun and left the route to stable
// neither by a promotion nor by a rollback.
func underWay(cr *v1alpha1.CanaryRelease) bool {
	switch rollout.Phase(cr.Status.Phase) {
	case rollout.PhaseIdle, rollout.PhaseSucceeded, rollout.PhaseRolledBack:
		return false
	}
	return true
}

// takeBackOther ends a rollout of something else that is under way: its canary
// must have no traffic when it is replaced. One that is being promoted is left to
// a person.
func (r *run) takeBackOther(ctx context.Context, have *v1alpha1.CanaryRelease) (*v1alpha1.CanaryRelease, error) {
	id := have.Status.RolloutID
	if !underWay(have) {
		return have, nil
	}
	switch phase := rollout.Phase(have.Status.Phase); phase {
	case rollout.PhaseProgressing, rollout.PhaseRollingBack:
	default:
		if !have.Aborted(id) {
			return have, fmt.Errorf("rollout %s of other values is in phase %s and its canary serves users: run it with those values again, or take it back first (fairlead rollout abort %s -n %s)",
				id, phase, r.key.Name, r.key.Namespace)
		}
	}
	r.Say("rollout %s of other values is under way: taking it back first", id)
	err := r.change(ctx, func(cr *v1alpha1.CanaryRelease) { annotate(cr, v1alpha1.AnnotationAbort, id) })
	if err != nil {
		return have, err
	}
	r.resumed = true
	end, err := r.drive(ctx)
	r.resumed = false
	switch {
	case err != nil:
		return have, err
	case underWay(end):
		return have, fmt.Errorf("rollout %s could not be taken back: %s", id, end.Status.Message)
	}
	return r.load(ctx)
}

// begin writes what a rollout starts from.
func (r *run) begin(ctx context.Context, have *v1alpha1.CanaryRelease) error {
	if have == nil {
		cr := r.Release.DeepCopy()
		annotate(cr, v1alpha1.AnnotationTraceparent, r.traceparent)
		if err := r.Store.Create(ctx, cr); err != nil {
			return fmt.Errorf("keep the rollout in ConfigMap %s: %w", ConfigMapName(r.key.Name), err)
		}
		return nil
	}
	return r.change(ctx, func(cr *v1alpha1.CanaryRelease) {
		if r.kept {
			paused := cr.Spec.Pause
			cr.Spec = *r.Release.Spec.DeepCopy()
			cr.Spec.Pause = cr.Spec.Pause || paused
		}
		annotate(cr, v1alpha1.AnnotationTraceparent, r.traceparent)
		delete(cr.Annotations, AnnotationInputs)
	})
}

func (r *run) askAgain(cr *v1alpha1.CanaryRelease) {
	annotate(cr, v1alpha1.AnnotationRetry, r.Now().UTC().Format(time.RFC3339Nano))
}

// change writes spec and annotations, again on a conflict.
func (r *run) change(ctx context.Context, f func(*v1alpha1.CanaryRelease)) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var cr v1alpha1.CanaryRelease
		if err := r.Store.Get(ctx, r.key, &cr); err != nil {
			return err
		}
		before := cr.DeepCopy()
		f(&cr)
		return r.Store.Patch(ctx, &cr, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if err != nil {
		return fmt.Errorf("write rollout %s: %w", r.key, err)
	}
	return nil
}

func annotate(cr *v1alpha1.CanaryRelease, key, value string) {
	if cr.Annotations == nil {
		cr.Annotations = map[string]string{}
	}
	cr.Annotations[key] = value
}

// lint renders both releases and refuses what would go wrong.
func (r *run) lint(ctx context.Context) error {
	h := r.Release.Spec.Helm
	var manifests [2][]byte
	for i, name := range []string{h.Stable, h.Canary} {
		args := append([]string{"template", name}, chartArgs(r.Release, i == 1)...)
		out, err := r.Template(ctx, append(args, templateArgs(r.HelmArgs)...))
		if err != nil {
			return fmt.Errorf("render release %s: %w", name, err)
		}
		manifests[i] = out
	}
	findings, err := Lint(r.Release, manifests[0], manifests[1])
	if err != nil {
		return err
	}
	var fatal []string
	for _, f := range findings {
		if f.Warning || r.IgnoreFindings {
			r.Say("warning: %s", f)
			continue
		}
		fatal = append(fatal, "  "+f.String())
	}
	if len(fatal) > 0 {
		return fmt.Errorf("the two releases would get in each other's way:\n%s\nhint: --lint warn goes on nevertheless", strings.Join(fatal, "\n"))
	}
	return nil
}

// drive has the rollout driven to its end.
func (r *run) drive(ctx context.Context) (*v1alpha1.CanaryRelease, error) {
	ctx, cancel := context.WithCancel(ctx)
	driven := make(chan error, 1)
	if r.kept {
		go func() { driven <- r.Drive(ctx, r.key) }()
	} else {
		r.Say("the controller drives CanaryRelease %s", r.key)
	}
	end, err := r.follow(ctx, driven)
	cancel()
	if r.kept && !errors.Is(err, errDriver) {
		if err := <-driven; err != nil && !errors.Is(err, context.Canceled) {
			r.Say("%v", err) // it ended because we did, and has more to say
		}
	}
	return end, err
}

var errDriver = errors.New("the rollout is no longer driven")

// follow watches the rollout and upgrades stable when it is time to.
func (r *run) follow(ctx context.Context, driven <-chan error) (*v1alpha1.CanaryRelease, error) {
	started := r.Now()
	var away time.Time
	var last *v1alpha1.CanaryRelease
	asked := false
	for {
		var cr v1alpha1.CanaryRelease
		err := r.Store.Get(ctx, r.key, &cr)
		switch {
		case err != nil && ctx.Err() != nil:
		case err != nil:
			if away.IsZero() {
				away = r.Now()
				r.Say("could not ask: %v", err)
			}
			if r.Now().Sub(away) > patience {
				return last, err
			}
		default:
			away, last = time.Time{}, &cr
			r.Show(&cr)
			ours := r.resumed || cr.Status.RolloutID != r.before
			switch waited := r.Now().Sub(started) > startWithin; {
			case ours && over(&cr) && !cr.RetryAsked() && !(underWay(&cr) && cr.Aborted(cr.Status.RolloutID)):
				return last, nil
			case ours && wantsStable(&cr) && r.drained(&cr):
				if err := r.promote(ctx, &cr); err != nil {
					return last, err
				}
			case !ours && !r.kept && !asked && rollout.Phase(cr.Status.Phase).Ended() && r.Now().Sub(started) > startWithin/3:
				// The canary's template is what it was: only asking begins again.
				asked = true
				if err := r.change(ctx, r.askAgain); err != nil {
					return last, err
				}
			case !ours && waited:
				return last, fmt.Errorf("no rollout began within %s of the canary's deployment: %s", startWithin, cr.Status.Message)
			}
		}
		select {
		case err := <-driven:
			if ctx.Err() == nil {
				return last, fmt.Errorf("%w: %w", errDriver, orEnded(err))
			}
			return last, fmt.Errorf("%w: %w", errDriver, ctx.Err())
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("ended")
	}
	return err
}

// over reports whether nothing more happens without a person.
func over(cr *v1alpha1.CanaryRelease) bool {
	return rollout.Phase(cr.Status.Phase).Ended() ||
		rollout.Reason(cr.Status.Reason) == rollout.ReasonHold || rollout.Reason(cr.Status.Reason) == rollout.ReasonRouteContested
}

// wantsStable reports whether the rollout waits for stable's new version.
func wantsStable(cr *v1alpha1.CanaryRelease) bool {
	return rollout.Phase(cr.Status.Phase) == rollout.PhasePromoting && rollout.Reason(cr.Status.Reason) == rollout.ReasonPromoting &&
		cr.Status.RolloutID != "" && !cr.HelmPromoted(cr.Status.RolloutID)
}

// drained reports whether stable's pods have had their time to end what they
// serve.
func (r *run) drained(cr *v1alpha1.CanaryRelease) bool {
	p := cr.Status.Progress
	return p == nil || p.PhaseStarted == nil || r.Now().Sub(p.PhaseStarted.Time) >= r.Drain
}

// promote upgrades the stable release. A release that failed after it had
// changed the workload is told as well: the rollout sees then what became of it.
func (r *run) promote(ctx context.Context, cr *v1alpha1.CanaryRelease) error {
	h := r.Release.Spec.Helm
	r.Say("promoting: release %s", h.Stable)
	before, err := r.generation(ctx)
	if err != nil {
		return err
	}
	timeout := rollout.DefaultPromoteTimeout
	if t := r.Release.Spec.Promotion.Timeout; t != nil {
		timeout = t.Duration
	}
	args := append([]string{"upgrade", h.Stable}, chartArgs(r.Release, false)...)
	args = append(args, "--wait", "--timeout", timeout.String())
	code := r.Helm(ctx, r.traceparent, append(args, r.HelmArgs...))
	after, err := r.generation(ctx)
	if err != nil {
		return err
	}
	if code != 0 && before == after {
		return &PromotionError{Release: h.Stable, Code: code}
	}
	id := cr.Status.RolloutID
	return r.change(ctx, func(cr *v1alpha1.CanaryRelease) { annotate(cr, v1alpha1.AnnotationHelmPromoted, id) })
}

// PromotionError is a stable release that Helm could not begin to upgrade. The
// canary serves all traffic, and another run tries again.
type PromotionError struct {
	Release string
	Code    int
}

func (e *PromotionError) Error() string {
	return fmt.Sprintf("helm could not upgrade the stable release %s (exit code %d); the canary keeps serving all traffic; run the same command to try again", e.Release, e.Code)
}

// cleanUp takes the canary release away after an end at which nobody needs it.
func (r *run) cleanUp(ctx context.Context, cr *v1alpha1.CanaryRelease) error {
	phase := rollout.Phase(cr.Status.Phase)
	if r.KeepCanary || phase != rollout.PhaseSucceeded && phase != rollout.PhaseRolledBack {
		return nil
	}
	r.Say("taking the canary away: release %s", r.Release.Spec.Helm.Canary)
	if code := r.Helm(ctx, r.traceparent, []string{"uninstall", r.Release.Spec.Helm.Canary, "--namespace", r.key.Namespace}); code != 0 {
		r.Say("warning: helm could not uninstall release %s (exit code %d); it has no traffic and no pods", r.Release.Spec.Helm.Canary, code)
	}
	return nil
}
