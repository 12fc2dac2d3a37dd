package web

import (
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

type overviewData struct {
	Numbers  numbers
	Awaiting []rollout.Record // a person is asked
	Canaries []rollout.Record // the others that run
	Firing   []alert.Alert
	AlertsAt time.Time
	Failures []release.Operation // within the last hour
	Running  []release.Operation
	Latest   []release.Operation

	CanaryState, AlertState, RunningState, LatestState State
}

// Attention is how many things want somebody.
func (d overviewData) Attention() int { return len(d.Awaiting) + len(d.Firing) + len(d.Failures) }

const recentFailures = time.Hour

func (s *site) overview(r *http.Request, p *page) error {
	p.Name, p.Title, p.Live = "overview", "Overview", "operations rollouts"
	ctx, f := r.Context(), p.Filter
	if err := s.places(ctx, p); err != nil {
		return err
	}
	ops, err := s.o.Index.Operations(ctx, f.Cluster, f.Namespace, f.From, f.To)
	if err != nil {
		return err
	}
	d := overviewData{Numbers: sum(ops)}
	if d.Running, err = s.o.Index.Running(ctx, f.Cluster, f.Namespace); err != nil {
		return err
	}
	if len(d.Running) == 0 {
		d.RunningState = calm("No Helm operation runs now.")
	}
	superseded := map[string]bool{}
	for _, op := range ops {
		name := op.Cluster + "/" + op.Namespace + "/" + op.Release
		failed := op.State == release.StateFailed || op.State == release.StateCancelled
		if op.Kind.Deploy() && failed && !superseded[name] && op.End.After(p.Now.Add(-recentFailures)) {
			d.Failures = append(d.Failures, op)
		}
		if op.Kind.Deploy() && op.State.Done() {
			superseded[name] = true // only the newest deployment of a release wants somebody
		}
	}
	d.Latest = ops[:min(len(ops), 10)]
	if len(d.Latest) == 0 {
		d.LatestState = s.noOperations(p)
	}
	active, err := s.o.Rollouts.List(ctx, rollouts.Filter{Cluster: f.Cluster, Namespace: f.Namespace, Active: true, Limit: 100})
	if err != nil {
		d.CanaryState = failed(err)
	}
	for _, one := range active {
		if one.Phase == rollout.PhaseIdle {
			continue
		}
		if b := badgeOf(one); b.Class == "warn" {
			d.Awaiting = append(d.Awaiting, one)
		} else {
			d.Canaries = append(d.Canaries, one)
		}
	}
	switch {
	case err != nil:
	case len(d.Canaries)+len(d.Awaiting) == 0:
		d.CanaryState = calm("No canary runs now.")
	case len(d.Canaries) == 0:
		d.CanaryState = calm("No canary runs beside those that need attention.")
	}
	d.AlertState = s.alertsFor(r, &d)
	p.Data = d
	return nil
}

func (s *site) alertsFor(r *http.Request, d *overviewData) State {
	if s.o.Alerts == nil {
		return off("The rules are not evaluated here.", "Set alerts.enabled in the server's configuration.", "")
	}
	st, err := s.o.Alerts.Overview(r.Context())
	if err != nil {
		return failed(err)
	}
	d.AlertsAt = st.EvaluatedAt
	for _, a := range st.Alerts {
		if a.State == alert.StateFiring && len(a.SilencedBy) == 0 {
			d.Firing = append(d.Firing, a.Alert)
		}
	}
	return State{}
}

// noOperations says why a list of operations has none.
func (s *site) noOperations(p *page) State {
	if len(p.Clusters)+len(p.Namespaces) == 0 {
		return State{Kind: "off", Text: "No Helm operation has been reported yet.",
			Next: "Run Helm through fairlead, or install the agent in the cluster.", Command: "fairlead helm upgrade --install checkout ./chart -n shop"}
	}
	return empty("No Helm operation in the last "+p.Filter.Range.Label+".", "Choose a longer range, or another cluster or namespace.")
}
