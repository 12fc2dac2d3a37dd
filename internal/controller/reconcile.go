package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/canary"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/traffic"
)

const (
	fieldOwner = "fairlead-controller"
	mergePatch = types.MergePatchType

	// maxActions bounds what one reconciliation does before it lets others go on.
	maxActions = 10
	// settle is how soon a write is looked at again if no event comes.
	settle = time.Second
	// notReady is how soon pods that are not ready are looked at again: that
	// they crash shows in the pods, which are not watched.
	notReady = 2 * time.Second
)

// Reconciler drives CanaryReleases: it observes, lets package rollout decide,
// persists, and does the one next thing.
type Reconciler struct {
	client  client.Client
	reader  client.Reader // past the cache
	events  events.EventRecorder
	looks   *looker
	sources *sources
	hooks   *hooks
	tell    *teller
	watch   func(traffic.Kind) error
	now     func() time.Time
	drain   time.Duration

	mu    sync.Mutex
	since map[types.NamespacedName]weightSince
	ready map[types.NamespacedName]readySince
}

// readySince is since when the canary has its ready pods.
type readySince struct {
	pods int32
	at   time.Time
}

// weightSince is since when a route shows its weight.
type weightSince struct {
	weight int
	at     time.Time
}

// Reconcile does the next things for one CanaryRelease, until it has to wait.
// Everything that may take long happens elsewhere and wakes it up.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var cr v1alpha1.CanaryRelease
	if err := r.client.Get(ctx, req.NamespacedName, &cr); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	cr = *cr.DeepCopy() // the cache's is not ours
	result, err := r.drive(ctx, &cr)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		// Somebody was faster, or our cache is behind: look again.
		log.FromContext(ctx).V(1).Info("looking again", "because", err.Error())
		return reconcile.Result{RequeueAfter: 200 * time.Millisecond}, nil
	case err != nil && ctx.Err() != nil:
		return reconcile.Result{}, nil // stopping
	}
	return result, err
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.looks.Forget(key)
	r.hooks.forget(key)
	r.tell.forget(key)
	forgetMetrics(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.since, key)
	delete(r.ready, key)
}

func (r *Reconciler) drive(ctx context.Context, cr *v1alpha1.CanaryRelease) (reconcile.Result, error) {
	switch deleting, held := !cr.DeletionTimestamp.IsZero(), controllerutil.ContainsFinalizer(cr, v1alpha1.Finalizer); {
	case deleting && !held:
		return reconcile.Result{}, nil
	case !deleting && !held:
		before := cr.DeepCopy()
		controllerutil.AddFinalizer(cr, v1alpha1.Finalizer)
		if err := r.patchMeta(ctx, cr, before); err != nil {
			return reconcile.Result{}, err
		}
	}
	for range maxActions {
		s, err := r.observe(ctx, cr)
		if err != nil {
			return reconcile.Result{}, err
		}
		if s.refused != nil {
			return r.refuse(ctx, cr, s)
		}
		r.tell.retell(cr, s)
		action := rollout.Decide(s.plan, s.state, s.seen)
		if err := r.persist(ctx, cr, s, action); err != nil {
			return reconcile.Result{}, err
		}
		wait, err := r.act(ctx, cr, s, action)
		if err != nil {
			return reconcile.Result{}, err
		}
		if goOn := action.Kind == rollout.ActNext || action.Kind == rollout.ActWebhook; wait > 0 || !goOn {
			if forget := tellAgainIn(cr.Status.Progress, r.now()); forget > 0 && (wait == 0 || forget < wait) {
				wait = forget
			}
			return reconcile.Result{RequeueAfter: wait}, nil
		}
	}
	return reconcile.Result{RequeueAfter: settle}, nil
}

// patchMeta writes what changed in the metadata. An update would write the spec
// as we understand it, 10m0s for 10m, and so make a new generation of it.
func (r *Reconciler) patchMeta(ctx context.Context, cr, before *v1alpha1.CanaryRelease) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return r.client.Patch(ctx, cr, patch, client.FieldOwner(fieldOwner))
}

// scene is all that one decision is made from.
type scene struct {
	plan    rollout.Plan
	config  analysis.Config
	state   rollout.State
	seen    rollout.Observation
	refused *refusal

	stable, canary *workload
	router         traffic.Router
	route          traffic.State
	look           *look
	// promote upgrades stable; nil where somebody else does.
	promote func(context.Context) error
}

