package helm

import (
	"bytes"
	"strings"

	"sigs.k8s.io/yaml"
)

// manifestScanner finds the objects in a rendered manifest that comes in
// pieces. It looks at the lines of the top level and of metadata only; a
// document that is written in another style (flow style, JSON, a List) is parsed
// as YAML for the same three fields. Nothing of a document is kept beyond it.
type manifestScanner struct {
	objects []Object
	line    []byte
	long    bool // the rest of an over-long line is dropped

	doc      []byte // the current document, for the YAML parser
	whole    bool   // doc holds all of it
	current  Object
	inMeta   bool
	indent   int // of metadata's members; 0 = not seen yet
	odd      bool
	anything bool
}

const (
	// maxLine is the longest line that is looked at: names are 253 bytes.
	maxLine = 4 << 10
	// maxOddDocument bounds a document that the YAML parser is asked to read.
	maxOddDocument = 256 << 10
)

// write takes the next piece.
func (m *manifestScanner) write(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		piece := p
		if i >= 0 {
			piece = p[:i]
		}
		if room := maxOddDocument - len(m.line); len(piece) > room {
			m.long = true
			piece = piece[:room]
		}
		m.line = append(m.line, piece...)
		if i < 0 {
			return
		}
		m.endLine()
		p = p[i+1:]
	}
}

// finish returns the objects found; one more than [MaxObjects] when there were more.
func (m *manifestScanner) finish() []Object {
	if len(m.line) > 0 {
		m.endLine()
	}
	m.endDocument()
	return m.objects
}

func (m *manifestScanner) endLine() {
	line, long := m.line, m.long
	m.line, m.long = m.line[:0], false
	if bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")) {
		m.endDocument()
		// "--- {a: b}" is legal and nobody's style.
		rest := bytes.TrimSpace(line[3:])
		if len(rest) == 0 || rest[0] == '#' {
			return
		}
		line = rest
	}
	if !m.anything {
		m.anything, m.whole = true, true
	}
	switch {
	case !m.whole:
	case long || len(m.doc)+len(line) >= maxOddDocument:
		m.whole, m.doc = false, m.doc[:0]
	default:
		m.doc = append(append(m.doc, line...), '\n')
	}
	if len(line) <= maxLine {
		m.look(line)
	}
}

// look reads one line of a document.
func (m *manifestScanner) look(line []byte) {
	trimmed := bytes.TrimLeft(line, " ")
	indent := len(line) - len(trimmed)
	trimmed = bytes.TrimRight(trimmed, " \t\r")
	if len(trimmed) == 0 || trimmed[0] == '#' {
		return
	}
	if indent == 0 {
		m.inMeta = false
		switch key, value, ok := mapping(trimmed); {
		case !ok:
			// A list element of a top-level key may stand here, or flow style.
			if trimmed[0] != '-' {
				m.odd = true
			}
		case key == "apiVersion":
			m.current.APIVersion = m.scalar(value)
		case key == "kind":
			m.current.Kind = m.scalar(value)
		case key == "metadata":
			m.inMeta, m.indent = true, 0
			if value != "" && value[0] != '#' {
				m.odd = true
			}
		case key == "items":
			m.odd = m.odd || strings.HasSuffix(m.current.Kind, "List") || m.current.Kind == ""
		}
		return
	}
	if !m.inMeta {
		return
	}
	if m.indent == 0 {
		m.indent = indent
	}
	if indent != m.indent {
		return
	}
	switch key, value, _ := mapping(trimmed); key {
	case "name":
		m.current.Name = m.scalar(value)
	case "namespace":
		m.current.Namespace = m.scalar(value)
	}
}

// mapping splits "key: value".
func mapping(line []byte) (key, value string, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i < 0 || i+1 < len(line) && line[i+1] != ' ' && line[i+1] != '\t' {
		return "", "", false
	}
	k := line[:i]
	if len(k) == 0 || k[0] == '{' || k[0] == '[' || k[0] == '?' {
		return "", "", false
	}
	return strings.Trim(string(bytes.TrimSpace(k)), `"'`), string(bytes.TrimSpace(line[i+1:])), true
}

// scalar reads a plain or quoted value; any other leaves it to the YAML parser.
func (m *manifestScanner) scalar(value string) string {
	if value == "" {
		m.odd = true
		return ""
	}
	switch q := value[0]; q {
	case '"', '\'':
		end := strings.IndexByte(value[1:], q)
		if end < 0 || strings.ContainsRune(value[1:1+end], '\\') {
			m.odd = true
			return ""
		}
		return value[1 : 1+end]
	case '&', '*', '|', '>', '!', '{', '[', '#':
		m.odd = true
		return ""
	}
	value, _, _ = strings.Cut(value, " #")
	return strings.TrimSpace(value)
}

// endDocument takes what the lines said, or else what the YAML parser says.
func (m *manifestScanner) endDocument() {
	switch {
	case !m.anything:
	case m.whole && (m.odd || m.current.Kind == "" || m.current.Name == ""):
		for _, o := range parseOdd(m.doc) {
			m.add(o)
		}
	default:
		m.add(m.current)
	}
	clear(m.doc)
	*m = manifestScanner{objects: m.objects, line: m.line, doc: m.doc[:0]}
}

func (m *manifestScanner) add(o Object) {
	if o.Kind != "" && o.Name != "" && len(m.objects) <= MaxObjects {
		m.objects = append(m.objects, o)
	}
}

// oddObject is the part of an object that is read from YAML.
type oddObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []oddObject `json:"items"`
}

// parseOdd reads a document with the YAML parser; nothing when it is none.
func parseOdd(doc []byte) []Object {
	var o oddObject
	if yaml.Unmarshal(doc, &o) != nil {
		return nil
	}
	return o.flatten(nil, 0)
}

func (o oddObject) flatten(out []Object, depth int) []Object {
	if strings.HasSuffix(o.Kind, "List") && o.Metadata.Name == "" {
		if depth < 8 {
			for _, item := range o.Items {
				out = item.flatten(out, depth+1)
			}
		}
		return out
	}
	return append(out, Object{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name})
}
