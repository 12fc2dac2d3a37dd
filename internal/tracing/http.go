package tracing

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// endpoint is a backend's base URL with what each request needs.
type endpoint struct {
	name    string // for errors: Tempo, Jaeger
	base    *url.URL
	options Options
	client  *http.Client
}

func newEndpoint(name, base string, o Options) (endpoint, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return endpoint{}, fmt.Errorf("%s URL %q: want http(s)://host[:port][/path]", name, base)
	}
	return endpoint{name: name, base: u, options: o, client: o.client()}, nil
}

// get returns the body of a 200 answer. Other answers are an httpError.
func (e endpoint) get(ctx context.Context, path string, query url.Values, accept string) ([]byte, error) {
	u := e.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	for k, v := range e.options.Headers {
		req.Header.Set(k, v)
	}
	token := e.options.Token
	if e.options.TokenFile != "" {
		text, err := os.ReadFile(e.options.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token for %s: %w", e.name, err)
		}
		token = strings.TrimSpace(string(text))
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", e.name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", e.name, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB", e.name, maxAnswer>>20)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &httpError{backend: e.name, status: resp.StatusCode, path: u.Path, body: firstLine(body)}
	}
	return body, nil
}

// httpError is an answer other than 200.
type httpError struct {
	backend, path, body string
	status              int
}

func (e *httpError) Error() string {
	text := fmt.Sprintf("%s answered %d %s to %s", e.backend, e.status, http.StatusText(e.status), e.path)
	if e.body != "" {
		text += ": " + e.body
	}
	return text
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line[:min(len(line), 300)]
}
