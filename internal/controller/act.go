package controller

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

const (
	// promotedElsewhere is how soon a stable that somebody else upgrades is looked
	// at again, if no event comes.
	promotedElsewhere = 30 * time.Second
	// hearing is how long pods are ready before more traffic is sent to them: the
	// data plane hears of them a moment after the workload's status does, and
	// answers 503 until then.
	hearing = 3 * time.Second
	// refusedAgain and refusedAtMost bound when a CanaryRelease that cannot be
	// rolled out is looked at again without an event.
	refusedAgain  = 30 * time.Second
	refusedAtMost = 10 * time.Minute
	// defaultDrain is how long a track without traffic keeps its pods as they
	// are: the data plane takes the weights a moment after the API has them
	// (Traefik at most every two seconds), and requests that are under way end.
	defaultDrain = 10 * time.Second
)

// act does what was decided and returns when to come back; 0 = at the next event.
func (r *Reconciler) act(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) (time.Duration, error) {
	r.tell.decided(ctx, cr, s, a)
	if a.State.Phase != rollout.PhaseProgressing {
		r.looks.Forget(client.ObjectKeyFromObject(cr))
	}
	r.noteWeight(cr, s)
	r.noteReady(cr, s)
	switch a.Kind {
	case rollout.ActNext:
		return 0, nil
	case rollout.ActWait:
		return r.until(s, a), nil
	case rollout.ActSetWeight:
		if left := r.unheardOf(cr, s, a); left > 0 {
			return left, nil
		}
		if err := s.router.SetWeight(ctx, a.Weight); err != nil {
			return 0, fmt.Errorf("set weight %d: %w", a.Weight, err)
		}
		r.tell.weighed(cr, s, a, r.now())
		return settle, nil
	case rollout.ActScaleCanary:
		return r.scaleCanary(ctx, cr, s, a)
	case rollout.ActPromote:
		if s.promote == nil {
			return promotedElsewhere, nil
		}
		if left := r.drainLeft(cr, s); left > 0 {
			return left, nil // some of stable's pods are still sent requests
		}
		if err := s.promote(ctx); err != nil {
			return 0, fmt.Errorf("upgrade stable: %w", err)
		}
		return settle, nil
	case rollout.ActWebhook:
		return r.hooks.call(ctx, cr, a)
	case rollout.ActRelease:
		before := cr.DeepCopy()
		if controllerutil.RemoveFinalizer(cr, v1alpha1.Finalizer) {
			return 0, r.patchMeta(ctx, cr, before)
		}
		return 0, nil
	}
	return 0, fmt.Errorf("action %q is not known", a.Kind)
}

// until is when to come back at the latest.
func (r *Reconciler) until(s *scene, a rollout.Action) time.Duration {
	wait := time.Duration(0)
	if !a.Until.IsZero() {
		wait = max(time.Millisecond, a.Until.Sub(s.seen.Now))
	}
	active := a.State.Phase == rollout.PhaseProgressing || a.State.Phase == rollout.PhasePromoting
	if active && (s.seen.Canary.Ready < s.seen.Canary.Desired || a.State.Phase == rollout.PhasePromoting && s.seen.Stable.Ready < s.seen.Stable.Desired) {
		wait = notReady
	}
	return wait
}

// scaleCanary gives the canary its pods, or takes them once its traffic has
// drained.
func (r *Reconciler) scaleCanary(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) (time.Duration, error) {
	served := s.seen.Canary.Ready > 0 && s.seen.Canary.Broken == ""
	if a.Replicas == 0 && served {
		if left := r.drainLeft(cr, s); left > 0 {
			return left, nil
		}
	}
	if err := r.scale(ctx, s.canary, a.Replicas); err != nil {
		return 0, fmt.Errorf("scale the canary to %d: %w", a.Replicas, err)
	}
	return settle, nil
}

// noteWeight notes since when the route shows its weight.
func (r *Reconciler) noteWeight(cr *v1alpha1.CanaryRelease, s *scene) {
	key := client.ObjectKeyFromObject(cr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.since[key]; !ok || have.weight != s.seen.Weight || !s.route.OK {
		r.since[key] = weightSince{s.seen.Weight, s.seen.Now}
	}
}

// drainLeft is how long the pods that the weight leaves out are needed yet:
// until the data plane has had its time to take the weight. After a restart the
// time counts anew.
func (r *Reconciler) drainLeft(cr *v1alpha1.CanaryRelease, s *scene) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drain - s.seen.Now.Sub(r.since[client.ObjectKeyFromObject(cr)].at)
}

// noteReady notes since when the canary has its ready pods.
func (r *Reconciler) noteReady(cr *v1alpha1.CanaryRelease, s *scene) {
	key := client.ObjectKeyFromObject(cr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.ready[key]; !ok || have.pods != s.seen.Canary.Ready {
		r.ready[key] = readySince{s.seen.Canary.Ready, s.seen.Now}
	}
}

// unheardOf is how long the data plane may yet not know of the pods that a
// weight sends more traffic to. Nothing that takes traffic away from a canary
// in trouble waits.
func (r *Reconciler) unheardOf(cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) time.Duration {
	switch {
	case a.State.Phase == rollout.PhaseReturning:
		return hearing - s.seen.Now.Sub(a.State.PhaseStarted)
	case a.State.Phase != rollout.PhaseProgressing || a.Weight <= s.seen.Weight:
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return hearing - s.seen.Now.Sub(r.ready[client.ObjectKeyFromObject(cr)].at)
}
