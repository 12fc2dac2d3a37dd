package logql

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type parser struct {
	src   string
	pos   int
	depth int
}

// Parse reads a query. Its errors are *ParseError.
func Parse(src string) (*Query, error) {
	p := &parser{src: src}
	if len(src) > MaxQuery {
		return nil, p.fail("the query has %d bytes; at most %d are allowed", len(src), MaxQuery)
	}
	if !utf8.ValidString(src) {
		return nil, p.fail("the query is not valid UTF-8")
	}
	q := &Query{}
	if err := p.query(q); err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.src) {
		return nil, p.unexpected("the end of the query")
	}
	return q, nil
}

func (p *parser) fail(format string, args ...any) error {
	before := p.src[:min(p.pos, len(p.src))]
	line := 1 + strings.Count(before, "\n")
	col := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &ParseError{line, col, fmt.Sprintf(format, args...)}
}

func (p *parser) unexpected(want string) error {
	rest := p.src[p.pos:]
	if rest == "" {
		return p.fail("unexpected end of the query, expected %s", want)
	}
	r, _ := utf8.DecodeRuneInString(rest)
	if word := p.peekWord(); word != "" {
		return p.fail("unexpected %q, expected %s", word, want)
	}
	return p.fail("unexpected %q, expected %s", string(r), want)
}

func (p *parser) space() {
	for p.pos < len(p.src) && strings.ContainsRune(" \t\r\n", rune(p.src[p.pos])) {
		p.pos++
	}
}

func (p *parser) accept(s string) bool {
	p.space()
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) expect(s string) error {
	if !p.accept(s) {
		return p.unexpected(fmt.Sprintf("%q", s))
	}
	return nil
}

func isWord(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
}

func (p *parser) peekWord() string {
	p.space()
	n := p.pos
	for n < len(p.src) && isWord(p.src[n]) {
		n++
	}
	return p.src[p.pos:n]
}

func (p *parser) word(want string) (string, error) {
	w := p.peekWord()
	if w == "" || w[0] >= '0' && w[0] <= '9' {
		return "", p.unexpected(want)
	}
	p.pos += len(w)
	return w, nil
}

// query reads log lines, or a metric over them.
func (p *parser) query(q *Query) error {
	switch word := p.peekWord(); word {
	case "":
		return p.logs(q)
	case "sum":
		p.pos += len(word)
		q.Sum = true
		if err := p.by(q); err != nil {
			return err
		}
		if err := p.expect("("); err != nil {
			return err
		}
		if w := p.peekWord(); w != "count_over_time" && w != "rate" {
			return p.unexpected("count_over_time or rate")
		}
		if err := p.metric(q); err != nil {
			return err
		}
		if err := p.expect(")"); err != nil {
			return err
		}
		return p.by(q)
	case "count_over_time", "rate":
		return p.metric(q)
	default:
		return p.fail("%q is not supported; a stream selector as {service_name=\"x\"}, count_over_time, rate, and sum over these are", word)
	}
}

func (p *parser) by(q *Query) error {
	if p.peekWord() != "by" {
		return nil
	}
	p.pos += len("by")
	if err := p.expect("("); err != nil {
		return err
	}
	for !p.accept(")") {
		name, err := p.word("a label")
		if err != nil {
			return err
		}
		if q.By = append(q.By, name); !p.accept(",") {
			return p.expect(")")
		}
	}
	return nil
}

func (p *parser) metric(q *Query) error {
	q.Metric = p.peekWord()
	p.pos += len(q.Metric)
	if err := p.expect("("); err != nil {
		return err
	}
	if err := p.logs(q); err != nil {
		return err
	}
	if err := p.expect("["); err != nil {
		return err
	}
	p.space()
	n := strings.IndexByte(p.src[p.pos:], ']')
	if n < 0 {
		return p.unexpected(`a duration and "]"`)
	}
	text := strings.TrimSpace(p.src[p.pos : p.pos+n])
	d, err := duration(text)
	if err != nil || d <= 0 {
		return p.fail("invalid range %q: must be a duration as 5m or 1h", text)
	}
	q.Range, p.pos = d, p.pos+n+1
	return p.expect(")")
}

// duration reads Go's durations and whole days and weeks.
func duration(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, err := strconv.Atoi(strings.TrimSuffix(s, suffix)); err == nil && strings.HasSuffix(s, suffix) {
			if n < 0 || n > 10_000 {
				return 0, strconv.ErrRange
			}
			return time.Duration(n) * unit, nil
		}
	}
	return time.ParseDuration(s)
}

