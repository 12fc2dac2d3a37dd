package web

import (
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

type canariesData struct {
	Active, Ended []rollout.Record
	Older         string // the value of `until` for the next page, "" = no more
	State         State
	EndedState    State
}

func (s *site) canaries(r *http.Request, p *page) error {
	p.Name, p.Title, p.Live = "canaries", "Canaries", "rollouts"
	ctx := r.Context()
	if err := s.places(ctx, p); err != nil {
		return err
	}
	f := rollouts.Filter{Cluster: p.Filter.Cluster, Namespace: p.Filter.Namespace, Limit: pageSize + 1}
	if v := r.URL.Query().Get("until"); v != "" {
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return statusError{http.StatusBadRequest, "until=" + v + ": want a time as 2006-01-02T15:04:05Z"}
		}
		f.Until = t
	}
	list, err := s.o.Rollouts.List(ctx, f)
	if err != nil {
		return err
	}
	var d canariesData
	if len(list) > pageSize {
		list = list[:pageSize]
		d.Older = list[pageSize-1].At.Format(time.RFC3339Nano)
	}
	for _, one := range list {
		if one.Phase.Ended() {
			d.Ended = append(d.Ended, one)
		} else {
			d.Active = append(d.Active, one)
		}
	}
	switch {
	case len(list) == 0 && p.Filter.Cluster+p.Filter.Namespace == "" && f.Until.IsZero():
		d.State = off("No rollout has been reported to this server.",
			"The controller, and fairlead rollout run, report each change. A canary that something else drives can be judged here all the same:",
			"fairlead canary analyze --help")
	case len(d.Active) == 0:
		d.State = calm("No canary runs now.")
	}
	if len(d.Ended) == 0 {
		d.EndedState = calm("No rollout has ended here.")
	}
	p.Data = d
	return nil
}
