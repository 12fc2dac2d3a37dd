package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/alerting"
	"fairlead.dev/fairlead/internal/store/audit"
)

// AlertTest is how telling each receiver a test alert went.
type AlertTest struct {
	Results []alerting.TestResult `json:"results"`
}

// SilenceList is the silences, the one that ends last first.
type SilenceList struct {
	Silences []alert.Silence `json:"silences"`
}

// SilenceRequest asks for a silence.
type SilenceRequest struct {
	Matchers []string `json:"matchers"` // name=value, name!=value, name=~regexp, name!~regexp
	// Duration from now, as Go prints it: 2h, 30m.
	Duration string `json:"duration"`
	Comment  string `json:"comment,omitempty"`
}

// AuditList is what was done, newest first; NextUntil is the value of `until` for
// the next page.
type AuditList struct {
	Actions   []audit.Entry `json:"actions"`
	NextUntil string        `json:"nextUntil,omitempty"`
}

// maxSilence bounds how long a silence lasts: longer ones are forgotten faults.
const maxSilence = 90 * 24 * time.Hour

// maxRequest bounds the body of an action.
const maxRequest = 64 << 10

var errAlertsOff = errors.New("alerts are off here: alerts.enabled is false in the server's configuration")

func (a api) who(r *http.Request) string {
	if a.caller == nil {
		return ""
	}
	return a.caller(r.Context())
}

func (a api) alerts(r *http.Request) (any, error) {
	if a.alerting == nil {
		return nil, errAlertsOff
	}
	q := params{r: r}
	state, rule := q.oneOf("state", "pending", "firing", "resolved"), q.text("rule")
	if q.err != nil {
		return nil, q.err
	}
	o, err := a.alerting.Overview(r.Context())
	o.Alerts = slices.DeleteFunc(o.Alerts, func(e alerting.Entry) bool {
		return state != "" && string(e.State) != state || rule != "" && string(e.Rule) != rule
	})
	return o, err
}

func (a api) testAlert(r *http.Request) (any, error) {
	if a.alerting == nil {
		return nil, errAlertsOff
	}
	results, err := a.alerting.Test(r.Context(), r.PathValue("name"), a.who(r))
	return AlertTest{Results: results}, err
}

func (a api) silences(r *http.Request) (any, error) {
	if a.alerting == nil {
		return nil, errAlertsOff
	}
	o, err := a.alerting.Overview(r.Context())
	return SilenceList{Silences: o.Silences}, err
}

func (a api) addSilence(r *http.Request) (any, error) {
	if a.alerting == nil {
		return nil, errAlertsOff
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return nil, err
	}
	var want SilenceRequest
	if err := json.Unmarshal(body, &want); err != nil || len(body) > maxRequest {
		return nil, paramError{"body", "...", `JSON as {"matchers": ["helm_namespace=shop"], "duration": "2h"}`}
	}
	d, err := time.ParseDuration(want.Duration)
	if err != nil || d <= 0 || d > maxSilence {
		return nil, paramError{"duration", want.Duration, fmt.Sprintf("a duration such as 2h, up to %s", maxSilence)}
	}
	s := alert.Silence{EndsAt: time.Now().UTC().Add(d), Comment: want.Comment}
	for _, text := range want.Matchers {
		m, err := alert.ParseMatcher(text)
		if err != nil {
			return nil, paramError{"matchers", text, err.Error()}
		}
		s.Matchers = append(s.Matchers, m)
	}
	return a.alerting.Silence(r.Context(), s, a.who(r))
}

func (a api) endSilence(r *http.Request) (any, error) {
	if a.alerting == nil {
		return nil, errAlertsOff
	}
	return a.alerting.Unsilence(r.Context(), r.PathValue("id"), a.who(r))
}

func (a api) audit(r *http.Request) (any, error) {
	q := params{r: r}
	until, limit := q.instant("until"), q.limit()
	if q.err != nil {
		return nil, q.err
	}
	found, err := a.auditStore.List(r.Context(), until, limit)
	if err != nil {
		return nil, err
	}
	out := AuditList{Actions: append([]audit.Entry{}, found...)}
	if len(found) == limit {
		out.NextUntil = found[len(found)-1].At.Format(time.RFC3339Nano)
	}
	return out, nil
}
