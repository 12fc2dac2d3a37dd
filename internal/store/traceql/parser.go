package traceql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Query is a parsed query.
type Query struct {
	set    setExpr
	counts []countFilter // | count() > 2
	// Select are the fields that select() adds to the spans of the result.
	Select []Field
}

type countFilter struct {
	op string
	n  int64
}

// setExpr is an expression over spansets.
type setExpr interface{ set() }

type setFilter struct{ expr expr } // { ... }

type setBinary struct {
	op   string // && || > >> < << ~
	a, b setExpr
}

func (setFilter) set()  {}
func (*setBinary) set() {}

// expr is a condition on a span.
type expr interface{ cond() }

type constant bool

type not struct{ e expr }

type logical struct {
	and  bool
	a, b expr
}

type comparison struct {
	op   string
	a, b operand
	re   *regexp.Regexp // for =~ and !~
}

func (constant) cond()    {}
func (not) cond()         {}
func (*logical) cond()    {}
func (*comparison) cond() {}

// operand is a field or a literal.
type operand struct {
	isField bool
	field   Field
	value   Value
}

type parser struct {
	tokens []token
	pos    int
	depth  int
}

// Parse reads a query. The empty one is {}. Its errors are *ParseError.
func Parse(src string) (*Query, error) {
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	if p.peek().kind == tokEnd {
		return &Query{set: setFilter{constant(true)}}, nil
	}
	q := &Query{}
	if q.set, err = p.spansets(0); err != nil {
		return nil, err
	}
	for p.accept("|") {
		if err := p.stage(q); err != nil {
			return nil, err
		}
	}
	if t := p.peek(); t.kind != tokEnd {
		return nil, p.unexpected(t, "the end of the query")
	}
	return q, nil
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) take() token {
	t := p.tokens[p.pos]
	if t.kind != tokEnd {
		p.pos++
	}
	return t
}

func (p *parser) accept(op string) bool {
	if t := p.peek(); t.kind == tokOp && t.text == op {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(op string) error {
	if !p.accept(op) {
		return p.unexpected(p.peek(), fmt.Sprintf("%q", op))
	}
	return nil
}

func errorAt(t token, format string, args ...any) error {
	return &ParseError{t.line, t.col, fmt.Sprintf(format, args...)}
}

func (p *parser) unexpected(t token, want string) error {
	got := "the end of the query"
	switch t.kind {
	case tokOp, tokWord:
		got = fmt.Sprintf("%q", t.text)
	case tokField:
		got = fmt.Sprintf("field %q", t.field)
	case tokValue:
		got = fmt.Sprintf("value %q", t.value.Text())
	}
	return errorAt(t, "unexpected %s, expected %s", got, want)
}

func (p *parser) nest() error {
	if p.depth++; p.depth > maxDepth {
		return errorAt(p.peek(), "the query nests deeper than %d", maxDepth)
	}
	return nil
}

// setLevels are the operators between spansets, the loosest first.
var setLevels = [][]string{{"||"}, {"&&"}, {">>", "<<", ">", "<", "~"}}

func (p *parser) spansets(level int) (setExpr, error) {
	if level == len(setLevels) {
		return p.spanset()
	}
	a, err := p.spansets(level + 1)
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		if t.kind != tokOp || !slices.Contains(setLevels[level], t.text) {
			break
		}
		p.pos++
		// Each operator makes the tree one deeper.
		if err := p.nest(); err != nil {
			return nil, err
		}
		b, err := p.spansets(level + 1)
		if err != nil {
			return nil, err
		}
		a = &setBinary{t.text, a, b}
	}
	if t := p.peek(); t.kind == tokOp && len(t.text) > 1 && (t.text[0] == '!' || t.text[0] == '&') && t.text != "&&" {
		return nil, errorAt(t, "the operator %q between spansets is not supported; &&, ||, >, >>, <, << and ~ are", t.text)
	}
	return a, nil
}

func (p *parser) spanset() (setExpr, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.peek()
	switch {
	case p.accept("("):
		e, err := p.spansets(0)
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case p.accept("{"):
		if p.accept("}") {
			return setFilter{constant(true)}, nil
		}
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return setFilter{e}, p.expect("}")
	}
	return nil, p.unexpected(t, `"{"`)
}

func (p *parser) or() (expr, error)  { return p.chain("||", false, p.and) }
func (p *parser) and() (expr, error) { return p.chain("&&", true, p.unary) }

func (p *parser) chain(op string, and bool, next func() (expr, error)) (expr, error) {
	a, err := next()
	if err != nil {
		return nil, err
	}
	for p.accept(op) {
		b, err := next()
		if err != nil {
			return nil, err
		}
		a = &logical{and, a, b}
	}
	return a, nil
}

func (p *parser) unary() (expr, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("!"):
		e, err := p.unary()
		return not{e}, err
	case p.accept("("):
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	}
	return p.comparison()
}

