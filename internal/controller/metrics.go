package controller

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/rollout"
)

// Metrics of rollouts, beside controller-runtime's own at /metrics.
var (
	metricPhase = gauge("phase", "1 for the rollout's phase, 0 for the others; Idle before the first.", "phase")
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
	for _, c := range collectors() {
		_ = metrics.Registry.Register(c) // AlreadyRegisteredError: it is ours
	}
}

func collectors() []prometheus.Collector {
	all := []prometheus.Collector{metricDuration, metricRetreat, metricLook}
	for _, g := range gauges {
		all = append(all, g)
	}
	return all
}

// metricsSender exports the metrics of rollouts over OTLP, under the names that
// they have at /metrics. It runs in the leader alone: another controller knows
// of no rollout.
type metricsSender struct{ emitter *emit.Emitter }

// Start exports until ctx ends.
func (m metricsSender) Start(ctx context.Context) error {
	rollouts := prometheus.NewRegistry()
	for _, c := range collectors() {
		if err := rollouts.Register(c); err != nil {
			return fmt.Errorf("metrics of rollouts: %w", err)
		}
	}
	m.emitter.Produce(ctx, bridge.NewMetricProducer(bridge.WithGatherer(rollouts)))
	return nil
}

func forgetMetrics(key types.NamespacedName) {
	for _, g := range gauges {
		g.DeletePartialMatch(prometheus.Labels{"namespace": key.Namespace, "name": key.Name})
	}
}

// measure sets the gauges of a CanaryRelease.
func measure(cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) {
	ns, name := cr.Namespace, cr.Name
	for _, phase := range phases {
		is := 0.0
		if phase == a.State.Phase {
			is = 1
		}
		metricPhase.WithLabelValues(ns, name, phaseText(phase)).Set(is)
	}
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
