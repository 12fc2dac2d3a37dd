package web

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// rangeCache keeps answers of PromQL for as long as they stay true: pages ask
// the same again for every browser that follows.
type rangeCache struct {
	source Ranger

	mu   sync.Mutex
	held map[rangeKey]rangeAnswer
}

type rangeKey struct {
	expr     string
	from, to int64
	step     time.Duration
}

type rangeAnswer struct {
	matrix promql.Matrix
	err    error
	until  time.Time
}

const (
	// maxRanges bounds the answers kept: some twenty pages of canaries.
	maxRanges = 300
	// rangeAge is how long an answer counts: samples come every 15 s.
	rangeAge = 10 * time.Second
	// frozenAge is for windows that lie wholly in the past.
	frozenAge = 5 * time.Minute
)

func newRangeCache(source Ranger) *rangeCache {
	return &rangeCache{source: source, held: map[rangeKey]rangeAnswer{}}
}

// Range answers from what is held, or asks.
func (c *rangeCache) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	now := time.Now()
	key := rangeKey{expr, from.UnixMilli(), to.UnixMilli(), step}
	c.mu.Lock()
	one, ok := c.held[key]
	c.mu.Unlock()
	if ok && now.Before(one.until) {
		return one.matrix, one.err
	}
	m, err := c.source.Range(ctx, expr, from, to, step)
	if err != nil {
		return nil, err
	}
	age := rangeAge
	if now.Sub(to) > 5*time.Minute {
		age = frozenAge
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) >= maxRanges {
		for k, v := range c.held {
			if now.After(v.until) || len(c.held) >= maxRanges {
				delete(c.held, k)
			}
		}
	}
	c.held[key] = rangeAnswer{matrix: m, until: now.Add(age)}
	return m, nil
}
