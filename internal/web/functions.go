package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/rollouts"
	"fairlead.dev/fairlead/internal/web/chart"
)

var functions = template.FuncMap{
	"ago":       ago,
	"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock":     func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"instant":   func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") },
	"duration":  chart.Duration,
	"odds":      odds,
	"readable":  readable,
	"contains":  strings.Contains,
	"count":     func(n any) string { return chart.Count(number(n)) },
	"percent":   chart.Percent,
	"seconds":   chart.Seconds,
	"short":     short,
	"join":      strings.Join,
	"dict":      dict,
	"badge":     badgeOf,
	"icon":      icon,
	"plural":    plural,
	"add":       func(a, b int) int { return a + b },
	"level":     func(depth int) int { return min(depth, 12) },
	"gatewidth": func(share float64) float64 { return share * chart.Width },
}

func number(n any) float64 {
	switch n := n.(type) {
	case int:
		return float64(n)
	case int32:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	default:
		return 0
	}
}

func ago(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	d := now.Sub(t)
	switch {
	case d < 0 && d > -time.Minute, d >= 0 && d < 5*time.Second:
		return "just now"
	case d < 0:
		return "in " + chart.Duration(-d)
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d d ago", int(d.Hours()/24))
	}
}

// odds prints evidence as odds; beyond a million nobody counts.
func odds(v float64) string {
	switch {
	case v >= 1e6:
		return "over a million to 1"
	case v >= 10:
		return chart.Count(math.Round(v)) + " to 1"
	default:
		return strconv.FormatFloat(v, 'g', 2, 64) + " to 1"
	}
}

func plural(n any, one, many string) string {
	if number(n) == 1 {
		return "1 " + one
	}
	return chart.Count(number(n)) + " " + many
}

// short is the beginning of an id.
func short(id string) string {
	if len(id) <= 12 {
		return id
	}
	return id[:8]
}

func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v is no text", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// badge is a status by icon, word and colour.
type badge struct{ Class, Icon, Word string }

func badgeOf(v any) badge {
	switch v := v.(type) {
	case release.Operation:
		return badgeOf(v.State)
	case release.State:
		switch v {
		case release.StateRunning:
			return badge{"run", "run", "Running"}
		case release.StateSucceeded:
			return badge{"ok", "ok", "Succeeded"}
		case release.StateCancelled:
			return badge{"bad", "stop", "Cancelled"}
		default:
			return badge{"bad", "bad", "Failed"}
		}
	case operations.Status:
		switch v {
		case operations.StatusDeployed:
			return badge{"ok", "ok", "Deployed"}
		case operations.StatusRunning:
			return badge{"run", "run", "Running"}
		case operations.StatusUninstalled:
			return badge{"mute", "stop", "Uninstalled"}
		default:
			return badge{"bad", "bad", "Failed"}
		}
	case rollout.Record:
		return rolloutBadge(v)
	case rollouts.Look:
		return rolloutBadge(rollout.Record{Phase: v.Phase, Reason: v.Reason, Paused: v.Paused})
	case string:
		return wordBadge(v)
	default:
		return badge{"mute", "dash", fmt.Sprint(v)}
	}
}

func rolloutBadge(r rollout.Record) badge {
	switch {
	case r.Phase == rollout.PhaseSucceeded:
		return badge{"ok", "ok", "Promoted"}
	case r.Phase == rollout.PhaseRolledBack:
		return badge{"bad", "back", "Rolled back"}
	case r.Phase == rollout.PhaseRollingBack:
		return badge{"bad", "back", "Rolling back"}
	case r.Phase == rollout.PhasePromotionFailed:
		return badge{"bad", "bad", "Promotion failed"}
	case r.Phase == rollout.PhaseIdle:
		return badge{"mute", "dash", "Idle"}
	case r.Paused || r.Reason == rollout.ReasonPaused:
		return badge{"warn", "pause", "Paused"}
	case r.Reason == rollout.ReasonApproval:
		return badge{"warn", "hand", "Awaiting approval"}
	case r.Reason == rollout.ReasonRouteContested, r.Reason == rollout.ReasonHold, r.Reason == rollout.ReasonAnalysisError, r.Reason == rollout.ReasonRouteUnavailable:
		return badge{"warn", "warn", "Holding"}
	case r.Phase == rollout.PhasePromoting, r.Phase == rollout.PhaseReturning:
		return badge{"run", "run", "Promoting"}
	default:
		return badge{"run", "run", "In progress"}
	}
}

// words are the badges of words that come as they are.
var words = map[string]badge{
	"passed": {"ok", "ok", "Passed"}, "failed": {"bad", "bad", "Failed"}, "inconclusive": {"warn", "dash", "Inconclusive"},
	"no_data": {"mute", "dash", "No data"}, "untestable": {"mute", "dash", "Untestable"},
	"promote": {"ok", "ok", "Promote"}, "rollback": {"bad", "back", "Roll back"}, "continue": {"run", "run", "Continue"},
	"firing": {"bad", "bell", "Firing"}, "pending": {"warn", "clock", "Pending"}, "resolved": {"ok", "ok", "Resolved"}, "inactive": {"ok", "ok", "Not firing"},
	"silenced": {"mute", "stop", "Silenced"}, "unknown": {"mute", "dash", "Not known"},
	"ok": {"ok", "ok", "Well"}, "warn": {"warn", "warn", "Look"}, "bad": {"bad", "bad", "Wrong"}, "off": {"mute", "dash", "Off"},
	"delivered": {"ok", "ok", "Delivered"}, "waiting": {"run", "clock", "Waiting"},
	"Warning": {"warn", "warn", "Warning"}, "Normal": {"mute", "dash", "Normal"}, "automatic": {"mute", "back", "Automatic"},
}

func wordBadge(w string) badge {
	if b, ok := words[w]; ok {
		return b
	}
	return badge{"mute", "dash", w}
}

// icons are paths in a box of 16.
var icons = map[string]string{
	"ok":    "M3.5 8.5l3 3 6-7",
	"bad":   "M4.5 4.5l7 7M11.5 4.5l-7 7",
	"warn":  "M8 3v6M8 12v.01",
	"run":   "M8 2.5a5.5 5.5 0 1 1-5.5 5.5",
	"back":  "M6 4L2.5 7.5 6 11M3 7.5h6a4 4 0 0 1 4 4v.5",
	"pause": "M6 4v8M10 4v8",
	"stop":  "M5 5h6v6H5z",
	"hand":  "M8 3v5l3 2M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11z",
	"clock": "M8 4.5V8l2.5 1.5M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11z",
	"bell":  "M4 11V7.5a4 4 0 0 1 8 0V11l1 1H3zM7 13.5h2",
	"dash":  "M4 8h8",
	"theme": "M8 2.5v11a5.5 5.5 0 0 0 0-11zM8 13.5a5.5 5.5 0 0 1 0-11",
	"next":  "M6 3.5L10.5 8 6 12.5",
}

func icon(name string) template.HTML {
	return template.HTML(`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="` + icons[name] + `"/></svg>`) //nolint:gosec // constants of this file
}
