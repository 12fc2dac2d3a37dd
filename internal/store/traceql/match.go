package traceql

import "slices"

// Candidates is a condition on spans that every trace that matches a query
// meets with at least one span.
type Candidates struct {
	any []expr
	// Errors: each of the spans has status error.
	Errors bool
}

// Candidates returns the spans to look for.
func (q *Query) Candidates() Candidates {
	c := Candidates{any: candidates(q.set), Errors: true}
	for _, e := range c.any {
		c.Errors = c.Errors && needsError(e)
	}
	return c
}

// Single returns the query as the condition of its only spanset; false when it
// is more than that.
func (q *Query) Single() (Candidates, bool) {
	f, ok := q.set.(setFilter)
	return Candidates{any: []expr{f.expr}, Errors: needsError(f.expr)}, ok && len(q.counts) == 0
}

// Fields returns the attributes and intrinsics that the query names, each once.
func (q *Query) Fields() (fields []Field) {
	var ofExpr func(expr)
	add := func(o operand) {
		if o.isField && !slices.Contains(fields, o.field) {
			fields = append(fields, o.field)
		}
	}
	ofExpr = func(e expr) {
		switch e := e.(type) {
		case not:
			ofExpr(e.e)
		case *logical:
			ofExpr(e.a)
			ofExpr(e.b)
		case *comparison:
			add(e.a)
			add(e.b)
		}
	}
	var ofSet func(setExpr)
	ofSet = func(s setExpr) {
		switch s := s.(type) {
		case setFilter:
			ofExpr(s.expr)
		case *setBinary:
			ofSet(s.a)
			ofSet(s.b)
		}
	}
	ofSet(q.set)
	return fields
}

// Evaluate tells whether a span is one of the candidates.
func (c Candidates) Evaluate(env Env) Known {
	result := False
	for _, e := range c.any {
		switch evaluate(e, env) {
		case True:
			return True
		case Unknown:
			result = Unknown
		}
	}
	return result
}

func candidates(s setExpr) []expr {
	switch s := s.(type) {
	case setFilter:
		return []expr{s.expr}
	case *setBinary:
		a, b := candidates(s.a), candidates(s.b)
		if s.op == "||" {
			return slices.Concat(a, b)
		}
		// Both sides must have a span: look for the rarer. Errors are rare,
		// and a condition is rarer than none.
		if cost(b) < cost(a) {
			return b
		}
		return a
	}
	return nil
}

func cost(es []expr) int {
	worst := 0
	for _, e := range es {
		c := 1
		if needsError(e) {
			c = 0
		} else if e == constant(true) {
			c = 2
		}
		worst = max(worst, c)
	}
	return worst
}

// needsError reports whether only spans with status error meet the condition.
func needsError(e expr) bool {
	switch e := e.(type) {
	case *logical:
		if e.and {
			return needsError(e.a) || needsError(e.b)
		}
		return needsError(e.a) && needsError(e.b)
	case *comparison:
		isStatus := func(o operand) bool { return o.isField && o.field == Field{ScopeIntrinsic, "status"} }
		isError := func(o operand) bool { return !o.isField && o.value == statusValue(2) }
		return e.op == "=" && (isStatus(e.a) && isError(e.b) || isStatus(e.b) && isError(e.a))
	}
	return false
}

// Node is a span of a trace, for Match.
type Node interface {
	Env
	// Parent is the index of the parent among the spans of the trace; -1 when
	// it is not there.
	Parent() int
}

// Match returns the indexes of the spans of a trace that the query selects, in
// order; none when the trace does not match.
func (q *Query) Match(spans []Node) []int {
	set := match(q.set, spans)
	for _, c := range q.counts {
		order := 0
		switch n := int64(len(set)); {
		case n < c.n:
			order = -1
		case n > c.n:
			order = 1
		}
		if !holds(c.op, order) {
			return nil
		}
	}
	return set
}

func match(s setExpr, spans []Node) (set []int) {
	if f, ok := s.(setFilter); ok {
		for i, sp := range spans {
			if evaluate(f.expr, sp) == True {
				set = append(set, i)
			}
		}
		return set
	}
	b := s.(*setBinary)
	left, right := match(b.a, spans), match(b.b, spans)
	switch b.op {
	case "||":
		return union(left, right)
	case "&&":
		if len(left) == 0 || len(right) == 0 {
			return nil
		}
		return union(left, right)
	}
	in := make(map[int]bool, len(left))
	for _, i := range left {
		in[i] = true
	}
	for _, i := range right {
		if related(b.op, in, left, i, spans) {
			set = append(set, i)
		}
	}
	return set
}

// related reports whether span i is related to one of left by the structural
// operator: a child (>) or descendant (>>), a parent (<) or ancestor (<<), or
// a sibling (~).
func related(op string, in map[int]bool, left []int, i int, spans []Node) bool {
	// A cycle of parents can't be longer than the trace.
	up := func(i, n int, meets func(int) bool) bool {
		for p := spans[i].Parent(); p >= 0 && n > 0; p, n = spans[p].Parent(), n-1 {
			if meets(p) {
				return true
			}
		}
		return false
	}
	switch op {
	case ">":
		return up(i, 1, func(p int) bool { return in[p] })
	case ">>":
		return up(i, len(spans), func(p int) bool { return in[p] })
	case "<", "<<":
		n := 1
		if op == "<<" {
			n = len(spans)
		}
		return slices.ContainsFunc(left, func(l int) bool { return up(l, n, func(p int) bool { return p == i }) })
	case "~":
		parent := spans[i].Parent()
		return parent >= 0 && slices.ContainsFunc(left, func(l int) bool { return l != i && spans[l].Parent() == parent })
	}
	return false
}

func union(a, b []int) []int {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
