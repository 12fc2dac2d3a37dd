package server

import (
	"context"

	"fairlead.dev/fairlead/internal/store/audit"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/tracing"
	"fairlead.dev/fairlead/internal/web"
)

// openWeb adds the pages.
func (s *Server) openWeb(ctx context.Context) error {
	index, err := operations.NewIndex(ctx, s.operations)
	if err != nil {
		return err
	}
	traces, err := tracing.NewTempo("http://in-process", tracing.Options{HTTP: tracing.InProcess(s.tempo)})
	if err != nil {
		return err
	}
	o := web.Options{
		Index: index, Operations: s.operations, Rollouts: s.rollouts, Telemetry: s.telemetry, Traces: traces, Metrics: s.metricsStore,
		Access: s.bearers, Health: s.health, Audit: s.recordAction,
		Version: s.opts.Version, Logger: s.logger.With("part", "web"),
	}
	if s.alerting != nil {
		o.Alerts = s.alerting
	}
	if s.opts.Cluster != nil {
		o.Control = control{s.opts.Cluster}
		o.Values = values{s.opts.Cluster}
	}
	pages, err := web.New(o)
	if err != nil {
		return err
	}
	routes := []Route{{Pattern: "/", Handler: pages.Pages, Denied: pages.Denied, Cookies: true, Untraced: true}}
	for _, prefix := range web.OpenPrefixes {
		routes = append(routes, Route{Pattern: prefix, Handler: pages.Open, Access: AccessNone})
	}
	s.add(Part{Name: "web", Routes: routes})
	return nil
}

// recordAction keeps an action of the pages.
func (s *Server) recordAction(ctx context.Context, a web.Action) error {
	return s.audit.Add(ctx, audit.Entry{At: a.At, Who: a.User, Action: "pages." + a.What, Subject: a.Target, Error: a.Error})
}