// observe looks at everything that a decision needs.
func (r *Reconciler) observe(ctx context.Context, cr *v1alpha1.CanaryRelease) (*scene, error) {
	// As the status keeps it, so that what is decided now is what is read later.
	now := r.now().Truncate(time.Microsecond)
	s := &scene{state: stateOf(&cr.Status), seen: rollout.Observation{Now: now}}
	deleting := !cr.DeletionTimestamp.IsZero()
	aborted := cr.Aborted(cr.Status.RolloutID)

	var err error
	if s.plan, err = canary.Plan(&cr.Spec); err == nil {
		s.config, err = canary.Analysis(&cr.Spec)
	}
	if err != nil {
		s.plan, s.config = rollout.Plan{}.WithDefaults(), analysis.Default()
		if !deleting && !aborted && s.state.Phase != rollout.PhaseRollingBack {
			s.refused = refuse(reasonInvalid, "%v", err)
			return s, nil
		}
	}
	t, err := canary.Target(cr)
	if err != nil {
		s.refused = refuse(reasonInvalid, "%v", err)
		return s, nil
	}
	if err := r.watch(t.Kind); err != nil {
		return nil, err
	}
	if s.router, err = traffic.New(r.client, t); err != nil {
		s.refused = refuse(reasonInvalid, "spec.traffic: %v", err)
		return s, nil
	}
	if s.stable, err = r.getWorkload(ctx, cr.Namespace, cr.Spec.Stable.Workload); err != nil {
		return nil, err
	}
	if s.canary, err = r.getWorkload(ctx, cr.Namespace, cr.Spec.Canary.Workload); err != nil {
		return nil, err
	}
	if idle := s.state.Phase == rollout.PhaseIdle || s.state.Phase.Ended(); idle && !deleting {
		if s.refused, err = r.preflight(ctx, cr, s); err != nil || s.refused != nil {
			return s, err
		}
	}
	if s.route, err = s.router.Observe(ctx); err != nil {
		return nil, fmt.Errorf("observe the route: %w", err)
	}
	r.fill(ctx, cr, s)
	s.seen.Deleting, s.seen.Abort = deleting, aborted
	s.seen.Weight = s.route.Weight
	s.seen.RouteOK, s.seen.RouteWritable = s.route.OK, s.route.Writable
	s.seen.RouteProblem = s.route.Problem
	return s, nil
}

// fill fills in workloads, verdict, answers, and what people ask for.
func (r *Reconciler) fill(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene) {
	o := &s.seen
	o.Stable, o.Canary = s.stable.seen, s.canary.seen
	if o.Stable.Broken != "" || s.stable.crashing {
		// Where stable does not start either, the canary is not to blame: a node
		// or a registry is away.
		o.Canary.Broken = ""
	}
	if s.canary.object != nil {
		o.Template = templateHash(s.canary.template)
	}
	if s.stable.object != nil && s.canary.object != nil {
		o.StablePromoted = sameVersion(s.stable.template, s.canary.template)
		if cr.Spec.Promotion.Strategy == "" || cr.Spec.Promotion.Strategy == promotionTemplate {
			if want, err := promoted(s.stable, s.canary, cr.Spec.Promotion.Keep); err == nil {
				o.StablePromoted = equality.Semantic.DeepEqual(want, s.stable.template)
				s.promote = func(ctx context.Context) error { return r.promoteTemplate(ctx, s.stable, want) }
			}
		}
	}
	if helm := cr.Spec.Promotion.Strategy == promotionHelm; helm && s.state.Phase != rollout.PhaseIdle {
		// Whoever runs Helm says so: a release may change values and no image.
		o.StablePromoted = cr.HelmPromoted(cr.Status.RolloutID)
	}
	o.Paused = cr.Spec.Pause
	o.Retry = cr.RetryAsked() && (s.state.Phase.Ended() || s.state.Phase == rollout.PhaseProgressing || s.state.Phase == rollout.PhaseIdle)
	o.Approve = cr.Approved(cr.Status.RolloutID, s.state.Step+1)
	if open, err := inWindow(cr.Spec.Windows, o.Now); err == nil {
		o.InWindow = open
	}
	o.Webhooks = r.hooks.answers(cr)
	if s.state.Phase == rollout.PhaseProgressing {
		s.look = r.ask(ctx, cr, s)
	}
	if l := s.look; l != nil {
		if l.err != nil {
			o.Error = cut(l.err.Error())
		} else {
			o.Verdict, o.VerdictReason, o.VerdictMessage = rollout.Decision(l.verdict.Decision), string(l.verdict.Reason), l.verdict.Message
		}
	}
}

// ask keeps the looks of the step going and returns the newest.
func (r *Reconciler) ask(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene) *look {
	q, err := r.question(ctx, cr, s)
	switch {
	case err != nil:
		return &look{rolloutID: cr.Status.RolloutID, step: s.state.Step, at: s.seen.Now, err: err}
	case q == nil:
		return nil
	}
	l := r.looks.Want(*q)
	if l == nil || l.step != s.state.Step {
		return nil
	}
	return l
}

// question is what to look at: nil when the step has no gate, or has not begun.
func (r *Reconciler) question(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene) (*question, error) {
	if s.state.GateStarted.IsZero() || s.state.Step >= len(s.plan.Steps) || !s.plan.Steps[s.state.Step].Judged() {
		return nil, nil
	}
	source, err := r.sources.samples(ctx, cr)
	if err != nil {
		return nil, err
	}
	q := &question{
		key: client.ObjectKeyFromObject(cr), rolloutID: cr.Status.RolloutID, config: s.config,
		subject: canary.Subject(&cr.Spec), source: source,
	}
	if v := cr.Status.Verdict; v != nil {
		q.folded, q.foldedStep = v.StepRequests, int(v.StepIndex)
	}
	for i, started := range cr.Status.Progress.Gates {
		if i >= len(s.plan.Steps) || !s.plan.Steps[i].Judged() {
			continue
		}
		step := analysis.StepContext{
			Index: i, Weight: float64(s.plan.Steps[i].Weight) / 100, Start: started.Time, Gate: analysis.Duration(s.plan.Steps[i].Gate),
		}
		if i+1 < len(s.plan.Steps) {
			next := s.plan.Steps[i+1]
			step.NextWeight, step.NextGate = float64(next.Weight)/100, analysis.Duration(next.Gate)
		}
		q.steps = append(q.steps, step)
	}
	if len(q.steps) == 0 {
		return nil, errors.New("status.progress.gates is empty although the gate has begun: abort the rollout and start again")
	}
	return q, nil
}
