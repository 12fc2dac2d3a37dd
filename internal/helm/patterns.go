package helm

import (
	"regexp"
	"strings"
)

// pattern finds a kind of secret that gives itself away by its form.
type pattern struct {
	// hints are texts, in lower case, of which one is in every match: looking
	// for them is many times cheaper than the expression.
	hints   []string
	find    func() *regexp.Regexp
	replace string
}

var patterns = []pattern{
	{
		hints:   []string{"-----begin "},
		find:    lazily(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(-----END [A-Z0-9 ]+-----|$)`),
		replace: Redacted,
	},
	{ // JSON web tokens, service account tokens among them
		hints:   []string{"eyj"},
		find:    lazily(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){1,4}`),
		replace: Redacted,
	},
	{
		hints:   []string{"authorization"},
		find:    lazily(`(?i)(\bauthorization["']?\s*[:=]\s*["']?)(?:[a-z]+\s+)?[^\s"',]+`),
		replace: "${1}" + Redacted,
	},
	{ // a word behind "bearer" or "basic" that is none of English
		hints:   []string{"bearer", "basic"},
		find:    lazily(`(?i)\b(bearer\s+|basic\s+)([A-Za-z0-9._~+/-]*[0-9=+/_-][A-Za-z0-9._~+/=-]*)`),
		replace: "${1}" + Redacted,
	},
	{ // user and password in a URL
		hints:   []string{"://"},
		find:    lazily(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#"'<>]*@`),
		replace: "${1}" + Redacted + "@",
	},
	{ // what cloud and forge tokens begin with
		hints: []string{"akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "aiza", "npm_", "dckr_pat_", "hvs.", "sk-"},
		find: lazily(`\b((AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}` +
			`|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|npm_[A-Za-z0-9]{30,}|dckr_pat_[A-Za-z0-9_-]{16,}|hvs\.[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9_-]{20,})`),
		replace: Redacted,
	},
	{ // password=..., "token": "...", --api-key ..., AWS_SECRET_ACCESS_KEY=...
		hints: []string{"passw", "passphrase", "pwd", "secret", "token", "api", "access", "private", "credential"},
		find: lazily(`(?i)([\w.-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)s?[\w-]*` +
			`["']?\s*(?:[=]|:)\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'(){}\[\]]+)`),
		replace: "${1}" + Redacted,
	},
}

// redactPatterns replaces what looks like a secret, whoever wrote it.
func redactPatterns(s string) string {
	lower := strings.ToLower(s)
	for _, p := range patterns {
		for _, hint := range p.hints {
			if strings.Contains(lower, hint) {
				s = p.find().ReplaceAllString(s, p.replace)
				break
			}
		}
	}
	return s
}
