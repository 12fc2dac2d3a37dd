package helm

import (
	"net/url"
	"path"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redacted stands where a secret was.
const Redacted = "***"

// Redactor removes secrets from texts. The zero value knows the general
// patterns only; [NewRedactor] also knows the secrets of one command line.
//
// What it promises: a value given by --set and its kin, --password or
// --kube-token, or one in an environment variable whose name says that it is
// secret, does not come out of Redact when it has at least [minSecret] bytes; a
// shorter one does not when it stands as a word of its own. Values that are
// switches, short numbers, the release's own names, or parts of an image
// reference are no secrets: they are in every object and event.
type Redactor struct {
	secrets []string // longest first, so that no part of a longer one is left
	words   []string
	all     *strings.Replacer
}

// minSecret is the length from which a secret is replaced wherever it stands,
// also inside a word. Shorter ones inside words are coincidence far more often
// ("prod" in "production") and too weak to be secrets.
const minSecret = 6

// NewRedactor returns a redactor that knows the secrets on the command line and
// in env ("KEY=value"): values of --set and its kin, passwords, tokens. Files
// are never read.
func NewRedactor(inv Invocation, env []string) *Redactor {
	set := make(map[string]bool)
	public := map[string]bool{"": true, inv.Release: true, inv.Chart: true, path.Base(inv.Chart): true}
	for _, name := range inv.Releases {
		public[name] = true
	}
	for _, f := range inv.flags {
		if f.name == "namespace" || f.name == "kube-context" {
			public[f.value] = true
		}
	}
	add := func(value string) {
		for _, form := range secretForms(value) {
			if !public[form] && !harmless(form) {
				set[form] = true
			}
		}
	}
	for _, f := range inv.flags {
		for _, value := range flagSecrets(f) {
			add(value)
		}
	}
	for _, kv := range env {
		for _, value := range envSecrets(kv) {
			add(value)
		}
	}
	return newRedactor(set)
}

func newRedactor(set map[string]bool) *Redactor {
	r := &Redactor{}
	for s := range set {
		if len(s) >= minSecret {
			r.secrets = append(r.secrets, s)
		} else {
			r.words = append(r.words, s)
		}
	}
	sort.Slice(r.secrets, func(i, j int) bool {
		a, b := r.secrets[i], r.secrets[j]
		return len(a) > len(b) || len(a) == len(b) && a < b
	})
	pairs := make([]string, 0, 2*len(r.secrets))
	for _, s := range r.secrets {
		pairs = append(pairs, s, Redacted)
	}
	// Among those that match at one place, the replacer takes the first.
	r.all = strings.NewReplacer(pairs...)
	return r
}

// replaceWord replaces word where no letter or digit touches it.
func replaceWord(s, word string) string {
	var out strings.Builder
	from, at := 0, 0
	for {
		i := strings.Index(s[at:], word)
		if i < 0 {
			break
		}
		i += at
		end := i + len(word)
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if inWord(before) || inWord(after) {
			at = i + 1
			continue
		}
		out.WriteString(s[from:i])
		out.WriteString(Redacted)
		from, at = end, end
	}
	if from == 0 {
		return s
	}
	return out.String() + s[from:]
}

// inWord is false for the error rune, which stands for "nothing there" too.
func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// Redact returns s with every secret replaced by [Redacted]. It is safe for
// concurrent use and on a nil Redactor, which knows the patterns.
func (r *Redactor) Redact(s string) string {
	if s == "" {
		return s
	}
	if r != nil && r.all != nil {
		s = r.all.Replace(s)
		// What stood on both sides of a replaced one may now form another.
		for range 4 {
			next := r.all.Replace(s)
			if next == s {
				break
			}
			s = next
		}
		for _, w := range r.words {
			s = replaceWord(s, w)
		}
	}
	return redactPatterns(s)
}

// secretForms are the shapes in which a value may come up in a text.
func secretForms(value string) []string {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	forms := []string{value}
	add := func(s string) {
		if s != value {
			forms = append(forms, s)
		}
	}
	// Texts are redacted line by line.
	if strings.ContainsAny(value, "\r\n") {
		for line := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
			add(strings.TrimSpace(line))
		}
	}
	add(strings.ReplaceAll(value, `\`, ""))
	if len(value) >= minSecret {
		add(quoted(value))
		add(url.QueryEscape(value))
		add(url.PathEscape(value))
		for _, b64 := range base64Forms(value) {
			add(b64)
		}
	}
	return forms
}

var (
	smallNumber = lazily(`^[-+]?[\d.]{1,5}%?$`)
	quantity    = lazily(`^\d{1,6}([.]\d{1,3})?(m|k|[KMGTPE]i?|ms|s|h)$`)
)

// harmless reports whether a value is too common to be a secret.
func harmless(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "nil", "none", "yes", "no", "on", "off", "default", "latest", "always",
		"ifnotpresent", "never", "info", "warn", "error", "debug", "{}", "[]", "~":
		return true
	}
	return len(s) < 2 || smallNumber().MatchString(s) || quantity().MatchString(s)
}
