// Package load sends requests to a service on this machine at a steady rate,
// for demonstrations and tests.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what is sent.
type Options struct {
	// Target is the service's base URL; its host must be a loopback address.
	Target string
	// Paths are requested with falling weights: the first most often, as 1/n.
	Paths []string
	// Rate is requests per second, at most 5000.
	Rate float64
	// Requests bounds how many are sent; Run ends then. 0: until ctx ends.
	Requests int
	// Workers bounds how many are under way at once, 64 by default. When all
	// are, requests are left out rather than queued.
	Workers int
}

// Stats are what came of it.
type Stats struct {
	Sent, Failed, LeftOut int64 // Failed: no answer, or 5xx
}

// mostRate keeps a typing error from being an attack.
const mostRate = 5000

func (o *Options) check() error {
	u, err := url.Parse(o.Target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return fmt.Errorf("target %s: only a service on this machine, 127.0.0.1 for example", o.Target)
	}
	switch {
	case len(o.Paths) == 0:
		return errors.New("paths: want at least one")
	case !(o.Rate > 0 && o.Rate <= mostRate):
		return fmt.Errorf("rate %g: want more than 0 and at most %d requests per second", o.Rate, mostRate)
	case o.Requests < 0 || o.Workers < 0:
		return errors.New("requests and workers: want 0 or more")
	}
	return nil
}

// Run sends requests until ctx ends or all are sent, and waits for the answers.
func Run(ctx context.Context, o Options) (Stats, error) {
	if err := o.check(); err != nil {
		return Stats{}, err
	}
	if o.Workers == 0 {
		o.Workers = 64
	}
	transport := &http.Transport{MaxIdleConnsPerHost: o.Workers}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	pick := picker(o.Paths)
	var sent, failed, leftOut atomic.Int64
	var wg sync.WaitGroup
	slots := make(chan struct{}, o.Workers)
	began := time.Now()
	for n := 0; o.Requests == 0 || n < o.Requests; n++ {
		due := began.Add(time.Duration(float64(n) / o.Rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			break
		}
		select {
		case slots <- struct{}{}:
		default:
			leftOut.Add(1)
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			sent.Add(1)
			if !get(ctx, client, o.Target+pick()) {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	return Stats{Sent: sent.Load(), Failed: failed.Load(), LeftOut: leftOut.Load()}, nil
}

func get(ctx context.Context, client *http.Client, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return ctx.Err() != nil // what was cut off at the end did not fail
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return (err == nil || ctx.Err() != nil) && resp.StatusCode < 500
}

// picker draws paths with weights 1, 1/2, 1/3...
func picker(paths []string) func() string {
	total := 0.0
	for i := range paths {
		total += 1 / float64(i+1)
	}
	return func() string {
		x := rand.Float64() * total
		for i, p := range paths {
			if x -= 1 / float64(i+1); x <= 0 {
				return p
			}
		}
		return paths[len(paths)-1]
	}
}
