package metrics

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// Version is the release of Prometheus whose engine and API these are. Grafana
// chooses the functions it offers by it.
const Version = "3.15.0"

// Handler serves Prometheus' HTTP API below /api/v1/, and /-/healthy and
// /-/ready, which its tools ask first. Writing endpoints are not served:
// samples come in over OTLP.
func (s *Store) Handler() http.Handler {
	router := route.New()
	s.newAPI().Register(router)
	api := http.StripPrefix("/api/v1", router)
	healthy := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", api)
	mux.HandleFunc("GET /api/v1/metadata", s.metadata.serve)
	mux.HandleFunc("/-/healthy", healthy("Prometheus Server is Healthy.\n"))
	mux.HandleFunc("/-/ready", healthy("Prometheus Server is Ready.\n"))
	return mux
}

const (
	// Prometheus' default bounds of remote read.
	remoteReadSamples     = 50_000_000
	remoteReadConcurrency = 10
	remoteReadFrame       = 1 << 20
)

// newAPI is the one place that knows the order of the library's arguments.
func (s *Store) newAPI() *v1.API {
	started := time.Now()
	return v1.NewAPI(
		s.engine, s.db,
		nil, nil, // no appenders: nothing is written through this API
		s.db, // exemplars
		func(context.Context) v1.ScrapePoolsRetriever { return nothing{} },
		func(context.Context) v1.TargetRetriever { return nothing{} },
		func(context.Context) v1.AlertmanagerRetriever { return nothing{} },
		func() config.Config { return config.DefaultConfig },
		map[string]string{"storage.tsdb.retention.time": s.opts.Retention.String()},
		v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f }, // always ready: Open has replayed
		stats{s.db}, s.db.Dir(),
		false,    // admin
		false, 0, // search
		s.logger,
		func(context.Context) v1.RulesRetriever { return nothing{} },
		remoteReadSamples, remoteReadConcurrency, remoteReadFrame,
		false,                    // agent
		regexp.MustCompile("^$"), // CORS: no origin
		func() (v1.RuntimeInfo, error) { return s.runtimeInfo(started), nil },
		&v1.PrometheusVersion{Version: Version, GoVersion: runtime.Version(), Branch: "fairlead"},
		func() []notifications.Notification { return nil }, nil,
		s.registry, s.registry,
		nil,        // statistics renderer
		false, nil, // remote write
		false, false, false, // OTLP
		false, // start time as zero sample, of remote write
		Lookback,
		false, // type and unit labels
		false, // metadata of remote write
		nil,   // error codes
		nil,   // features
		v1.OpenAPIOptions{Version: Version},
		s.parser,
	)
}

func (s *Store) runtimeInfo(started time.Time) v1.RuntimeInfo {
	return v1.RuntimeInfo{
		StartTime:        started,
		ServerTime:       time.Now(),
		StorageRetention: model.Duration(s.opts.Retention).String(),
		GoroutineCount:   runtime.NumGoroutine(),
		GOMAXPROCS:       runtime.GOMAXPROCS(0),
		LastConfigTime:   started,
		CWD:              s.dir,
	}
}

// stats adapts the database to the status endpoints.
type stats struct{ *tsdb.DB }

func (d stats) Stats(label string, limit int) (*tsdb.Stats, error) {
	return d.Head().Stats(label, limit), nil
}
func (d stats) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }
func (d stats) BlockMetas() ([]tsdb.BlockMeta, error)          { return d.DB.BlockMetas(), nil }

// nothing is what there is of targets, rules and Alertmanagers: clients ask
// for their lists and get empty ones.
type nothing struct{}

func (nothing) TargetsActive() map[string][]*scrape.Target            { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target           { return nil }
func (nothing) TargetsDroppedCounts() map[string]int                  { return nil }
func (nothing) ScrapePools() []string                                 { return nil }
func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) { return nil, nil }
func (nothing) Alertmanagers() []*url.URL                             { return nil }
func (nothing) DroppedAlertmanagers() []*url.URL                      { return nil }
func (nothing) RuleGroups() []*rules.Group                            { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule                  { return nil }