var comparisonOps = []string{"=", "!=", "=~", "!~", ">", ">=", "<", "<="}

func (p *parser) comparison() (expr, error) {
	first := p.peek()
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	t := p.peek()
	if t.kind != tokOp || !slices.Contains(comparisonOps, t.text) {
		if t.kind == tokOp && strings.Contains("+-*/%^", t.text) {
			return nil, errorAt(t, "arithmetic (%q) is not supported", t.text)
		}
		// A boolean alone.
		if a.isField {
			return &comparison{op: "=", a: a, b: operand{value: Value{Type: TypeBool, Bool: true}}}, nil
		}
		if a.value.Type == TypeBool {
			return constant(a.value.Bool), nil
		}
		return nil, errorAt(first, "%q alone is no condition; compare it with a field", a.value.Text())
	}
	p.pos++
	at := p.peek()
	b, err := p.operand()
	if err != nil {
		return nil, err
	}
	c := &comparison{op: t.text, a: a, b: b}
	if t.text != "=~" && t.text != "!~" {
		return c, nil
	}
	if b.isField || b.value.Type != TypeString {
		return nil, errorAt(at, "%s needs a regular expression in quotes", t.text)
	}
	// As in Tempo, the expression must match the whole value.
	if c.re, err = regexp.Compile("^(?:" + b.value.Str + ")$"); err != nil {
		return nil, errorAt(at, "regular expression %q: %v", b.value.Str, err)
	}
	return c, nil
}

func (p *parser) operand() (operand, error) {
	switch t := p.peek(); t.kind {
	case tokField:
		p.pos++
		return operand{isField: true, field: t.field}, nil
	case tokValue:
		p.pos++
		return operand{value: t.value}, nil
	case tokWord:
		return operand{}, errorAt(t, "unknown identifier %q: an attribute needs a scope, as .%s, span.%s or resource.%s", t.text, t.text, t.text, t.text)
	default:
		return operand{}, p.unexpected(t, "a field or a value")
	}
}

// stage reads what follows a |.
func (p *parser) stage(q *Query) error {
	t := p.take()
	switch {
	case t.kind == tokWord && t.text == "select":
		return p.selectStage(q)
	case t.kind == tokWord && t.text == "count":
		return p.countStage(q)
	case t.kind == tokWord:
		return errorAt(t, "%q after | is not supported; select(...) and count() are", t.text)
	case t.kind == tokOp && t.text == "{":
		return errorAt(t, "a second spanset after | is not supported; write { a } && { b }")
	}
	return p.unexpected(t, "select(...) or count()")
}

func (p *parser) selectStage(q *Query) error {
	if err := p.expect("("); err != nil {
		return err
	}
	for {
		t := p.take()
		if t.kind != tokField {
			return p.unexpected(t, "a field")
		}
		q.Select = append(q.Select, t.field)
		if !p.accept(",") {
			return p.expect(")")
		}
	}
}

func (p *parser) countStage(q *Query) error {
	if err := p.expect("("); err != nil {
		return err
	}
	if err := p.expect(")"); err != nil {
		return err
	}
	op := p.take()
	if op.kind != tokOp || !slices.Contains(comparisonOps, op.text) || op.text == "=~" || op.text == "!~" {
		return p.unexpected(op, "a comparison, as count() > 2")
	}
	n := p.take()
	if n.kind != tokValue || n.value.Type != TypeInt {
		return p.unexpected(n, "a whole number")
	}
	q.counts = append(q.counts, countFilter{op.text, n.value.Int})
	return nil
}
