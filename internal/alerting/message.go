package alerting

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/notify"
)

// Message returns what receivers are told of an alert.
func (e *Engine) Message(a alert.Alert) notify.Message {
	m := notify.Message{
		Name: string(a.Rule), Status: notify.StatusFiring, Severity: notify.Severity(a.Severity),
		Summary: a.Summary, Description: a.Description, Labels: a.Labels, StartsAt: a.FiringSince,
		Facts: []notify.Fact{{Name: "Value", Value: Amount(a.Value, a.Unit)}, {Name: "Limit", Value: Amount(a.Threshold, a.Unit)}},
	}
	if a.Cause != "" {
		m.Facts = append(m.Facts, notify.Fact{Name: "Cause", Value: a.Cause})
	}
	if a.TraceID != "" {
		m.Facts = append(m.Facts, notify.Fact{Name: "Trace", Value: a.TraceID})
	}
	if a.State == alert.StateResolved {
		m.Status, m.EndsAt = notify.StatusResolved, a.ResolvedAt
	}
	if e.o.URL != "" {
		m.URL = e.o.URL + "/alerts?" + url.Values{"rule": {string(a.Rule)}}.Encode()
	}
	m.RunbookURL = e.runbook(a.Rule)
	return m
}

func (e *Engine) runbook(r alert.Rule) string {
	if e.o.Runbooks == "" {
		return ""
	}
	return e.o.Runbooks + "#" + strings.ToLower(string(r))
}

// Amount renders a value of an alert with its unit.
func Amount(v float64, unit string) string {
	switch unit {
	case alert.UnitRatio:
		return fmt.Sprintf("%.3g %%", v*100)
	case alert.UnitSeconds:
		return time.Duration(v * float64(time.Second)).Round(100 * time.Millisecond).String()
	default:
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
}
