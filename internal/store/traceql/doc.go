// Package traceql parses and evaluates the part of TraceQL, Grafana Tempo's
// query language, that docs/traces-and-logs.md lists. What is not supported is
// a *ParseError that says so and where.
//
// Parse gives a Query. Its Candidates say which spans to look for, at three
// levels of knowledge (a resource, a span, a whole trace); Match evaluates the
// query on a trace.
package traceql

import "fmt"

// ParseError says what is wrong with a query, and where.
type ParseError struct {
	Line, Col int // from 1
	Msg       string
}

// Error has Tempo's form: parse error at line 1, col 3: ...
func (e *ParseError) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Msg)
}

// MaxQuery bounds the length of a query, and maxDepth how deep it nests.
const (
	MaxQuery = 16 << 10
	maxDepth = 64
)
