package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"fairlead.dev/fairlead/internal/rollout"
)

// Control acts on rollouts, in the cluster that the server was given. Each call
// is for one rollout, and is refused when another one runs there by now, or the
// cluster is another's. Errors made by [WithStatus] are shown with that status.
type Control interface {
	// Approve lets the rollout go past a step, counted from 1.
	Approve(ctx context.Context, namespace, name, rolloutID string, step int) error
	Pause(ctx context.Context, namespace, name, rolloutID string, paused bool) error
	Abort(ctx context.Context, namespace, name, rolloutID string) error
}

// Action is what somebody asked for, as the audit keeps it.
type Action struct {
	At     time.Time
	User   string
	What   string // approve, pause, resume, abort, test-fire
	Target string
	Error  string // why it was refused or failed; "" = done
}

// act does what a form asks for. It needs write access and a form of the same
// session; done or refused, the audit keeps it.
func (s *site) act(w http.ResponseWriter, r *http.Request) {
	what := r.PathValue("action")
	a := Action{At: s.o.Now(), What: what, Target: r.PostFormValue("rollout")}
	if a.Target == "" {
		a.Target = r.PostFormValue("rule")
	}
	if s.o.Access != nil {
		a.User = s.o.Access.User(r.Context())
	}
	err := s.allowed(r)
	if err == nil && what != "test-fire" { // which records itself
		err = s.record(r.Context(), a)
	}
	if err == nil {
		err = s.do(r, what, a.User)
	}
	if err != nil {
		a.Error = err.Error()
		if recordErr := s.record(r.Context(), a); recordErr != nil {
			s.o.Logger.Error("record refused action", "error", recordErr)
		}
	}
	if err != nil {
		p, beginErr := s.begin(r)
		if beginErr != nil {
			err = beginErr
		}
		s.fail(w, r, p, err)
		return
	}
	http.Redirect(w, r, base(r)+localPath(r.PostFormValue("next")), http.StatusSeeOther) //nolint:gosec // localPath lets only paths of this server through
}

func (s *site) record(ctx context.Context, a Action) error {
	if s.o.Audit == nil {
		return nil
	}
	return s.o.Audit(ctx, a)
}

func (s *site) allowed(r *http.Request) error {
	switch {
	case s.o.Access == nil || !s.o.Access.MayWrite(r.Context()):
		return statusError{http.StatusForbidden, "This needs a token with write access. Sign in with one, or run the command that the page shows."}
	case !s.formTokenFits(r):
		return statusError{http.StatusForbidden, "The form is not of this session. Go back, reload the page, and try again."}
	}
	return nil
}

func (s *site) do(r *http.Request, what, who string) error {
	if what == "test-fire" {
		if s.o.Alerts == nil {
			return statusError{http.StatusNotFound, "Alerts are not configured."}
		}
		results, err := s.o.Alerts.Test(r.Context(), r.PostFormValue("rule"), who)
		if err != nil {
			return err
		}
		if len(results) == 0 {
			return statusError{http.StatusConflict, "There is nobody to tell: no receiver is configured."}
		}
		for _, one := range results {
			if !one.Delivered {
				return statusError{http.StatusBadGateway, fmt.Sprintf("%s could not be told: %s", one.Receiver, one.Error)}
			}
		}
		return nil
	}
	if s.o.Control == nil {
		return statusError{http.StatusNotFound, "This server was not given a cluster to act in. Run the command that the page shows."}
	}
	record, err := s.o.Rollouts.Rollout(r.Context(), r.PostFormValue("rollout"))
	if err != nil {
		return err
	}
	switch what {
	case "approve":
		step, err := strconv.Atoi(r.PostFormValue("step"))
		if err != nil || step != record.Step+1 {
			return statusError{http.StatusConflict, fmt.Sprintf("The rollout is at step %d by now: look again before you approve.", record.Step+1)}
		}
		return s.o.Control.Approve(r.Context(), record.Namespace, record.Name, record.ID, step)
	case "pause", "resume":
		return s.o.Control.Pause(r.Context(), record.Namespace, record.Name, record.ID, what == "pause")
	case "abort":
		return s.o.Control.Abort(r.Context(), record.Namespace, record.Name, record.ID)
	default:
		return notFound("There is no action %q.", what)
	}
}

// command is what does an action by hand.
type command struct {
	Action, Label string
	Line          string // of a shell
	Danger        bool
	Step          int
}

// commandsFor are what can be done to the rollout now.
func commandsFor(r rollout.Record) []command {
	if r.Phase.Ended() || r.Phase == rollout.PhaseIdle || r.Phase == rollout.PhaseRollingBack {
		return nil
	}
	line := func(verb string) string {
		return fmt.Sprintf("fairlead rollout %s %s -n %s", verb, shellWord(r.Name), shellWord(r.Namespace))
	}
	var out []command
	if r.Reason == rollout.ReasonApproval {
		out = append(out, command{Action: "approve", Label: fmt.Sprintf("Approve step %d", r.Step+1), Step: r.Step + 1, Line: line("approve")})
	}
	pause := command{Action: "pause", Label: "Pause", Line: line("pause")}
	if r.Paused {
		pause = command{Action: "resume", Label: "Resume", Line: line("resume")}
	}
	return append(out, pause, command{Action: "abort", Label: "Abort and roll back", Danger: true, Line: line("abort")})
}
