package server

import (
	"context"

	"fairlead.dev/fairlead/internal/api"
)

// openAPI adds the JSON API.
func (s *Server) openAPI(context.Context) error {
	handler, err := api.New(api.Stores{Operations: s.operations, Rollouts: s.rollouts})
	if err != nil {
		return err
	}
	s.add(Part{Name: "api", Routes: []Route{{Pattern: api.Prefix, Handler: handler}}})
	return nil
}
