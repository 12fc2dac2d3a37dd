package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/alerting"
)

// DefaultServer is where a server on this machine listens.
const DefaultServer = "http://127.0.0.1:8484"

// maxAnswer bounds what a client reads of one answer: a page of operations with
// all attributes is well below it.
const maxAnswer = 64 << 20

// ErrNoServer is returned when nothing listens at the server's address.
var ErrNoServer = errors.New("no server")

// Client asks a server. The zero value asks the one on this machine.
type Client struct {
	Server string // base URL, DefaultServer when empty
	Token  string // bearer token, none when empty
	HTTP   *http.Client
}

// StatusError is an answer that is not 2xx.
type StatusError struct {
	Status  int
	Message string
}

// Error says what the server said.
func (e *StatusError) Error() string { return e.Message }

// Releases returns a page of releases.
func (c Client) Releases(ctx context.Context, query url.Values) (out ReleaseList, err error) {
	return out, c.get(ctx, "releases", query, &out)
}

// Release returns one release with its newest operations.
func (c Client) Release(ctx context.Context, namespace, name string, query url.Values) (out ReleaseDetail, err error) {
	return out, c.get(ctx, "releases/"+url.PathEscape(namespace)+"/"+url.PathEscape(name), query, &out)
}

// Operations returns a page of operations, newest first.
func (c Client) Operations(ctx context.Context, query url.Values) (out OperationList, err error) {
	return out, c.get(ctx, "operations", query, &out)
}

// Snapshot returns the state of the cluster when the operation id failed.
func (c Client) Snapshot(ctx context.Context, id string) (out Snapshot, err error) {
	return out, c.get(ctx, "snapshots/"+id, nil, &out)
}

// Rollouts returns a page of rollouts, the one last heard of first.
func (c Client) Rollouts(ctx context.Context, query url.Values) (out RolloutList, err error) {
	return out, c.get(ctx, "rollouts", query, &out)
}

// Rollout returns one rollout with the log of its changes.
func (c Client) Rollout(ctx context.Context, id string) (out RolloutDetail, err error) {
	return out, c.get(ctx, "rollouts/"+id, nil, &out)
}

// Alerts returns what fires, is pending or was resolved within a day, with rules,
// receivers and silences.
func (c Client) Alerts(ctx context.Context, query url.Values) (out alerting.Overview, err error) {
	return out, c.get(ctx, "alerts", query, &out)
}

// TestAlert sends a test of the alert to every receiver. It needs a token with
// the access write, as Silence and Unsilence do.
func (c Client) TestAlert(ctx context.Context, name string) (out AlertTest, err error) {
	return out, c.do(ctx, http.MethodPost, "alerts/"+url.PathEscape(name)+"/test", nil, nil, &out)
}

// Silence keeps alerts from being told.
func (c Client) Silence(ctx context.Context, want SilenceRequest) (out alert.Silence, err error) {
	return out, c.do(ctx, http.MethodPost, "silences", nil, want, &out)
}

// Unsilence ends a silence.
func (c Client) Unsilence(ctx context.Context, id string) (out alert.Silence, err error) {
	return out, c.do(ctx, http.MethodDelete, "silences/"+url.PathEscape(id), nil, nil, &out)
}

// Audit returns a page of what was done through the server, newest first.
func (c Client) Audit(ctx context.Context, query url.Values) (out AuditList, err error) {
	return out, c.get(ctx, "audit", query, &out)
}

func (c Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.do(ctx, http.MethodGet, path, query, nil, out)
}

// do makes one request; in is sent as JSON unless it is nil.
func (c Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	base := c.Server
	if base == "" {
		base = DefaultServer
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf("server %q: want a URL as %s", base, DefaultServer)
	}
	u = u.JoinPath(strings.TrimPrefix(Prefix, "/"), path)
	u.RawQuery = query.Encode()
	var sent io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), sent)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	resp, err := client.Do(req)
	var refused *net.OpError
	if errors.As(err, &refused) && refused.Op == "dial" {
		return fmt.Errorf("%w at %s", ErrNoServer, base)
	}
	if err != nil {
		return fmt.Errorf("ask the server at %s: %w", base, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", base, err)
	}
	if resp.StatusCode != http.StatusOK {
		var e Error
		if json.Unmarshal(body, &e) != nil || e.Message == "" {
			e.Message = resp.Status
			if text := strings.TrimSpace(string(body)); text != "" && len(text) < 300 {
				e.Message += ": " + text
			}
		}
		if resp.StatusCode == http.StatusUnauthorized {
			e.Message += " (set FAIRLEAD_TOKEN)"
		}
		return &StatusError{Status: resp.StatusCode, Message: fmt.Sprintf("server %s: %s", base, e.Message)}
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", base, err)
	}
	return nil
}
