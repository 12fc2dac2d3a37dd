package server

import (
	"context"

	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
)

// openJudge adds verdicts over HTTP, from the server's own metrics.
func (s *Server) openJudge(context.Context) error {
	handler := judge.NewHandler(judge.Options{Source: prom.NewSource(prom.NewLocal(s.metricsStore.Queryable()))})
	s.add(Part{
		Name:   "judge",
		Routes: []Route{{Pattern: judge.Prefix, Handler: handler}, {Pattern: judge.Prefix + "/", Handler: handler}},
	})
	return nil
}
