package server

import (
	"context"

	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/tracing"
)

// openJudge adds verdicts over HTTP, from the server's own metrics, and its own
// traces to explain them.
func (s *Server) openJudge(context.Context) error {
	traces, err := tracing.NewTempo("http://in-process", tracing.Options{HTTP: tracing.InProcess(s.tempo)})
	if err != nil {
		return err
	}
	handler := judge.NewHandler(judge.Options{Source: prom.NewSource(prom.NewLocal(s.metricsStore.Queryable())), Traces: traces})
	s.add(Part{
		Name:   "judge",
		Routes: []Route{{Pattern: judge.Prefix, Handler: handler}, {Pattern: judge.Prefix + "/", Handler: handler}},
	})
	return nil
}
