package explain

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxText bounds a masked text in bytes: one line of a terminal, twice.
const MaxText = 200

// The order matters: what is longest and most particular comes first.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|$)`), "<key>"},
	{regexp.MustCompile(`\beyJ[\w-]+\.[\w-]+\.[\w-]*`), "<token>"},
	{regexp.MustCompile(`(?i)\b(bearer|basic|token)\s+[\w.~+/=-]{8,}`), "$1 <token>"},
	{regexp.MustCompile(`(?i)\b((?:[\w-]*(?:password|passwd|secret|token|api[_-]?key|credential)[\w-]*)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&"']+)`), "$1<secret>"},
	{regexp.MustCompile(`://[^/\s:@]+(:[^/\s@]*)?@`), "://<credentials>@"},
	{regexp.MustCompile(`[\w.+-]+@[\w-]+(\.[\w-]+)+`), "<email>"},
	{regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b`), "<ip>"},
	{regexp.MustCompile(`(?i)\b0x[0-9a-f]+\b|\b(?:[0-9a-f]{12,}|\d[0-9a-f]{7,}|[a-f]\d[0-9a-f]{6,}|[a-f]{2}\d[0-9a-f]{5,})\b`), "<id>"},
	{regexp.MustCompile(`\b[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]{18,}\b`), "<id>"},
	{regexp.MustCompile(`\d+`), "<n>"},
}

// Mask replaces what identifies a person or a request, or gives access, in a
// text that somebody else will read: keys, tokens, secrets, credentials in
// URLs, e-mail addresses, ids, addresses and numbers. Equal messages about
// different requests become equal. The result is one line of at most [MaxText]
// bytes.
func Mask(s string) string {
	// Bounded before the patterns see it: a megabyte of stack is a message too.
	if len(s) > 8*MaxText {
		s = s[:8*MaxText]
	}
	s = strings.ToValidUTF8(s, "?")
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return cut(strings.Join(strings.Fields(s), " "))
}

// cut bounds s to MaxText bytes without cutting a character in two.
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	s = s[:MaxText-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
