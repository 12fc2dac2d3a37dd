package alert

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Silence keeps alerts whose labels match from being told, for a time. They
// stay visible.
type Silence struct {
	ID        string    `json:"id"`
	Matchers  []Matcher `json:"matchers"` // all must match
	StartsAt  time.Time `json:"startsAt"`
	EndsAt    time.Time `json:"endsAt"`
	CreatedBy string    `json:"createdBy,omitempty"`
	Comment   string    `json:"comment,omitempty"`
}

// Matcher compares one label. A label that an alert does not have is "".
type Matcher struct {
	Name  string `json:"name"`
	Op    string `json:"op"` // = != =~ !~; regular expressions match whole values
	Value string `json:"value"`

	pattern *regexp.Regexp
}

// maxMatcher bounds a matcher's text, and with it the regular expression.
const maxMatcher = 1000

// ParseMatcher reads name=value, name!=value, name=~regexp or name!~regexp.
func ParseMatcher(s string) (Matcher, error) {
	i := strings.IndexAny(s, "=!")
	if i <= 0 || len(s) > maxMatcher {
		return Matcher{}, fmt.Errorf("matcher %q: want name=value, name!=value, name=~regexp or name!~regexp, at most %d characters", s, maxMatcher)
	}
	m := Matcher{Name: s[:i]}
	for _, op := range []string{"=~", "!~", "!=", "="} {
		if value, ok := strings.CutPrefix(s[i:], op); ok {
			m.Op, m.Value = op, value
			break
		}
	}
	if err := m.Compile(); err != nil {
		return Matcher{}, fmt.Errorf("matcher %q: %w", s, err)
	}
	return m, nil
}

// Compile checks a matcher that was decoded, and readies its regular
// expression; one that was not compiled and has one matches nothing.
func (m *Matcher) Compile() error {
	switch {
	case m.Name == "":
		return fmt.Errorf("name: want the name of a label")
	case len(m.Name)+len(m.Value) > maxMatcher:
		return fmt.Errorf("want at most %d characters", maxMatcher)
	case m.Op == "=" || m.Op == "!=":
		return nil
	case m.Op == "=~" || m.Op == "!~":
		pattern, err := regexp.Compile("^(?:" + m.Value + ")$")
		m.pattern = pattern
		return err
	default:
		return fmt.Errorf("op %q: want =, !=, =~ or !~", m.Op)
	}
}

// String returns what [ParseMatcher] reads.
func (m Matcher) String() string { return m.Name + m.Op + m.Value }

func (m Matcher) matches(labels map[string]string) bool {
	value := labels[m.Name]
	switch m.Op {
	case "=":
		return value == m.Value
	case "!=":
		return value != m.Value
	case "=~":
		return m.pattern != nil && m.pattern.MatchString(value)
	default:
		return m.pattern != nil && !m.pattern.MatchString(value)
	}
}

// Check returns why the silence cannot be used, naming the field, or nil; it
// compiles the matchers.
func (s *Silence) Check(now time.Time) error {
	if len(s.Matchers) == 0 || len(s.Matchers) > 32 {
		return fmt.Errorf("matchers: want 1 to 32, such as helm_namespace=shop; a silence of everything is alertname=~.+")
	}
	all := true
	for i := range s.Matchers {
		if err := s.Matchers[i].Compile(); err != nil {
			return fmt.Errorf("matchers[%d]: %w", i, err)
		}
		all = all && s.Matchers[i].matches(nil)
	}
	if all {
		return fmt.Errorf("matchers: they match alerts without any label, so everything; a silence of everything is alertname=~.+")
	}
	switch {
	case !s.EndsAt.After(s.StartsAt) || !s.EndsAt.After(now):
		return fmt.Errorf("endsAt: %s: want a time after its start and after now", s.EndsAt.Format(time.RFC3339))
	case len(s.Comment) > 1000:
		return fmt.Errorf("comment: want at most 1000 bytes")
	}
	return nil
}

// Covers reports whether the silence is in force at now and matches the alert.
func (s Silence) Covers(a Alert, now time.Time) bool {
	if now.Before(s.StartsAt) || !now.Before(s.EndsAt) {
		return false
	}
	labels := a.AllLabels()
	for _, m := range s.Matchers {
		if !m.matches(labels) {
			return false
		}
	}
	return len(s.Matchers) > 0
}
