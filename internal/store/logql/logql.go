// Package logql parses and evaluates the part of LogQL, Grafana Loki's query
// language, that docs/traces-and-logs.md lists: stream selectors, line filters,
// label filters, count_over_time and rate, and sum over them. What is not
// supported is a *ParseError that says so and where.
package logql

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ParseError says what is wrong with a query, and where.
type ParseError struct {
	Line, Col int // from 1
	Msg       string
}

// Error has Loki's form: parse error at line 1, col 3: ...
func (e *ParseError) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
}

// MaxQuery bounds the length of a query, and maxDepth how deep it nests.
const (
	MaxQuery = 16 << 10
	maxDepth = 64
)

// Query is a parsed query: of log lines, or of a metric over them.
type Query struct {
	matchers []Matcher
	stages   []stage

	// Metric is "" for log lines, else count_over_time or rate.
	Metric string
	Range  time.Duration // of Metric
	// Sum adds the series up, by the labels of By.
	Sum bool
	By  []string
}

// Matcher is a condition on a label.
type Matcher struct {
	Name  string
	op    string
	value string
	re    *regexp.Regexp
	num   float64
	isNum bool
}

// stage is a line filter or a condition on labels and structured metadata.
type stage interface{ stage() }

type lineFilter struct {
	op, text string
	re       *regexp.Regexp
}

type condition struct {
	and, or []condition // of one kind, or
	m       Matcher
}

func (lineFilter) stage() {}
func (condition) stage()  {}

// MatchStream tells whether the labels of a stream meet the selector.
func (q *Query) MatchStream(label func(string) string) bool {
	for _, m := range q.matchers {
		if !m.matches(label(m.Name)) {
			return false
		}
	}
	return true
}

// MatchEntry tells whether a line and its labels, structured metadata
// included, pass the filters.
func (q *Query) MatchEntry(line string, label func(string) string) bool {
	for _, s := range q.stages {
		switch s := s.(type) {
		case lineFilter:
			if !s.matches(line) {
				return false
			}
		case condition:
			if !s.matches(label) {
				return false
			}
		}
	}
	return true
}

func (f lineFilter) matches(line string) bool {
	switch f.op {
	case "|=":
		return strings.Contains(line, f.text)
	case "!=":
		return !strings.Contains(line, f.text)
	case "|~":
		return f.re.MatchString(line)
	}
	return !f.re.MatchString(line)
}

func (c condition) matches(label func(string) string) bool {
	switch {
	case c.and != nil:
		for _, e := range c.and {
			if !e.matches(label) {
				return false
			}
		}
		return true
	case c.or != nil:
		for _, e := range c.or {
			if e.matches(label) {
				return true
			}
		}
		return false
	}
	return c.m.matches(label(c.m.Name))
}

// matches treats an absent label as the empty one, as Loki does.
func (m Matcher) matches(v string) bool {
	if m.isNum {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return false
		}
		switch m.op {
		case "=", "==":
			return n == m.num
		case "!=":
			return n != m.num
		case ">":
			return n > m.num
		case ">=":
			return n >= m.num
		case "<":
			return n < m.num
		}
		return n <= m.num
	}
	switch m.op {
	case "=", "==":
		return v == m.value
	case "!=":
		return v != m.value
	case "=~":
		return m.re.MatchString(v)
	}
	return !m.re.MatchString(v)
}
