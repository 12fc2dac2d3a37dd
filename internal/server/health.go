package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"fairlead.dev/fairlead/internal/web"
	"fairlead.dev/fairlead/internal/web/chart"
)

// health is how the server fares, for the page.
func (s *Server) health(context.Context) web.Health {
	h := web.Health{Version: s.opts.Version}
	h.Parts = append(h.Parts, statusRow("Disk", s.space.low(), chart.Bytes(value(s.stats.free))+" free"))
	for _, p := range s.parts {
		if p.Ready != nil {
			h.Parts = append(h.Parts, statusRow(p.Name, p.Ready(), "works"))
		}
	}
	if grpc, http := s.OTLPAddrs(); grpc != "" || http != "" {
		h.Parts = append(h.Parts, web.HealthRow{Name: "OTLP", Status: "ok", Text: strings.Trim("gRPC "+grpc+", HTTP "+http, ", ")})
	} else {
		h.Parts = append(h.Parts, web.HealthRow{Name: "OTLP", Status: "off", Text: "both receivers are off"})
	}
	h.Stores = s.storeRows()
	for _, signal := range []string{"traces", "metrics", "logs"} {
		row := web.HealthRow{Name: signal, Status: "ok", Text: chart.Count(value(s.stats.accepted.WithLabelValues(signal))) + " accepted"}
		for word, v := range map[string]float64{
			"rejected for good": value(s.stats.rejected.WithLabelValues(signal)),
			"refused for now":   value(s.stats.refused.WithLabelValues(signal)),
			"failed":            value(s.stats.failed.WithLabelValues(signal)),
		} {
			if v > 0 {
				row.Status = "warn"
				row.Detail = strings.Trim(row.Detail+", "+chart.Count(v)+" "+word, ", ")
			}
		}
		h.Intake = append(h.Intake, row)
	}
	h.Forward = s.forwardRows()
	return h
}

func statusRow(name string, err error, well string) web.HealthRow {
	if err != nil {
		return web.HealthRow{Name: name, Status: "bad", Text: err.Error()}
	}
	return web.HealthRow{Name: name, Status: "ok", Text: well}
}

func (s *Server) storeRows() []web.HealthRow {
	st := s.telemetry.Stats()
	row := web.HealthRow{Name: "Traces and logs", Status: "ok",
		Text: fmt.Sprintf("%s spans, %s log records, %s", chart.Count(float64(st.Spans)), chart.Count(float64(st.Logs)), chart.Bytes(float64(st.Bytes)))}
	switch {
	case st.Full:
		row.Status, row.Detail = "bad", "the last write found no room"
	case len(st.Aside) > 0:
		row.Status, row.Detail = "warn", fmt.Sprintf("%d damaged files were set aside", len(st.Aside))
	case !st.Oldest.IsZero():
		row.Detail = "from " + st.Oldest.UTC().Format("2 Jan 15:04 UTC")
	}
	rows := []web.HealthRow{row}
	aside := s.metricsStore.SetAside()
	metrics := web.HealthRow{Name: "Metrics", Status: "ok", Text: "retention " + s.cfg.Store.Metrics.Retention.Std().String()}
	if n := s.gathered("prometheus_tsdb_head_series"); n >= 0 {
		metrics.Text = chart.Count(n) + " series in memory"
	}
	if len(aside) > 0 {
		metrics.Status, metrics.Detail = "warn", fmt.Sprintf("%d damaged files were set aside", len(aside))
	}
	return append(rows, metrics)
}

func (s *Server) forwardRows() (rows []web.HealthRow) {
	for _, f := range s.cfg.Forward {
		row := web.HealthRow{Name: f.Name, Status: "ok", Text: f.Endpoint}
		lost := 0.0
		for _, signal := range []string{"traces", "metrics", "logs"} {
			lost += value(s.stats.dropped.WithLabelValues(f.Name, signal))
		}
		if lost > 0 {
			row.Status, row.Detail = "warn", chart.Count(lost)+" items did not fit into its queue"
		}
		rows = append(rows, row)
	}
	return rows
}

// value reads a counter or gauge.
func value(m prometheus.Metric) float64 {
	var out dto.Metric
	if m.Write(&out) != nil {
		return 0
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

// gathered reads a metric of the stores without labels; -1 when there is none.
func (s *Server) gathered(name string) float64 {
	families, err := s.gatherers().Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}
