package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// stats are the server's own metrics, served on /metrics.
type stats struct {
	registry *prometheus.Registry

	accepted *prometheus.CounterVec // items, by signal
	rejected *prometheus.CounterVec
	refused  *prometheus.CounterVec
	failed   *prometheus.CounterVec
	dropped  *prometheus.CounterVec // items, by upstream and signal
	free     prometheus.Gauge
}

func newStats() *stats {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	counter := func(name, help string) *prometheus.CounterVec {
		v := f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"signal"})
		for _, signal := range []string{"traces", "metrics", "logs"} {
			v.WithLabelValues(signal) // series start at 0
		}
		return v
	}
	return &stats{
		registry: reg,
		accepted: counter("fairlead_otlp_accepted_items_total", "Spans, data points and log records that were acknowledged."),
		rejected: counter("fairlead_otlp_rejected_items_total", "Items refused for good, with a partial success."),
		refused:  counter("fairlead_otlp_refused_items_total", "Items refused for now, because the disk is full."),
		failed:   counter("fairlead_otlp_failed_items_total", "Items that a store could not keep; their senders were asked to try again."),
		dropped: f.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_forward_dropped_items_total",
			Help: "Items that an upstream's queue had no room for. They are in this server's store."}, []string{"upstream", "signal"}),
		free: f.NewGauge(prometheus.GaugeOpts{Name: "fairlead_store_free_bytes", Help: "Free space on the disk of the data directory."}),
	}
}
