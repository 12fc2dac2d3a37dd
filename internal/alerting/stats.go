package alerting

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"fairlead.dev/fairlead/internal/alert"
)

// The outcomes of an attempt to deliver.
const (
	outcomeDelivered = "delivered"
	outcomeRetried   = "retried"
	outcomeFailed    = "failed"
)

// stats are the engine's own metrics.
type stats struct {
	registry   *prometheus.Registry
	alerts     *prometheus.GaugeVec
	rounds     *prometheus.CounterVec
	duration   prometheus.Histogram
	deliveries *prometheus.CounterVec
}

func newStats(o Options) *stats {
	reg := prometheus.NewRegistry()
	f := promauto.With(reg)
	s := &stats{
		registry: reg,
		alerts:   f.NewGaugeVec(prometheus.GaugeOpts{Name: "fairlead_alerts", Help: "Alerts by rule and state."}, []string{"rule", "state"}),
		rounds: f.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_alert_evaluations_total",
			Help: "Evaluations of all rules, by whether they succeeded."}, []string{"success"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{Name: "fairlead_alert_evaluation_duration_seconds",
			Help: "How long an evaluation of all rules took.", Buckets: []float64{.001, .005, .02, .1, .5, 2, 10}}),
		deliveries: f.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_alert_deliveries_total",
			Help: "Attempts to tell a receiver, by outcome: delivered, retried, failed for good."}, []string{"receiver", "outcome"}),
	}
	for _, ok := range []string{"true", "false"} {
		s.rounds.WithLabelValues(ok)
	}
	for _, r := range o.Receivers {
		for _, outcome := range []string{outcomeDelivered, outcomeRetried, outcomeFailed} {
			s.deliveries.WithLabelValues(r.Name(), outcome)
		}
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "fairlead_alert_queue_messages", Help: "Messages that wait for a receiver.",
			ConstLabels: prometheus.Labels{"receiver": r.Name()}}, func() float64 {
			waiting, err := o.Store.Waiting(context.Background())
			if err != nil {
				return -1
			}
			return float64(waiting[r.Name()])
		})
	}
	s.states(nil)
	return s
}

func (s *stats) states(all []alert.Alert) {
	n := map[[2]string]float64{}
	for _, a := range all {
		n[[2]string{string(a.Rule), string(a.State)}]++
	}
	for _, r := range alert.Rules() {
		for _, state := range []alert.State{alert.StatePending, alert.StateFiring} {
			s.alerts.WithLabelValues(string(r), string(state)).Set(n[[2]string{string(r), string(state)}])
		}
	}
}

func (s *stats) evaluated(took time.Duration, err error) {
	s.duration.Observe(took.Seconds())
	if err != nil {
		s.rounds.WithLabelValues("false").Inc()
		return
	}
	s.rounds.WithLabelValues("true").Inc()
}

func (s *stats) delivery(receiver, outcome string) {
	s.deliveries.WithLabelValues(receiver, outcome).Inc()
}

// Registry holds the engine's own metrics.
func (e *Engine) Registry() prometheus.Gatherer { return e.stats.registry }
