package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Kind is what a receiver speaks.
type Kind string

// The kinds of receiver.
const (
	KindAlertmanager Kind = "alertmanager" // API v2
	KindWebhook      Kind = "webhook"      // Alertmanager's webhook JSON
	KindSlack        Kind = "slack"        // incoming webhook
)

// DefaultTimeout bounds one attempt.
const DefaultTimeout = 10 * time.Second

// Options say who is told. URL, Key and Token are secrets: they appear in no
// error and no log.
type Options struct {
	Name string // in errors and in the webhook's body
	Kind Kind
	// URL is an Alertmanager's base URL, or the whole URL of a webhook.
	URL string
	// Key signs the bodies of a webhook; see [Sign]. None when empty.
	Key []byte
	// Token is sent as bearer token, to an Alertmanager or webhook that wants one.
	Token   string
	Timeout time.Duration     // of one attempt; DefaultTimeout when 0
	HTTP    http.RoundTripper // http.DefaultTransport when nil
	// Now is the clock of signatures; time.Now when nil.
	Now func() time.Time
}

// Receiver is told of messages. It is safe for concurrent use.
type Receiver struct {
	o      Options
	target string // URL of requests
	host   string // what errors may say of it
	client *http.Client
}

// New checks the options. It does no I/O.
func New(o Options) (*Receiver, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("receiver %s: want an http or https URL (it is not shown: it may be a secret)", o.Name)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{o: o, host: u.Scheme + "://" + u.Host}
	switch o.Kind {
	case KindAlertmanager:
		u = u.JoinPath("api/v2/alerts")
	case KindWebhook, KindSlack:
	default:
		return nil, fmt.Errorf("receiver %s: kind %q: want alertmanager, webhook or slack", o.Name, o.Kind)
	}
	r.target = u.String()
	r.client = &http.Client{
		Transport: o.HTTP,
		// A redirect would send body, token and signature to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r, nil
}

// Name returns the receiver's name.
func (r *Receiver) Name() string { return r.o.Name }

// Kind returns what the receiver speaks.
func (r *Receiver) Kind() Kind { return r.o.Kind }

// Host returns scheme and host of the receiver, all of its URL that may be shown.
func (r *Receiver) Host() string { return r.host }

// Error is a message that was not delivered.
type Error struct {
	Receiver string
	Host     string
	Problem  string
	Status   int // of the answer; 0 when there was none
	// Retryable says that the same message may be taken later; otherwise it never will.
	Retryable bool
	// RetryAfter is how long the receiver asked to wait; 0 = it did not.
	RetryAfter time.Duration
}

// Error says which receiver, and what it said.
func (e *Error) Error() string {
	return fmt.Sprintf("notify %s at %s: %s", e.Receiver, e.Host, e.Problem)
}

// Retryable reports whether err is of a delivery that may succeed later.
func Retryable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable
}

// maxAnswer is how much of an answer is read: enough for a reason.
const maxAnswer = 1 << 10

// Send makes one attempt to deliver m. A failure is an [*Error].
func (r *Receiver) Send(ctx context.Context, m Message) error {
	body, err := r.encode(m.bounded())
	if err != nil {
		return r.failed(fmt.Sprintf("encode the message: %v", err))
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.target, bytes.NewReader(body))
	if err != nil {
		return r.failed("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "fairlead")
	if r.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.o.Token)
	}
	if len(r.o.Key) > 0 && r.o.Kind == KindWebhook {
		Sign(req.Header, r.o.Key, body, r.o.Now())
	}
	resp, err := r.client.Do(req)
	if err != nil {
		var outer *url.Error // names the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("no answer within %s", r.o.Timeout)
		}
		return &Error{Receiver: r.o.Name, Host: r.host, Problem: r.redact(err.Error()), Retryable: true}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	problem := resp.Status
	if text := strings.Join(strings.Fields(string(answer)), " "); err == nil && text != "" {
		problem += ": " + r.redact(cut(text, 300))
	}
	return &Error{
		Receiver: r.o.Name, Host: r.host, Problem: problem, Status: resp.StatusCode,
		Retryable: retryable(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"), r.o.Now()),
	}
}

func (r *Receiver) failed(problem string) error {
	return &Error{Receiver: r.o.Name, Host: r.host, Problem: r.redact(problem)}
}

func (r *Receiver) encode(m Message) ([]byte, error) {
	switch r.o.Kind {
	case KindAlertmanager:
		return encodeAlertmanager(m)
	case KindSlack:
		return encodeSlack(m)
	default:
		return encodeWebhook(m, r.o.Name)
	}
}

// redact removes the receiver's secrets from a text of somebody else's making.
func (r *Receiver) redact(s string) string {
	secrets := []string{r.target, r.o.URL, r.o.Token, string(r.o.Key)}
	if u, err := url.Parse(r.o.URL); err == nil {
		secrets = append(secrets, u.RequestURI(), u.Path, u.RawQuery)
		if password, ok := u.User.Password(); ok {
			secrets = append(secrets, password)
		}
	}
	for _, secret := range secrets {
		if len(secret) > 3 { // "/" and the like are no secrets
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// retryable: what a busy, restarting or throttling receiver answers.
func retryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	default:
		return status >= 500
	}
}

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = time.Hour

func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, 3600))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	return 0
}

// Backoff returns how long to wait before attempt n+1 after attempt n (from 1)
// failed with err: the receiver's own wish, else 1 s doubled up to most.
func Backoff(n int, most time.Duration, err error) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return min(time.Second<<min(max(n-1, 0), 20), most)
}

// SendRetrying sends m until it is delivered, the error is final, or ctx ends.
// It waits between attempts as [Backoff] says, a minute at most. It returns the
// last attempt's error.
func (r *Receiver) SendRetrying(ctx context.Context, m Message) error {
	for n := 1; ; n++ {
		err := r.Send(ctx, m)
		if err == nil || !Retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(Backoff(n, time.Minute, err)):
		}
	}
}

// maxSecret bounds the file that a reference names.
const maxSecret = 64 << 10

// Resolve returns what a setting that may be a secret refers to: the value of a
// variable for "env:NAME", the content of a file for "file:PATH" (white space at
// its end is cut off), and everything else as it is. Errors name the variable or
// file, never the text.
func Resolve(reference string) (string, error) {
	if name, ok := strings.CutPrefix(reference, "env:"); ok {
		text := os.Getenv(name)
		if text == "" {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return text, nil
	}
	path, ok := strings.CutPrefix(reference, "file:")
	if !ok {
		return reference, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), " \t\r\n")
	if text == "" || len(data) > maxSecret {
		return "", fmt.Errorf("%s: want 1 to %d bytes of text", path, maxSecret)
	}
	return text, nil
}
