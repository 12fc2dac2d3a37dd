package helm

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// setFlags take values for the chart.
var setFlags = map[string]bool{
	"set": true, "set-string": true, "set-json": true, "set-literal": true, "set-file": true,
}

// plainSecretFlags take one secret.
var plainSecretFlags = map[string]bool{"password": true, "kube-token": true}

// imageKeys end the path of a value that is part of an image reference. Those
// are in every pod and event, and without them "cannot pull ***" explains
// nothing.
var imageKeys = map[string]bool{"tag": true, "image": true, "repository": true, "registry": true, "digest": true}

var imageText = lazily(`^[A-Za-z0-9._:/@-]{1,200}$`)

// flagSecrets returns the secret parts of one flag's value.
func flagSecrets(f flagUse) []string {
	switch {
	case f.word < 0:
		return nil
	case plainSecretFlags[f.name]:
		return []string{f.value}
	case f.name == "set-json":
		return jsonSecrets(f.value)
	case f.name == "set-literal":
		_, value, found := strings.Cut(f.value, "=")
		if !found {
			value = f.value
		}
		return []string{value}
	case setFlags[f.name]:
		return assignmentSecrets(f.value)
	case !f.known:
		return []string{f.value}
	}
	if password := userinfoPassword(f.value); password != "" {
		return []string{password}
	}
	return nil
}

// assignmentSecrets returns the values in "a.b=x,c={y,z}". A comma may also
// belong to an unescaped secret, so the text behind the first "=" is one too.
func assignmentSecrets(text string) []string {
	var out []string
	key, rest, found := strings.Cut(text, "=")
	if !found {
		return []string{text}
	}
	if !isImageValue(key, rest) {
		out = append(out, rest)
	}
	for i, part := range splitUnescaped(text) {
		key, value, found := strings.Cut(part, "=")
		if !found {
			// An element of a list, or the tail of a value with a comma in it.
			if i > 0 {
				out = append(out, strings.Trim(part, "{} "))
			}
			continue
		}
		if isImageValue(key, value) {
			continue
		}
		out = append(out, value, strings.Trim(value, "{} "))
		if i > 0 {
			// The "key" may be the middle of a secret with "," and "=" in it.
			out = append(out, part)
		}
	}
	return out
}

func isImageValue(key, value string) bool {
	key = strings.ToLower(strings.TrimSpace(key))
	if at := strings.LastIndexByte(key, '.'); at >= 0 {
		key = key[at+1:]
	}
	return imageKeys[key] && imageText().MatchString(value) && !strings.ContainsAny(value, ",=")
}

// splitUnescaped splits at commas that no backslash stands before.
func splitUnescaped(s string) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// jsonSecrets returns the text behind "key=" (or all of it) and each string and
// number in it.
func jsonSecrets(text string) []string {
	out := []string{}
	candidates := []string{text}
	if _, value, found := strings.Cut(text, "="); found {
		candidates = append(candidates, value)
	}
	for _, c := range candidates {
		var v any
		d := json.NewDecoder(strings.NewReader(c))
		d.UseNumber()
		if d.Decode(&v) == nil {
			out = append(out, c)
			out = appendLeaves(out, v)
		}
	}
	if len(out) == 0 || strings.Count(text, "=") > 1 {
		// Several assignments, or no JSON: quoted pieces are the next best.
		out = append(out, candidates[len(candidates)-1])
		for i, piece := range strings.FieldsFunc(candidates[len(candidates)-1], func(r rune) bool { return strings.ContainsRune(`"{}[],:=`, r) }) {
			if i >= 1000 {
				break
			}
			out = append(out, piece)
		}
	}
	return out
}

func appendLeaves(out []string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			out = appendLeaves(out, e)
		}
	case []any:
		for _, e := range v {
			out = appendLeaves(out, e)
		}
	case string:
		out = append(out, v)
	case json.Number:
		out = append(out, v.String())
	}
	return out
}

var (
	secretName = lazily(`(?i)(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|CONNECTION_STRING|OTLP_(TRACES_|METRICS_|LOGS_)?HEADERS)`)
	// Names that say where a secret is, or what it may do, hold none.
	placeName = lazily(`(?i)_(FILE|PATH|DIR|NAME|TYPE|SCOPE|SCOPES|PERMISSIONS|EXPIRY|EXPIRES|TTL|ENABLED|ID)$`)
)

// envSecrets returns the secret parts of one "KEY=value".
func envSecrets(kv string) []string {
	key, value, _ := strings.Cut(kv, "=")
	if len(value) < minSecret {
		return nil
	}
	if key == "AWS_ACCESS_KEY_ID" || secretName().MatchString(key) && !placeName().MatchString(key) && !strings.HasPrefix(value, "/") {
		out := []string{value}
		if strings.Contains(key, "HEADERS") || strings.Contains(key, "CONNECTION_STRING") {
			for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
				if _, v, found := strings.Cut(part, "="); found {
					out = append(out, v)
				}
			}
		}
		return out
	}
	if password := userinfoPassword(value); password != "" {
		return []string{password}
	}
	return nil
}

// userinfoPassword returns the password in a URL, "" when there is none.
func userinfoPassword(text string) string {
	if !strings.Contains(text, "://") || !strings.Contains(text, "@") {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return password
}

// quoted is s as Go's %q and JSON print it, without the quotes.
func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// base64Forms are s in base64, alone or behind other bytes: then only the part
// that does not depend on its neighbours can be known.
func base64Forms(s string) []string {
	return []string{
		base64.StdEncoding.EncodeToString([]byte(s)),
		base64.RawStdEncoding.EncodeToString([]byte(s)),
		base64.RawURLEncoding.EncodeToString([]byte(s)),
	}
}
