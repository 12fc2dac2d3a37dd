package tracing

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"fairlead.dev/fairlead/internal/explain"
)

// Config is the section `traces` that users write: where the traces of a canary
// are, and what may be shown of them.
type Config struct {
	Tempo  *Backend `json:"tempo,omitempty"`
	Jaeger *Backend `json:"jaeger,omitempty"`
	// Link is where a person looks at a trace, with {traceId} where the id goes.
	Link string `json:"link,omitempty"`
	// Allow and Deny are attributes, as http.route or app.*.
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// Backend is a trace backend's address.
type Backend struct {
	// URL is the server's, up to and without /api.
	URL string `json:"url"`
	// BearerToken, or a file that holds it and is read again for every request.
	BearerToken     string            `json:"bearerToken,omitempty"`
	BearerTokenFile string            `json:"bearerTokenFile,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"` // X-Scope-OrgID, for example
}

// Validate names the first setting that cannot be. A section without a backend
// is one without traces.
func (c *Config) Validate() error {
	if c.Tempo != nil && c.Jaeger != nil {
		return errors.New("traces: tempo and jaeger are set: keep one")
	}
	if c.Link != "" {
		if err := CheckLink(c.Link); err != nil {
			return fmt.Errorf("traces.link = %q: %w", c.Link, err)
		}
	}
	for name, b := range map[string]*Backend{"tempo": c.Tempo, "jaeger": c.Jaeger} {
		if b == nil {
			continue
		}
		u, err := url.Parse(b.URL)
		switch {
		case b.URL == "":
			return fmt.Errorf("traces.%s.url: the server's address is missing", name)
		case err != nil:
			return fmt.Errorf("traces.%s.url: is no URL", name) // its text may hold a password
		case u.User != nil:
			return fmt.Errorf("traces.%s.url = %s: holds credentials; use bearerTokenFile or headers", name, u.Redacted())
		case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return fmt.Errorf("traces.%s.url = %s: want http://host:port or https://host:port", name, b.URL)
		case b.BearerToken != "" && b.BearerTokenFile != "":
			return fmt.Errorf("traces.%s.bearerToken: bearerTokenFile is set too: keep one", name)
		}
	}
	return nil
}

// Open returns the backend, nil where the section names none. It asks nothing
// yet. The client is http.DefaultClient with a timeout where it is nil.
func (c *Config) Open(client *http.Client) (Source, error) {
	if c == nil {
		return nil, nil
	}
	options := func(b *Backend) Options {
		return Options{Token: b.BearerToken, TokenFile: b.BearerTokenFile, Headers: b.Headers, HTTP: client}
	}
	switch {
	case c.Tempo != nil:
		return NewTempo(c.Tempo.URL, options(c.Tempo))
	case c.Jaeger != nil:
		return NewJaeger(c.Jaeger.URL, options(c.Jaeger))
	}
	return nil, nil
}

// Filter is what may be looked at and shown.
func (c *Config) Filter() explain.Filter {
	if c == nil {
		return explain.Filter{}
	}
	return explain.Filter{Allow: c.Allow, Deny: c.Deny}
}

// TraceLink returns where a trace can be looked at, "" when nobody said where.
func (c *Config) TraceLink(traceID string) string {
	if c == nil {
		return ""
	}
	return Link(c.Link, traceID)
}

// Link fills a trace's id into a template; an empty template gives "".
func Link(template, traceID string) string {
	return strings.ReplaceAll(template, "{traceId}", url.PathEscape(traceID))
}

// CheckLink refuses a template of which no link comes: browsers run javascript:
// addresses, and one without the id leads nowhere.
func CheckLink(template string) error {
	u, err := url.Parse(strings.ReplaceAll(template, "{traceId}", "0"))
	switch {
	case !strings.Contains(template, "{traceId}"):
		return errors.New("want {traceId} where the id goes")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("want http(s)://host/... with {traceId}")
	}
	return nil
}
