package config

import (
	"errors"
	"fmt"
)

// FieldError is a value in the configuration that cannot be used.
type FieldError struct {
	Field   string // path in the file, such as store.metrics.retention
	Value   any    // what was found there; nil when the field is missing
	Problem string // what is wrong and what is wanted
	Line    int    // in the file, 0 when not known
}

// Error names the field, the value and the problem.
func (e *FieldError) Error() string {
	line := ""
	if e.Line > 0 {
		line = fmt.Sprintf("line %d: ", e.Line)
	}
	if e.Value == nil {
		return fmt.Sprintf("%s%s: %s", line, e.Field, e.Problem)
	}
	return fmt.Sprintf("%s%s: %q: %s", line, e.Field, fmt.Sprint(e.Value), e.Problem)
}

// problems collects field errors under a path prefix; at shares the list.
type problems struct {
	prefix string
	list   *[]error
}

func (p *problems) at(section string) *problems {
	if p.list == nil {
		p.list = new([]error)
	}
	if p.prefix != "" {
		section = p.prefix + "." + section
	}
	return &problems{prefix: section, list: p.list}
}

func (p *problems) add(field string, value any, format string, args ...any) {
	if p.list == nil {
		p.list = new([]error)
	}
	if p.prefix != "" {
		if field == "" {
			field = p.prefix
		} else {
			field = p.prefix + "." + field
		}
	}
	*p.list = append(*p.list, &FieldError{Field: field, Value: value, Problem: fmt.Sprintf(format, args...)})
}

func (p *problems) join() error {
	if p.list == nil {
		return nil
	}
	return errors.Join(*p.list...)
}
