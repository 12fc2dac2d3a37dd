package prom

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"fairlead.dev/fairlead/internal/analysis"
)

// Config is the section source.prometheus that users write.
type Config struct {
	// URL is the server's, up to and without /api/v1.
	URL string `json:"url"`
	// BearerToken, or a file that holds it and is read again for every request.
	BearerToken     string            `json:"bearerToken,omitempty"`
	BearerTokenFile string            `json:"bearerTokenFile,omitempty"`
	BasicAuth       *BasicAuth        `json:"basicAuth,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"` // X-Scope-OrgID, for example
	TLS             *TLS              `json:"tls,omitempty"`
	// Params are added to every query: partial_response, dedup, for example.
	Params map[string]string `json:"params,omitempty"`
	// Timeout of one request, 30s by default.
	Timeout analysis.Duration `json:"timeout,omitempty"`
	// Retries after the first attempt, when the server is away or busy; 3 by
	// default, -1 for none.
	Retries int `json:"retries,omitempty"`
	// MaxResponseBytes bounds one answer, unpacked; 256 MiB by default.
	MaxResponseBytes int64 `json:"maxResponseBytes,omitempty"`
	// AcceptWarnings takes answers that the server warns about: by default a
	// warning is an error, because it means that series may be missing.
	AcceptWarnings bool `json:"acceptWarnings,omitempty"`
}

// BasicAuth are a user's name and password, or a file that holds it.
type BasicAuth struct {
	Username     string `json:"username"`
	Password     string `json:"password,omitempty"`
	PasswordFile string `json:"passwordFile,omitempty"`
}

// TLS are the files and names of a TLS connection.
type TLS struct {
	CAFile             string `json:"caFile,omitempty"`
	CertFile           string `json:"certFile,omitempty"`
	KeyFile            string `json:"keyFile,omitempty"`
	ServerName         string `json:"serverName,omitempty"`
	InsecureSkipVerify bool   `json:"insecureSkipVerify,omitempty"`
}

// What a Config that says nothing means.
const (
	defaultTimeout  = 30 * time.Second
	defaultRetries  = 3
	defaultMaxBytes = 256 << 20 // 1 h of 20 routes x 20 pods x 15 buckets at 15 s is about 45 MB
)

// Validate names the first setting that cannot be.
func (c *Config) Validate() error {
	bad := func(field, value, want string) error {
		if value != "" {
			value = " = " + value
		}
		return fmt.Errorf("source.prometheus.%s%s: %s", field, value, want)
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return bad("url", "", "the server's address is missing, http://prometheus:9090 for example")
	case err != nil:
		return bad("url", "", "is no URL") // its text may hold a password
	case u.User != nil:
		return bad("url", u.Redacted(), "holds credentials; put them under basicAuth")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return bad("url", c.URL, "want http://host:port or https://host:port")
	case c.BearerToken != "" && c.BearerTokenFile != "":
		return bad("bearerToken", "", "bearerTokenFile is set too: keep one")
	case c.BasicAuth != nil && c.BearerToken+c.BearerTokenFile != "":
		return bad("basicAuth", "", "a bearer token is set too: keep one")
	case c.BasicAuth != nil && c.BasicAuth.Username == "":
		return bad("basicAuth.username", "", "is missing")
	case c.BasicAuth != nil && c.BasicAuth.Password != "" && c.BasicAuth.PasswordFile != "":
		return bad("basicAuth.password", "", "passwordFile is set too: keep one")
	case c.TLS != nil && (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return bad("tls", "", "certFile and keyFile belong together")
	case c.Timeout < 0:
		return bad("timeout", c.Timeout.String(), "want more than 0")
	case c.Retries < -1 || c.Retries > 20:
		return bad("retries", fmt.Sprint(c.Retries), "want -1 (none) to 20")
	case c.MaxResponseBytes < 0:
		return bad("maxResponseBytes", fmt.Sprint(c.MaxResponseBytes), "want more than 0")
	}
	for name := range c.Headers {
		if strings.EqualFold(name, "Authorization") {
			return bad("headers", name, "use bearerToken or basicAuth")
		}
	}
	return nil
}

// httpClient returns a client with the configured credentials and TLS.
func (c *Config) httpClient() (*http.Client, error) {
	h := config.DefaultHTTPClientConfig
	// A redirect could carry the credentials elsewhere, and turns POST into GET.
	h.FollowRedirects = false
	if c.BearerToken != "" || c.BearerTokenFile != "" {
		h.Authorization = &config.Authorization{Type: "Bearer", Credentials: config.Secret(c.BearerToken), CredentialsFile: c.BearerTokenFile}
	}
	if b := c.BasicAuth; b != nil {
		h.BasicAuth = &config.BasicAuth{Username: b.Username, Password: config.Secret(b.Password), PasswordFile: b.PasswordFile}
	}
	if t := c.TLS; t != nil {
		h.TLSConfig = config.TLSConfig{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	}
	if len(c.Headers) > 0 {
		h.HTTPHeaders = &config.Headers{Headers: map[string]config.Header{}}
		for name, value := range c.Headers {
			h.HTTPHeaders.Headers[name] = config.Header{Values: []string{value}}
		}
	}
	h.ProxyFromEnvironment = true
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("source.prometheus: %w", err)
	}
	client, err := config.NewClientFromConfig(h, "fairlead")
	if err != nil {
		return nil, fmt.Errorf("source.prometheus: %w", err)
	}
	return client, nil
}
