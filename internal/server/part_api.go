package server

import (
	"context"
	"strings"

	"fairlead.dev/fairlead/internal/api"
)

// openAPI adds the JSON API. What changes something needs a token.
func (s *Server) openAPI(context.Context) error {
	handler, err := api.New(api.Stores{Operations: s.operations, Rollouts: s.rollouts, Alerts: s.alerting, Audit: s.audit, Caller: Caller})
	if err != nil {
		return err
	}
	routes := []Route{{Pattern: api.Prefix, Handler: handler}}
	for _, p := range handler.Patterns() {
		if !strings.HasPrefix(p, "GET ") {
			routes = append(routes, Route{Pattern: p, Handler: handler, Access: AccessWrite})
		}
	}
	s.add(Part{Name: "api", Routes: routes})
	return nil
}
