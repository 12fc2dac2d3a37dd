package alerting

import (
	"cmp"
	"context"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/store/alerts"
)

// Overview is everything that is to be shown of alerts.
type Overview struct {
	// Alerts are those that fire, then pending ones, then those resolved within
	// a day; of each kind the newest first.
	Alerts    []Entry         `json:"alerts"`
	Rules     []RuleInfo      `json:"rules"`
	Receivers []ReceiverInfo  `json:"receivers"`
	Silences  []alert.Silence `json:"silences"`
	// EvaluatedAt is when the rules were last evaluated; zero = not yet.
	EvaluatedAt time.Time `json:"evaluatedAt,omitzero"`
	// EvaluationError says why the last evaluation failed; the alerts are then
	// those of EvaluatedAt.
	EvaluationError string `json:"evaluationError,omitempty"`
}

// Entry is an alert with its identity, and who was told.
type Entry struct {
	ID string `json:"id"`
	alert.Alert
	SilencedBy []string          `json:"silencedBy,omitempty"` // ids of silences
	Deliveries []alerts.Delivery `json:"deliveries,omitempty"`
	RunbookURL string            `json:"runbookUrl,omitempty"`
}

// RuleInfo is a rule and its limit in words.
type RuleInfo struct {
	Name     alert.Rule `json:"name"`
	Severity string     `json:"severity"`
	Holds    string     `json:"holds"` // when, in one sentence
	Runbook  string     `json:"runbookUrl,omitempty"`
}

// ReceiverInfo is a receiver without its secrets.
type ReceiverInfo struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Host    string `json:"host"`
	Waiting int    `json:"waiting"` // messages in its queue
}

// Overview returns what there is to show.
func (e *Engine) Overview(ctx context.Context) (Overview, error) {
	now := e.o.Now()
	last := e.last.Load()
	o := Overview{Alerts: []Entry{}, Receivers: []ReceiverInfo{}, Silences: []alert.Silence{}, EvaluatedAt: last.at, EvaluationError: last.problem}
	all, err := e.o.Store.Alerts(ctx)
	if err != nil {
		return o, err
	}
	silences, err := e.o.Store.Silences(ctx)
	if err != nil {
		return o, err
	}
	o.Silences = append(o.Silences, silences...)
	told, err := e.o.Store.TellRecords(ctx)
	if err != nil {
		return o, err
	}
	deliveries := map[string][]alerts.Delivery{}
	for _, t := range told {
		deliveries[t.Key] = append(deliveries[t.Key], t.Delivery)
	}
	for _, a := range all {
		entry := Entry{ID: a.Key(), Alert: a, Deliveries: deliveries[a.Key()], RunbookURL: e.runbook(a.Rule)}
		for _, s := range silences {
			if s.Covers(a, now) {
				entry.SilencedBy = append(entry.SilencedBy, s.ID)
			}
		}
		o.Alerts = append(o.Alerts, entry)
	}
	order := []alert.State{alert.StateFiring, alert.StatePending, alert.StateResolved}
	slices.SortFunc(o.Alerts, func(a, b Entry) int {
		return cmp.Or(slices.Index(order, a.State)-slices.Index(order, b.State), b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	waiting, err := e.o.Store.Waiting(ctx)
	if err != nil {
		return o, err
	}
	for _, r := range e.o.Receivers {
		o.Receivers = append(o.Receivers, ReceiverInfo{Name: r.Name(), Kind: string(r.Kind()), Host: r.Host(), Waiting: waiting[r.Name()]})
	}
	for _, r := range alert.Rules() {
		o.Rules = append(o.Rules, RuleInfo{Name: r, Severity: r.Severity(), Holds: e.o.Thresholds.Describe(r), Runbook: e.runbook(r)})
	}
	return o, nil
}