func (p *parser) logs(q *Query) error {
	if err := p.expect("{"); err != nil {
		return err
	}
	for !p.accept("}") {
		m, err := p.matcher(false)
		if err != nil {
			return err
		}
		if q.matchers = append(q.matchers, m); !p.accept(",") {
			if err := p.expect("}"); err != nil {
				return err
			}
			break
		}
	}
	for {
		op := ""
		for _, o := range []string{"|=", "|~", "!=", "!~"} {
			if op == "" && p.accept(o) {
				op = o
			}
		}
		switch {
		case op != "":
			f, err := p.lineFilter(op)
			if err != nil {
				return err
			}
			q.stages = append(q.stages, f)
		case p.accept("|"):
			if err := p.labelFilter(q); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (p *parser) lineFilter(op string) (f lineFilter, err error) {
	p.space()
	at := p.pos
	f.op = op
	if f.text, err = p.quoted(); err != nil || op == "|=" || op == "!=" {
		return f, err
	}
	if f.re, err = regexp.Compile(f.text); err != nil {
		p.pos = at
		return f, p.fail("regular expression %q: %v", f.text, err)
	}
	return f, nil
}

// parsers are stages that Loki has and this package has not.
var parsers = []string{"json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "decolorize", "unwrap", "keep"}

func (p *parser) labelFilter(q *Query) error {
	word := p.peekWord()
	if word == "drop" {
		// Grafana adds "| drop __error__" to its own queries; there are no
		// such labels here, and others are only hidden from the result.
		p.pos += len(word)
		for {
			if _, err := p.word("a label"); err != nil {
				return err
			}
			if !p.accept(",") {
				return nil
			}
		}
	}
	if slices.Contains(parsers, word) {
		return p.fail("the stage %q is not supported: attributes are structured metadata, filter by them as | k8s_event_reason=\"BackOff\"", word)
	}
	c, err := p.or()
	q.stages = append(q.stages, c)
	return err
}

func (p *parser) or() (condition, error) {
	c, err := p.and()
	if err != nil {
		return c, err
	}
	for p.peekWord() == "or" {
		p.pos += len("or")
		next, err := p.and()
		if err != nil {
			return c, err
		}
		c = condition{or: []condition{c, next}}
	}
	return c, nil
}

func (p *parser) and() (condition, error) {
	c, err := p.primary()
	if err != nil {
		return c, err
	}
	for {
		if p.peekWord() == "and" {
			p.pos += len("and")
		} else if !p.accept(",") {
			return c, nil
		}
		next, err := p.primary()
		if err != nil {
			return c, err
		}
		c = condition{and: []condition{c, next}}
	}
}

func (p *parser) primary() (condition, error) {
	if p.depth++; p.depth > maxDepth {
		return condition{}, p.fail("the query has more than %d conditions", maxDepth)
	}
	if p.accept("(") {
		c, err := p.or()
		if err != nil {
			return c, err
		}
		return c, p.expect(")")
	}
	m, err := p.matcher(true)
	return condition{m: m}, err
}

// matcher reads name op value; numbers and their comparisons only in filters.
func (p *parser) matcher(filter bool) (m Matcher, err error) {
	if m.Name, err = p.word("a label"); err != nil {
		return m, err
	}
	ops := []string{"=~", "!~", "!=", "==", "="}
	if filter {
		ops = append(ops, ">=", "<=", ">", "<")
	}
	for _, o := range ops {
		if m.op == "" && p.accept(o) {
			m.op = o
		}
	}
	if m.op == "" || m.op == "==" && !filter {
		return m, p.unexpected("one of = != =~ !~")
	}
	p.space()
	at := p.pos
	if filter && p.pos < len(p.src) && (p.src[p.pos] == '-' || p.src[p.pos] >= '0' && p.src[p.pos] <= '9') {
		n := p.pos + 1
		for n < len(p.src) && (isWord(p.src[n]) || p.src[n] == '.') {
			n++
		}
		if m.num, err = strconv.ParseFloat(p.src[p.pos:n], 64); err != nil || strings.HasSuffix(m.op, "~") {
			return m, p.fail("%q: a number is compared by = != > >= < <=", p.src[p.pos:n])
		}
		m.isNum, p.pos = true, n
		return m, nil
	}
	if strings.ContainsAny(m.op, "<>") {
		return m, p.unexpected("a number")
	}
	if m.value, err = p.quoted(); err != nil {
		return m, err
	}
	if strings.HasSuffix(m.op, "~") {
		if m.re, err = regexp.Compile("^(?:" + m.value + ")$"); err != nil {
			p.pos = at
			return m, p.fail("regular expression %q: %v", m.value, err)
		}
	}
	return m, nil
}

func (p *parser) quoted() (string, error) {
	p.space()
	rest := p.src[p.pos:]
	if rest == "" || rest[0] != '"' && rest[0] != '`' {
		return "", p.unexpected("a string in quotes")
	}
	prefix, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", p.fail("the string that begins here has no end, or a bad escape (write \\\\ for a backslash, or use backticks)")
	}
	s, err := strconv.Unquote(prefix)
	if err != nil {
		return "", p.fail("bad string %s: %v", prefix, err)
	}
	p.pos += len(prefix)
	return s, nil
}
