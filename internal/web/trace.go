package web

import "net/http"

type traceData struct {
	ID            string
	Name, Service string // of the root
	Waterfall     *waterfall
	State         State
}

// tracePage draws one trace of the store.
func (s *site) tracePage(r *http.Request, p *page) error {
	id := r.PathValue("id")
	if _, ok := traceKey(id); !ok {
		return notFound("%q is no trace id: want 32 hex digits.", id)
	}
	if err := s.places(r.Context(), p); err != nil {
		return err
	}
	p.Name, p.Title = "trace", "Trace "+short(id)
	d := traceData{ID: id, Name: "Trace " + short(id)}
	d.Waterfall, d.State = s.trace(r.Context(), id)
	if d.Waterfall != nil && len(d.Waterfall.Roots) > 0 {
		d.Name, d.Service = d.Waterfall.Roots[0].Name, d.Waterfall.Roots[0].Service
	}
	p.Data = d
	return nil
}
