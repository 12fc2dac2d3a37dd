package sqlite

import "strings"

// Where is the WHERE clause of a query that a filter asks for. The zero value
// selects all. Conditions are constants of the program; values are its Args.
type Where struct {
	conditions []string
	args       []any
}

// Add restricts to rows for which condition holds with its placeholder, if it
// has one, being arg; not when the filter leaves it open.
func (w *Where) Add(asked bool, condition string, arg ...any) {
	if asked {
		w.conditions, w.args = append(w.conditions, condition), append(w.args, arg...)
	}
}

// String returns " WHERE ..." or "".
func (w *Where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// Args returns the values of the placeholders, and then more.
func (w *Where) Args(more ...any) []any { return append(w.args[:len(w.args):len(w.args)], more...) }
