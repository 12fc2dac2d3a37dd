package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/traffic"
)

// Reasons of the condition Accepted.
const (
	reasonAccepted    = "Accepted"
	reasonInvalid     = "InvalidSpec"
	reasonMissing     = "NotFound"
	reasonOverlap     = "OverlappingSelectors"
	reasonConflict    = "RouteTaken"
	reasonRoute       = "RouteNotUsable"
	reasonOwned       = "StableOwned"
	promotionHelm     = "helm"
	promotionTemplate = "template"
	ownedAdvice       = "promote with spec.promotion.strategy helm or external instead"
)

// refusal is why a CanaryRelease cannot be rolled out; the message names the
// field.
type refusal struct{ reason, message string }

func refuse(reason, format string, args ...any) *refusal {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// preflight says what must be mended before a rollout may begin, nil for nothing.
func (r *Reconciler) preflight(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene) (*refusal, error) {
	if _, err := inWindow(cr.Spec.Windows, time.Now()); err != nil {
		return refuse(reasonInvalid, "%v", err), nil
	}
	for _, path := range cr.Spec.Promotion.Keep {
		if _, err := parsePath(path); err != nil {
			return refuse(reasonInvalid, "spec.promotion.keep: %q: %v", path, err), nil
		}
	}
	if s.stable.object == nil {
		return refuse(reasonMissing, "spec.stable.workload: there is no %s %s in namespace %s", cr.Spec.Stable.Workload.Kind, cr.Spec.Stable.Workload.Name, cr.Namespace), nil
	}
	if no := owned(cr, s.stable.object); no != nil {
		return no, nil
	}
	if no, err := r.contender(ctx, cr); no != nil || err != nil {
		return no, err
	}
	if s.canary.object != nil {
		if no, err := r.selectors(ctx, cr, s); no != nil || err != nil {
			return no, err
		}
	}
	problems, err := s.router.Preflight(ctx)
	if err != nil {
		return nil, fmt.Errorf("preflight of the route: %w", err)
	}
	for _, p := range problems {
		if p.Code == traffic.CodeNotAccepted {
			continue // waits for the data plane, and says so
		}
		return refuse(reasonRoute, "spec.traffic: %s", p), nil
	}
	return nil, nil
}

// owned refuses to write a pod template that somebody else would set back.
func owned(cr *v1alpha1.CanaryRelease, stable client.Object) *refusal {
	if cr.Spec.Promotion.Strategy != "" && cr.Spec.Promotion.Strategy != promotionTemplate {
		return nil
	}
	notes, marks := stable.GetAnnotations(), stable.GetLabels()
	var by string
	switch {
	case notes["meta.helm.sh/release-name"] != "":
		by = "Helm release " + notes["meta.helm.sh/release-name"]
	case notes["argocd.argoproj.io/tracking-id"] != "":
		by = "Argo CD (" + notes["argocd.argoproj.io/tracking-id"] + ")"
	case marks["argocd.argoproj.io/instance"] != "":
		by = "Argo CD (" + marks["argocd.argoproj.io/instance"] + ")"
	case marks["kustomize.toolkit.fluxcd.io/name"] != "":
		by = "Flux Kustomization " + marks["kustomize.toolkit.fluxcd.io/name"]
	case marks["helm.toolkit.fluxcd.io/name"] != "":
		by = "Flux HelmRelease " + marks["helm.toolkit.fluxcd.io/name"]
	default:
		return nil
	}
	return refuse(reasonOwned, "spec.promotion.strategy: template would write %s, which %s owns and would set back: %s", stable.GetName(), by, ownedAdvice)
}

// contender refuses all but the oldest CanaryRelease of a route.
func (r *Reconciler) contender(ctx context.Context, cr *v1alpha1.CanaryRelease) (*refusal, error) {
	for _, key := range claims(cr) {
		var others v1alpha1.CanaryReleaseList
		if err := r.client.List(ctx, &others, client.InNamespace(cr.Namespace), client.MatchingFields{indexClaims: key}); err != nil {
			return nil, err
		}
		for i := range others.Items {
			o := &others.Items[i]
			older := o.CreationTimestamp.Before(&cr.CreationTimestamp) || o.CreationTimestamp.Equal(&cr.CreationTimestamp) && o.Name < cr.Name
			if o.Name != cr.Name && older {
				return refuse(reasonConflict, "%s is in use by CanaryRelease %s, which is older: one of them must go", key, o.Name), nil
			}
		}
	}
	return nil, nil
}

// selectors refuses tracks that are not apart: pods that both workloads or both
// Services select.
func (r *Reconciler) selectors(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene) (*refusal, error) {
	stablePods, canaryPods := labels.Set(s.stable.template.Labels), labels.Set(s.canary.template.Labels)
	for _, one := range []struct {
		field string
		w     *workload
		other labels.Set
	}{{"spec.stable.workload", s.stable, canaryPods}, {"spec.canary.workload", s.canary, stablePods}} {
		match, err := metav1.LabelSelectorAsSelector(one.w.selector)
		if err != nil {
			return nil, err
		}
		if match.Matches(one.other) {
			return refuse(reasonOverlap, "%s: its selector %s selects the pods of the other track too: give both a label of their own, track for example", one.field, match), nil
		}
	}
	if cr.Spec.Traffic.Replicas != nil {
		return nil, nil // one Service in front of both is the point
	}
	for _, one := range []struct {
		field, name string
		own, other  labels.Set
	}{{"spec.stable.service", cr.Spec.Stable.Service, stablePods, canaryPods}, {"spec.canary.service", cr.Spec.Canary.Service, canaryPods, stablePods}} {
		var service corev1.Service
		if err := r.client.Get(ctx, client.ObjectKey{Namespace: cr.Namespace, Name: one.name}, &service); err != nil {
			if client.IgnoreNotFound(err) == nil {
				return refuse(reasonMissing, "%s: there is no Service %s in namespace %s", one.field, one.name, cr.Namespace), nil
			}
			return nil, err
		}
		match := labels.SelectorFromSet(service.Spec.Selector)
		switch {
		case len(service.Spec.Selector) == 0:
			return refuse(reasonOverlap, "%s: Service %s has no selector: it must select the pods of its track", one.field, one.name), nil
		case !match.Matches(one.own):
			return refuse(reasonOverlap, "%s: Service %s selects %s, which the pods of its track do not have", one.field, one.name, match), nil
		case match.Matches(one.other):
			return refuse(reasonOverlap, "%s: Service %s selects %s, and so the pods of the other track too", one.field, one.name, match), nil
		}
	}
	return nil, nil
}
