package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/alerting"
)

// Alerts is what the pages ask of the alerts' part.
type Alerts interface {
	Overview(ctx context.Context) (alerting.Overview, error)
	// Test tells every receiver a test alert of the rule, and records who asked.
	Test(ctx context.Context, rule, who string) ([]alerting.TestResult, error)
}

// firing counts the alerts that fire and are not silenced.
func firing(o alerting.Overview) int {
	n := 0
	for _, one := range o.Alerts {
		if one.State == alert.StateFiring && len(one.SilencedBy) == 0 {
			n++
		}
	}
	return n
}

type alertsData struct {
	alerting.Overview
	Active, Resolved []alerting.Entry
	State            State
	ReceiverState    State
	CanAct           bool
}

// Amount prints a value of an alert in its unit.
func (alertsData) Amount(v float64, unit string) string { return alerting.Amount(v, unit) }

// staleAlerts is how long the rules may not have been evaluated.
const staleAlerts = 5 * time.Minute

func (s *site) alerts(r *http.Request, p *page) error {
	p.Name, p.Title, p.Live = "alerts", "Alerts", "operations rollouts tick"
	ctx := r.Context()
	if err := s.places(ctx, p); err != nil {
		return err
	}
	var d alertsData
	p.Data = &d
	if s.o.Alerts == nil {
		d.State = off("Alerts are not evaluated by this server.", "Set alerts.enabled in its configuration.", "")
		d.ReceiverState = d.State
		return nil
	}
	st, err := s.o.Alerts.Overview(ctx)
	if err != nil {
		d.State = failed(err)
		d.ReceiverState = d.State
		return nil
	}
	d.Overview, d.CanAct = st, p.MayWrite
	for _, a := range st.Alerts {
		if a.State == alert.StateResolved {
			d.Resolved = append(d.Resolved, a)
		} else {
			d.Active = append(d.Active, a)
		}
	}
	slices.SortStableFunc(d.Active, func(a, b alerting.Entry) int { return alertRank(a) - alertRank(b) })
	slices.SortStableFunc(d.Resolved, func(a, b alerting.Entry) int { return b.ResolvedAt.Compare(a.ResolvedAt) })
	switch {
	case st.EvaluationError != "":
		d.State = State{Kind: "error", Text: "The last evaluation failed: " + st.EvaluationError}
	case st.EvaluatedAt.IsZero():
		d.State = empty("The rules have not been evaluated yet.", "")
	case p.Now.Sub(st.EvaluatedAt) > staleAlerts:
		d.State = stale(st.EvaluatedAt, p.Now, "The server's log says why the rules are not evaluated.")
	}
	if len(st.Receivers) == 0 {
		d.ReceiverState = off("Nobody is told: no receiver is configured.", "Add alerts.receivers to the server's configuration: an Alertmanager, a webhook or Slack.", "")
	}
	return nil
}

func alertRank(a alerting.Entry) int {
	switch {
	case len(a.SilencedBy) > 0:
		return 2
	case a.State == alert.StateFiring:
		return 0
	default:
		return 1
	}
}
