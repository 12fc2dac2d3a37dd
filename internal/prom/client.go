package prom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// Client is a Prometheus-compatible server.
type Client struct {
	config Config
	base   string
	http   *http.Client
}

// NewClient returns a client of the server that c describes. It does not
// connect yet.
func NewClient(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = analysis.Duration(defaultTimeout)
	}
	if c.Retries == 0 {
		c.Retries = defaultRetries
	}
	if c.MaxResponseBytes == 0 {
		c.MaxResponseBytes = defaultMaxBytes
	}
	client, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	return &Client{config: c, base: strings.TrimRight(c.URL, "/"), http: client}, nil
}

// shortestSplit is the range below which an answer that is too large is not
// asked for in halves any more.
const shortestSplit = time.Minute

// Select asks for a range selector in one request. Where the answer is too
// large for the server or for MaxResponseBytes, it asks for the range in
// halves.
func (c *Client) Select(ctx context.Context, match Matchers, from, to time.Time) (Result, error) {
	window := to.Sub(from).Round(time.Millisecond)
	if window <= 0 {
		return Result{}, fmt.Errorf("query %s from %s to %s: the range is empty", match, from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	query := fmt.Sprintf("%s[%dms]", match, window.Milliseconds())
	var result Result
	err := c.ask(ctx, "query", url.Values{"query": {query}, "time": {unix(to)}}, func(r io.Reader) (err error) {
		result, err = decodeMatrix(r)
		return err
	})
	if errors.Is(err, ErrTooLarge) && window > shortestSplit {
		return c.selectHalves(ctx, match, from, to)
	}
	if err != nil {
		return Result{}, fmt.Errorf("query %s at %s: %w", query, to.UTC().Format(time.RFC3339), err)
	}
	return result, nil
}

func (c *Client) selectHalves(ctx context.Context, match Matchers, from, to time.Time) (Result, error) {
	middle := from.Add(to.Sub(from) / 2).Truncate(time.Millisecond)
	first, err := c.Select(ctx, match, from, middle)
	if err != nil {
		return Result{}, err
	}
	second, err := c.Select(ctx, match, middle, to)
	if err != nil {
		return Result{}, err
	}
	byLabels := make(map[string]int, len(first.Series))
	for i, s := range first.Series {
		byLabels[string(s.Labels.Bytes(nil))] = i
	}
	for _, s := range second.Series {
		if i, ok := byLabels[string(s.Labels.Bytes(nil))]; ok {
			first.Series[i].Points = append(first.Series[i].Points, s.Points...)
			continue
		}
		first.Series = append(first.Series, s)
	}
	first.Notes = append(first.Notes, second.Notes...)
	return first, nil
}

// Exists asks for one series' labels.
func (c *Client) Exists(ctx context.Context, match Matchers, from, to time.Time) (bool, error) {
	var n int
	err := c.ask(ctx, "series", url.Values{
		"match[]": {match.String()}, "start": {unix(from)}, "end": {unix(to)}, "limit": {"1"},
	}, func(r io.Reader) (err error) {
		n, err = decodeCount(r)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("series %s: %w", match, err)
	}
	return n > 0, nil
}

// ask posts to an endpoint until it answers, for good or bad, or the retries
// are used up. What decode returns is final unless it is ErrUnavailable.
func (c *Client) ask(ctx context.Context, endpoint string, form url.Values, decode func(io.Reader) error) error {
	for k, v := range c.config.Params {
		form.Set(k, v)
	}
	wait := 500 * time.Millisecond
	for attempt := 0; ; attempt++ {
		after, err := c.try(ctx, endpoint, form, decode)
		if err == nil || !errors.Is(err, ErrUnavailable) || attempt >= c.config.Retries {
			return err
		}
		// The server's own wish counts, within reason: a judge that sleeps
		// for minutes is no judge.
		pause := min(max(after, wait/2+rand.N(wait)), 10*time.Second)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
		wait *= 2
	}
}

// try makes one attempt. after is how long the server asked to wait.
func (c *Client) try(ctx context.Context, endpoint string, form url.Values, decode func(io.Reader) error) (after time.Duration, err error) {
	attempt, cancel := context.WithTimeout(ctx, time.Duration(c.config.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(attempt, http.MethodPost, c.base+"/api/v1/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "fairlead")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, c.netError(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, statusError(resp)
	}
	body := &boundedReader{r: resp.Body, left: c.config.MaxResponseBytes}
	err = decode(body)
	switch {
	case body.exceeded:
		return 0, fmt.Errorf("%w: more than %d bytes; raise source.prometheus.maxResponseBytes, or read less with analysis.metrics.match", ErrTooLarge, c.config.MaxResponseBytes)
	case body.err != nil:
		return 0, c.netError(ctx, body.err)
	}
	var warned *warningsError
	if errors.As(err, &warned) && c.config.AcceptWarnings {
		err = nil
	}
	return 0, err
}

// netError tells an end that the caller asked for from a server that is away.
func (c *Client) netError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) { // its text repeats method and URL
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: no answer within %s", c.base, ErrUnavailable, c.config.Timeout)
	}
	return fmt.Errorf("%s: %w: %w", c.base, ErrUnavailable, err)
}

// statusError reads the error of an answer that is none.
func statusError(resp *http.Response) error {
	message := errorMessage(resp.Body)
	kind := ErrRefused
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%w: 401 Unauthorized: set source.prometheus.bearerTokenFile or basicAuth%s", kind, message)
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: 403 Forbidden: the credentials do not allow this query%s", kind, message)
	case code/100 == 3:
		return fmt.Errorf("%w: %s to %s: set source.prometheus.url to where the API is", kind, resp.Status, resp.Header.Get("Location"))
	case strings.Contains(message, "too many samples") || strings.Contains(message, "would load too many"):
		kind = ErrTooLarge
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		kind = ErrUnavailable
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: 404 Not Found: is source.prometheus.url right, without /api/v1?%s", kind, message)
	}
	return fmt.Errorf("%w: %s%s", kind, resp.Status, message)
}

// boundedReader ends a body that is longer than allowed and remembers why
// reading ended.
type boundedReader struct {
	r        io.Reader
	left     int64
	exceeded bool
	err      error // of the connection
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more tells an answer of just the limit from a longer one.
		var one [1]byte
		if n, _ := b.r.Read(one[:]); n == 0 {
			return 0, io.EOF
		}
		b.exceeded = true
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// unix writes a time as the API reads it, to the millisecond.
func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
