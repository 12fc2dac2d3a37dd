package kube

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clockSlack is by how much clocks may differ before it is worth a word: an
// answer's Date has whole seconds.
const clockSlack = 2 * time.Second

// clock compares the API server's clock with ours, by the Date of each answer.
type clock struct{ ahead atomic.Int64 }

func (c *clock) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		asked := time.Now()
		resp, err := next.RoundTrip(r)
		if err == nil {
			c.compare(resp.Header.Get("Date"), asked, time.Now())
		}
		return resp, err
	})
}

// compare takes the Date of an answer that was made between two moments of ours.
func (c *clock) compare(date string, asked, answered time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	var ahead time.Duration
	switch {
	case at.Sub(answered) > clockSlack:
		ahead = at.Sub(answered)
	case asked.Sub(at) > clockSlack+time.Second: // the second that it had begun
		ahead = at.Sub(asked)
	}
	c.ahead.Store(int64(ahead))
}

// ClockAhead returns by how much the API server's clock was ahead of ours at its
// last answer, negative when it was behind; 0 within two seconds.
func (c *Client) ClockAhead() time.Duration { return time.Duration(c.clock.ahead.Load()) }
