package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonScanner reads JSON from a stream member by member and keeps nothing but a
// window of it. encoding/json would hold the whole document, with values and
// chart files, and each string of it once more. It is not a validator: what is
// skipped is only checked for balance.
type jsonScanner struct {
	r        io.Reader
	buf      []byte
	pos, end int
	err      error
}

// scanWindow is the size of the window; larger ones measured no faster.
const scanWindow = 32 << 10

// maxDepth bounds nesting; a release record has about a dozen levels.
const maxJSONDepth = 1000

var errJSON = errors.New("malformed JSON")

func newJSONScanner(r io.Reader) *jsonScanner {
	return &jsonScanner{r: r, buf: make([]byte, scanWindow)}
}

// fill reads the next window; false at the end or on an error.
func (s *jsonScanner) fill() bool {
	if s.err != nil {
		return false
	}
	for range 100 {
		n, err := s.r.Read(s.buf)
		s.pos, s.end = 0, n
		if err != nil {
			s.err = err
		}
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	s.err = io.ErrNoProgress
	return false
}

// failed returns why the stream ended early.
func (s *jsonScanner) failed() error {
	if s.err == nil || errors.Is(s.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return s.err
}

// peek skips white space and returns the next byte without consuming it.
func (s *jsonScanner) peek() (byte, error) {
	for {
		for s.pos < s.end {
			switch c := s.buf[s.pos]; c {
			case ' ', '\t', '\r', '\n':
				s.pos++
			default:
				return c, nil
			}
		}
		if !s.fill() {
			return 0, s.failed()
		}
	}
}

func (s *jsonScanner) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("%w: %q instead of %q", errJSON, c, want)
	}
	s.pos++
	return nil
}

// object calls member for each key; member must consume the value. null is an
// object without members.
func (s *jsonScanner) object(member func(key string) error) error {
	return s.collection('{', '}', func() error {
		key, err := s.text(256)
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// array calls element for each element, which it must consume.
func (s *jsonScanner) array(element func() error) error { return s.collection('[', ']', element) }

func (s *jsonScanner) collection(open, closing byte, item func() error) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c == 'n' {
		return s.skip()
	}
	if err := s.expect(open); err != nil {
		return err
	}
	for first := true; ; first = false {
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == closing {
			s.pos++
			return nil
		}
		if !first {
			if err := s.expect(','); err != nil {
				return err
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
}

// text reads a string and returns at most limit bytes of it; a value of another
// type reads as "".
func (s *jsonScanner) text(limit int) (string, error) {
	c, err := s.peek()
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", s.skip()
	}
	var out []byte
	err = s.stream(func(p []byte) {
		if room := limit - len(out); room > 0 {
			out = append(out, p[:min(room, len(p))]...)
		}
	})
	return string(out), err
}

// number reads a whole number; a value of another type reads as 0.
func (s *jsonScanner) number() (int, error) {
	c, err := s.peek()
	if err != nil {
		return 0, err
	}
	if c != '-' && (c < '0' || c > '9') {
		return 0, s.skip()
	}
	text := s.literal()
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%w: number %q", errJSON, text)
	}
	return n, nil
}

// literal consumes a number, true, false or null.
func (s *jsonScanner) literal() string {
	var out []byte
	for {
		for s.pos < s.end {
			c := s.buf[s.pos]
			if c <= ' ' || c == ',' || c == ']' || c == '}' || c == ':' || c == '"' || c == '[' || c == '{' {
				return string(out)
			}
			if len(out) < 64 {
				out = append(out, c)
			}
			s.pos++
		}
		if !s.fill() {
			return string(out)
		}
	}
}

// skip consumes any value.
func (s *jsonScanner) skip() error {
	depth := 0
	for {
		c, err := s.peek()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			if err := s.skipString(); err != nil {
				return err
			}
		case '{', '[':
			s.pos++
			if depth++; depth > maxJSONDepth {
				return fmt.Errorf("%w: nested more than %d deep", errJSON, maxJSONDepth)
			}
		case '}', ']':
			s.pos++
			depth--
		case ',', ':':
			if depth == 0 {
				return fmt.Errorf("%w: %q instead of a value", errJSON, c)
			}
			s.pos++
		default:
			if s.literal() == "" {
				return fmt.Errorf("%w: unexpected %q", errJSON, c)
			}
		}
		if depth < 0 {
			return fmt.Errorf("%w: unexpected %q", errJSON, c)
		}
		if depth == 0 {
			return nil
		}
	}
}

// skipString consumes a string without looking into it.
func (s *jsonScanner) skipString() error {
	s.pos++
	for {
		i := bytes.IndexAny(s.buf[s.pos:s.end], `"\`)
		if i < 0 {
			s.pos = s.end
			if !s.fill() {
				return s.failed()
			}
			continue
		}
		s.pos += i + 1
		if s.buf[s.pos-1] == '"' {
			return nil
		}
		if _, err := s.byte(); err != nil {
			return err
		}
	}
}

func (s *jsonScanner) byte() (byte, error) {
	if s.pos == s.end && !s.fill() {
		return 0, s.failed()
	}
	c := s.buf[s.pos]
	s.pos++
	return c, nil
}

// stream consumes a string and gives its decoded text to write, piece by piece.
// write must not keep the pieces.
func (s *jsonScanner) stream(write func([]byte)) error {
	if err := s.expect('"'); err != nil {
		return err
	}
	var decoded [utf8.UTFMax]byte
	for {
		i := bytes.IndexAny(s.buf[s.pos:s.end], `"\`)
		if i < 0 {
			if s.pos < s.end {
				write(s.buf[s.pos:s.end])
			}
			s.pos = s.end
			if !s.fill() {
				return s.failed()
			}
			continue
		}
		if i > 0 {
			write(s.buf[s.pos : s.pos+i])
		}
		s.pos += i + 1
		if s.buf[s.pos-1] == '"' {
			return nil
		}
		r, err := s.escape()
		if err != nil {
			return err
		}
		write(decoded[:utf8.EncodeRune(decoded[:], r)])
	}
}

// escape reads what stands behind a backslash.
func (s *jsonScanner) escape() (rune, error) {
	c, err := s.byte()
	if err != nil {
		return 0, err
	}
	switch c {
	case 'n':
		return '\n', nil
	case 't':
		return '\t', nil
	case 'r':
		return '\r', nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case '"', '\\', '/':
		return rune(c), nil
	case 'u':
		r, err := s.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		return s.lowSurrogate(r)
	}
	return 0, fmt.Errorf("%w: escape \\%c", errJSON, c)
}

// lowSurrogate reads the second half of a pair.
func (s *jsonScanner) lowSurrogate(high rune) (rune, error) {
	for _, want := range []byte(`\u`) {
		c, err := s.byte()
		if err != nil {
			return 0, err
		}
		if c != want {
			return 0, fmt.Errorf("%w: half of a surrogate pair", errJSON)
		}
	}
	low, err := s.hex4()
	return utf16.DecodeRune(high, low), err
}

func (s *jsonScanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		c, err := s.byte()
		if err != nil {
			return 0, err
		}
		d, err := strconv.ParseUint(string(c), 16, 8)
		if err != nil {
			return 0, fmt.Errorf("%w: \\u escape", errJSON)
		}
		r = r<<4 | rune(d)
	}
	return r, nil
}
