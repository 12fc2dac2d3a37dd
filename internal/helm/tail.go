package helm

import "strings"

// TailBytes is how much of Helm's stderr is kept. The error is at the end; 64
// KiB hold any error of Helm's together with the warnings before it, and a
// --debug log cannot fill the memory.
const TailBytes = 64 << 10

// tail keeps the last bytes written to it.
type tail struct {
	buf   []byte // a ring once it is full
	limit int
	next  int // where the ring's oldest byte is
	full  bool
	cut   bool
}

func newTail(limit int) *tail { return &tail{limit: limit} }

func (t *tail) write(p []byte) {
	if len(p) >= t.limit {
		t.cut = t.cut || len(p) > t.limit || len(t.buf) > 0
		t.buf, t.next, t.full = append(t.buf[:0], p[len(p)-t.limit:]...), 0, true
		return
	}
	if room := t.limit - len(t.buf); room > 0 {
		n := min(room, len(p))
		t.buf = append(t.buf, p[:n]...)
		p = p[n:]
		t.full = len(t.buf) == t.limit
	}
	for len(p) > 0 {
		n := copy(t.buf[t.next:], p)
		t.next = (t.next + n) % t.limit
		p = p[n:]
		t.cut = true
	}
}

// text returns what is kept and whether more was written. Cut text begins with
// a whole line: half a line could be half a secret, which no redactor knows.
func (t *tail) text() (string, bool) {
	if !t.full {
		return string(t.buf), false
	}
	s := string(t.buf[t.next:]) + string(t.buf[:t.next])
	if !t.cut {
		return s, false
	}
	_, s, _ = strings.Cut(s, "\n")
	return s, true
}
