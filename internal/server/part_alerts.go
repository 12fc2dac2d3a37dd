package server

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/alerting"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/alerts"
	"fairlead.dev/fairlead/internal/store/audit"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

// openAudit adds the record of actions.
func (s *Server) openAudit(context.Context) error {
	store, err := audit.Open(s.cfg.Store.Dir)
	if err != nil {
		return err
	}
	s.audit = store
	s.add(Part{Name: "audit", Backup: store.Backup, Close: store.Close})
	return nil
}

// openAlerts adds the rules over operations and rollouts, and who is told.
func (s *Server) openAlerts(context.Context) error {
	c := s.cfg.Alerts
	if !c.Enabled {
		return nil
	}
	receivers, err := openReceivers(c.Receivers)
	if err != nil {
		return err
	}
	store, err := alerts.Open(s.cfg.Store.Dir)
	if err != nil {
		return err
	}
	engine := alerting.New(alerting.Options{
		Operations: s.operations,
		Rollouts: func(ctx context.Context) ([]rollout.Record, error) {
			return s.rollouts.List(ctx, rollouts.Filter{Active: true, Limit: rollouts.MaxPage})
		},
		Store: store, Audit: s.audit, Thresholds: thresholds(c), Interval: c.Interval.Std(), Receivers: receivers,
		URL: c.URL, Runbooks: c.Runbooks, Logger: s.logger.With("part", "alerts"),
	})
	s.alerting = engine
	s.registries = append(s.registries, engine.Registry())
	s.add(Part{
		Name: "alerts",
		// The records are kept by the parts before this one.
		Traces: func(_ context.Context, td ptrace.Traces) error {
			if tellsOfOperations(td) {
				engine.Changed()
			}
			return nil
		},
		Logs: func(_ context.Context, ld plog.Logs) error {
			if tellsOfRecords(ld) {
				engine.Changed()
			}
			return nil
		},
		Run:    engine.Run,
		Backup: store.Backup,
		Close:  store.Close,
	})
	return nil
}

// tellsOfOperations reports whether spans may be of an operation: most are not,
// and need no evaluation.
func tellsOfOperations(td ptrace.Traces) bool {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if strings.HasPrefix(span.Name(), "helm-") {
					return true
				}
			}
		}
	}
	return false
}

func tellsOfRecords(ld plog.Logs) bool {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if name := record.EventName(); name == release.EventName || name == rollout.RecordEvent {
					return true
				}
			}
		}
	}
	return false
}

func thresholds(c config.Alerts) alert.Thresholds {
	return alert.Thresholds{
		RollbackRate: c.RollbackRate.Threshold, RollbackWindow: c.RollbackRate.Window.Std(), RollbackMinOperations: c.RollbackRate.MinOperations,
		SlowFactor: c.SlowDeploy.Factor, SlowBaseline: c.SlowDeploy.Baseline.Std(), SlowMinSamples: c.SlowDeploy.MinSamples, SlowKeep: c.SlowDeploy.Keep.Std(),
		Failures: c.ConsecutiveFailures.Count, StuckAfter: c.StuckPending.After.Std(), NoDataAfter: c.AnalysisNoData.After.Std(),
	}
}

func openReceivers(configured []config.Receiver) ([]alerting.Receiver, error) {
	var out []alerting.Receiver
	for i, c := range configured {
		c = c.WithDefaults()
		field := fmt.Sprintf("alerts.receivers[%d]", i)
		kind, reference := c.Kind()
		target, err := notify.Resolve(reference)
		if err != nil {
			return nil, &config.FieldError{Field: field + "." + kind, Problem: err.Error()}
		}
		o := notify.Options{Name: c.Name, Kind: notify.Kind(kind), URL: target, Timeout: c.Timeout.Std()}
		key, err := secret(c.SecretEnv, c.SecretFile)
		if err != nil {
			return nil, &config.FieldError{Field: field, Problem: "the key: " + err.Error()}
		}
		o.Key = []byte(key)
		if o.Token, err = secret(c.TokenEnv, c.TokenFile); err != nil {
			return nil, &config.FieldError{Field: field, Problem: "the token: " + err.Error()}
		}
		r, err := notify.New(o)
		if err != nil {
			return nil, &config.FieldError{Field: field + "." + kind, Problem: err.Error()}
		}
		out = append(out, alerting.Receiver{Receiver: r, Repeat: c.Repeat.Std()})
	}
	return out, nil
}

// secret reads the variable or file, "" when neither is named.
func secret(env, file string) (string, error) {
	switch {
	case env != "":
		return notify.Resolve("env:" + env)
	case file != "":
		return notify.Resolve("file:" + file)
	default:
		return "", nil
	}
}
