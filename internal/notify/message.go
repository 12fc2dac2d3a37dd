// Package notify tells people and their tools: it delivers one [Message], an
// alert or an event of a rollout, to a generic webhook, to Slack or to an
// Alertmanager.
//
// [New] checks a receiver's [Options]; [Receiver.Send] makes one attempt and
// returns an [*Error] that says whether another may succeed;
// [Receiver.SendRetrying] makes several. Who needs deliveries to outlive the
// process keeps a queue around Send.
package notify

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is whether what a message is about lasts.
type Status string

// The statuses, in Alertmanager's words.
const (
	StatusFiring   Status = "firing"
	StatusResolved Status = "resolved"
)

// Severity is how urgent a message is.
type Severity string

// The severities.
const (
	SeverityInfo     Severity = "info"     // to know
	SeverityWarning  Severity = "warning"  // to look at today
	SeverityCritical Severity = "critical" // to look at now
)

// Message is what is told. All text is plain: each receiver escapes it as its
// format wants. It must hold no secrets.
type Message struct {
	// Name says what happened, in CamelCase: HelmRollbackRateHigh, CanaryRolledBack.
	Name     string
	Status   Status   // StatusFiring when empty
	Severity Severity // SeverityWarning when empty

	Summary     string // one line
	Description string // a few sentences; may be empty

	// Labels say what it is about (helm_namespace, helm_release, ...). Messages of
	// the same Name and Labels are about the same thing: a later one replaces an
	// earlier one where the receiver can do that. Names are as Prometheus has
	// them: letters, digits and underscores.
	Labels map[string]string
	// Facts are shown below the text, in this order.
	Facts []Fact

	URL        string // where to look; may be empty
	RunbookURL string // what to do; may be empty

	StartsAt time.Time
	// EndsAt is when it ended (resolved), or until when an Alertmanager shall keep
	// it without hearing of it again (firing); zero = as the Alertmanager is set.
	EndsAt time.Time
}

// Fact is a name with a value, such as "Rollback rate" and "3 of 8 (38 %)".
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Bounds of what is sent, in bytes of UTF-8. Longer texts are cut, with an
// ellipsis, so that no receiver refuses a message for its length.
const (
	maxSummary     = 500
	maxDescription = 2500 // Slack takes 3000 in a section
	maxFact        = 1000
	maxFacts       = 10 // as Slack does
	maxLabels      = 32
)

// bounded returns m with defaults filled in and every text cut to its bound.
func (m Message) bounded() Message {
	if m.Status == "" {
		m.Status = StatusFiring
	}
	if m.Severity == "" {
		m.Severity = SeverityWarning
	}
	m.Name = cut(m.Name, maxFact)
	m.Summary, m.Description = cut(strings.Join(strings.Fields(m.Summary), " "), maxSummary), cut(m.Description, maxDescription)
	facts := slices.Clone(m.Facts[:min(len(m.Facts), maxFacts)])
	for i, f := range facts {
		facts[i] = Fact{Name: cut(f.Name, maxFact), Value: cut(f.Value, maxFact)}
	}
	m.Facts = facts
	labels := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
		if len(labels) < maxLabels && m.Labels[k] != "" {
			labels[labelName(k)] = cut(m.Labels[k], maxFact)
		}
	}
	m.Labels = labels
	return m
}

// alertLabels are the labels with alertname and severity, as an Alertmanager
// groups and routes by them.
func (m Message) alertLabels() map[string]string {
	all := maps.Clone(m.Labels)
	all["alertname"], all["severity"] = m.Name, string(m.Severity)
	return all
}

func (m Message) annotations() map[string]string {
	a := map[string]string{"summary": m.Summary}
	if m.Description != "" {
		a["description"] = m.Description
	}
	if m.RunbookURL != "" {
		a["runbook_url"] = m.RunbookURL
	}
	for _, f := range m.Facts {
		if name := strings.ToLower(labelName(f.Name)); a[name] == "" {
			a[name] = f.Value
		}
	}
	return a
}

// cut shortens s to at most n bytes without splitting a character, and makes
// invalid UTF-8 valid, which JSON receivers would refuse.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	end := max(n-len(ellipsis), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// labelName turns a name into one that every Alertmanager takes.
func labelName(s string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		default:
			return '_'
		}
	}, s)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
