package traceql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd   tokenKind = iota
	tokOp              // punctuation, in text
	tokField           // a field, in field
	tokValue           // a literal, in value
	tokWord            // another word: a function or a keyword
)

type token struct {
	kind      tokenKind
	text      string
	field     Field
	value     Value
	line, col int
}

// operators, the longer first. Those that are not supported are read too, so
// that the error can name them.
var operators = []string{
	"!>>", "!<<", "&>>", "&<<", "&&", "||", "=~", "!~", "!=", ">=", "<=", ">>", "<<", "!>", "!<", "&>", "&<", "&~",
	"{", "}", "(", ")", "=", ">", "<", "!", "|", ",", "~", "+", "-", "*", "/", "%", "^",
}

type lexer struct {
	src       string
	pos       int
	line, col int
}

func lex(src string) ([]token, error) {
	if len(src) > MaxQuery {
		return nil, &ParseError{1, 1, fmt.Sprintf("the query has %d bytes; at most %d are allowed", len(src), MaxQuery)}
	}
	if !utf8.ValidString(src) {
		return nil, &ParseError{1, 1, "the query is not valid UTF-8"}
	}
	l := &lexer{src: src, line: 1, col: 1}
	var tokens []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		if t.kind == tokEnd {
			return tokens, nil
		}
	}
}

func (l *lexer) fail(format string, args ...any) error {
	return &ParseError{l.line, l.col, fmt.Sprintf(format, args...)}
}

// advance moves over n bytes.
func (l *lexer) advance(n int) string {
	s := l.src[l.pos : l.pos+n]
	for _, r := range s {
		l.col++
		if r == '\n' {
			l.line, l.col = l.line+1, 1
		}
	}
	l.pos += n
	return s
}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.src) && strings.ContainsRune(" \t\r\n", rune(l.src[l.pos])) {
		l.advance(1)
	}
	t := token{line: l.line, col: l.col}
	rest := l.src[l.pos:]
	if rest == "" {
		return t, nil
	}
	switch c := rest[0]; {
	case c == '"' || c == '`' || c == '\'':
		s, n, err := l.quoted(rest)
		if err != nil {
			return t, err
		}
		l.advance(n)
		t.kind, t.value = tokValue, StringValue(s)
		return t, nil
	case c >= '0' && c <= '9', c == '-' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return l.number(t, rest)
	case c == '.' || isLetter(c):
		return l.word(t, rest)
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			t.kind, t.text = tokOp, l.advance(len(op))
			return t, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return t, l.fail("unexpected character %q", r)
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= utf8.RuneSelf }

// quoted reads a string literal and its length in the source.
func (l *lexer) quoted(s string) (string, int, error) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return b.String(), i + 1, nil
		case s[i] == '\\' && quote != '`' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '\\', '"', '\'':
				b.WriteByte(s[i])
			default: // an escape of a regular expression, as \d
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, l.fail("the string that begins here has no end")
}

func (l *lexer) number(t token, s string) (token, error) {
	n := 1
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.' || isLetter(s[n])) {
		n++
	}
	word := s[:n]
	t.kind = tokValue
	if i, err := strconv.ParseInt(word, 10, 64); err == nil {
		t.value = IntValue(i)
	} else if f, err := strconv.ParseFloat(word, 64); err == nil {
		t.value = Value{Type: TypeFloat, Float: f}
	} else if d, err := time.ParseDuration(word); err == nil {
		t.value = DurationValue(d)
	} else {
		return t, l.fail("%q is no number and no duration (as 1h30m, 100ms, 1.5s)", word)
	}
	l.advance(n)
	return t, nil
}

// endsWord are the characters that no attribute name holds unquoted.
const endsWord = " \t\r\n{}()=~!<>&|,+*%^\"`'"

func (l *lexer) word(t token, s string) (token, error) {
	n := 0
	for n < len(s) && !strings.ContainsRune(endsWord, rune(s[n])) {
		n++
	}
	word := s[:n]
	// A quoted name follows a scope directly: span."my attribute".
	if strings.HasSuffix(word, ".") && n < len(s) && s[n] == '"' {
		name, m, err := l.quoted(s[n:])
		if err != nil {
			return t, err
		}
		for _, p := range scopePrefixes {
			if p.prefix == word {
				l.advance(n + m)
				t.kind, t.field = tokField, Field{p.scope, name}
				return t, nil
			}
		}
	}
	for _, p := range scopePrefixes {
		if name, ok := strings.CutPrefix(word, p.prefix); ok {
			if name == "" {
				return t, l.fail("%q needs the name of an attribute after it", word)
			}
			l.advance(n)
			t.kind, t.field = tokField, Field{p.scope, name}
			return t, nil
		}
	}
	for _, scope := range []string{"parent.", "link.", "trace."} {
		if strings.HasPrefix(word, scope) {
			return t, l.fail("attributes of scope %q are not supported; use span., resource., event., instrumentation. or a leading dot", strings.TrimSuffix(scope, "."))
		}
	}
	if name, ok := intrinsics[word]; ok {
		l.advance(n)
		t.kind, t.field, t.text = tokField, Field{ScopeIntrinsic, name}, word
		return t, nil
	}
	l.advance(n)
	t.kind, t.text = tokWord, word
	if v, ok := keyword(word); ok {
		t.kind, t.value = tokValue, v
	}
	return t, nil
}

func keyword(word string) (Value, bool) {
	switch word {
	case "true", "false":
		return Value{Type: TypeBool, Bool: word == "true"}, true
	case "nil":
		return Value{}, true
	}
	for i, name := range statusNames {
		if word == name {
			return statusValue(int32(i)), true
		}
	}
	for i, name := range kindNames {
		if word == name {
			return kindValue(int32(i)), true
		}
	}
	return Value{}, false
}
