package controller

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// Metrics of rollouts, beside controller-runtime's own at /metrics.
var (
	metricPhase = gauge("phase", "1 for the rollout's phase; Idle before the first.", "phase")
	// Weights in percent.
	metricDesired  = gauge("weight_desired", "Percent of the traffic that the rollout wants the canary to have.")
	metricObserved = gauge("weight_observed", "Percent of the traffic that the route gives the canary.")
	// Checks of all routes together; per route they are in the verdict.
	metricCheck     = gauge("check_value", "What the newest look found: a rate, or for latency the share above the bound.", "metric", "track")
	metricThreshold = gauge("check_threshold", "Up to which value of the canary the check calls no harm.", "metric")
	metricAvailable = gauge("analysis_available", "0 while verdicts cannot be had.")

	metricDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "fairlead", Subsystem: "rollout", Name: "duration_seconds", Help: "From a rollout's start to its end.",
		Buckets: []float64{60, 300, 600, 1200, 1800, 2700, 3600, 5400, 7200, 14400, 28800},
	}, []string{"outcome"})
	metricRetreat = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "fairlead", Subsystem: "rollout", Name: "retreat_seconds", Help: "From the observation that led to a rollback to weight 0 in the API.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	})
	metricLook = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "fairlead", Subsystem: "rollout", Name: "look_seconds", Help: "How long a look of the analysis took.",
		Buckets: prometheus.ExponentialBuckets(.005, 2, 13),
	})
	gauges = []*prometheus.GaugeVec{metricPhase, metricDesired, metricObserved, metricCheck, metricThreshold, metricAvailable}
)

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "fairlead", Subsystem: "rollout", Name: name, Help: help},
		append([]string{"namespace", "name"}, labels...))
}

// registerMetrics adds the metrics to what the manager serves. Registering
// twice, as two controllers in one process would, is harmless.
func registerMetrics() {
	collectors := []prometheus.Collector{metricDuration, metricRetreat, metricLook}
	for _, g := range gauges {
		collectors = append(collectors, g)
	}
	for _, c := range collectors {
		_ = metrics.Registry.Register(c) // AlreadyRegisteredError: it is ours
	}
}

func forgetMetrics(key types.NamespacedName) {
	for _, g := range gauges {
		g.DeletePartialMatch(prometheus.Labels{"namespace": key.Namespace, "name": key.Name})
	}
}

// measure sets the gauges of a CanaryRelease.
func measure(cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) {
	ns, name := cr.Namespace, cr.Name
	for _, phase := range phases { // by name: DeletePartialMatch goes through those of all CanaryReleases
		if phase != a.State.Phase {
			metricPhase.DeleteLabelValues(ns, name, phaseText(phase))
		}
	}
	metricPhase.WithLabelValues(ns, name, phaseText(a.State.Phase)).Set(1)
	metricObserved.WithLabelValues(ns, name).Set(float64(s.route.Weight))
	if cr.Status.DesiredWeight != nil {
		metricDesired.WithLabelValues(ns, name).Set(float64(*cr.Status.DesiredWeight))
	}
	l := s.look
	if l == nil {
		return
	}
	if l.err != nil {
		metricAvailable.WithLabelValues(ns, name).Set(0)
		return
	}
	metricAvailable.WithLabelValues(ns, name).Set(1)
	for _, c := range l.verdict.Checks {
		if c.Route != "" || c.Estimate == nil || strings.ContainsAny(c.Metric, " \n") {
			continue
		}
		metricCheck.WithLabelValues(ns, name, c.Metric, "canary").Set(c.Estimate.Canary)
		metricCheck.WithLabelValues(ns, name, c.Metric, "stable").Set(c.Estimate.Stable)
		metricThreshold.WithLabelValues(ns, name, c.Metric).Set(c.Margin.Relative*c.Estimate.Stable + c.Margin.Absolute)
	}
}

var phases = []rollout.Phase{
	rollout.PhaseIdle, rollout.PhaseProgressing, rollout.PhasePromoting, rollout.PhaseReturning, rollout.PhaseRollingBack,
	rollout.PhaseSucceeded, rollout.PhaseRolledBack, rollout.PhasePromotionFailed,
}

func phaseText(p rollout.Phase) string {
	if p == rollout.PhaseIdle {
		return "Idle"
	}
	return string(p)
}
