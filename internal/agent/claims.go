package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

const (
	// claimSlack is by how much a claim and the first record of its operation
	// may come in the wrong order: the wrapper makes the Lease while Helm runs.
	claimSlack = 3 * time.Second
	// claimMemory is how long a claim that was given back is remembered.
	claimMemory = 10 * time.Minute
)

// claim is what is known of one claim of a wrapper on a release.
type claim struct {
	kube.Claim
	Seen    time.Time // receipt of its first sight
	Renewed time.Time // receipt of its last renewal
	Gone    time.Time // receipt of its end; zero while it is there
	// Acked is whether the wrapper can know of us: then it leaves counting to us.
	Acked bool
	// open are the operations under it that ended and were left to the wrapper
	// to tell, with what we know of them.
	open []story
}

// expired reports whether its holder went without a word.
func (c *claim) expired(now time.Time) bool {
	return c.Gone.IsZero() && now.Sub(c.Renewed) > c.Duration
}

// context returns the claim's span context.
func (c *claim) context() trace.SpanContext {
	return trace.SpanContextFromContext(emit.WithTraceparent(context.Background(), c.TraceParent))
}

// of reports whether an operation was done under the claim, and whether it is
// the very one that was claimed and not one beside it (a rollback).
func (c *claim) of(op release.Operation) (under, main bool) {
	if c.OperationID != "" && c.OperationID == op.ID {
		return true, true
	}
	begin := op.Start
	if begin.Before(c.Seen.Add(-claimSlack)) && begin.Before(c.Acquired.Add(-claimSlack)) || !c.Gone.IsZero() && begin.After(c.Gone.Add(claimSlack)) {
		return false, false
	}
	fits := string(op.Kind) == c.Command || c.Command == "upgrade" && op.Kind == release.KindInstall
	return true, fits && c.OperationID == "" && !op.Automatic
}

// claims are the claims that there are, and those that were given back lately.
type claims struct {
	client   *kube.Client
	identity string
	logger   *slog.Logger
	wg       sync.WaitGroup

	mu    sync.Mutex
	by    map[release.Ref][]*claim // oldest first
	dirty bool                     // changed since the checkpoint was written
	told  bool                     // a failing acknowledgement has been said
}

func newClaims(o Options) *claims {
	return &claims{client: o.Client, identity: o.Identity, logger: o.Logger, by: make(map[release.Ref][]*claim)}
}

// observe takes a change of a claim and acknowledges a new one at once.
func (b *claims) observe(ctx context.Context, ch kube.ClaimChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.by[ch.Release]
	var c *claim
	if n := len(list); n > 0 && list[n-1].TraceParent == ch.Claim.TraceParent && list[n-1].Gone.IsZero() {
		c = list[n-1]
	} else {
		if n > 0 && list[n-1].Gone.IsZero() {
			list[n-1].Gone = ch.At // taken over after it expired
		}
		c = &claim{Seen: ch.At, Renewed: ch.At}
		b.by[ch.Release] = append(list, c)
	}
	if !ch.Claim.Renewed.Equal(c.Claim.Renewed) {
		c.Renewed = ch.At
	}
	c.Claim = ch.Claim
	c.Acked = c.Acked || ch.Claim.Acknowledged != ""
	b.dirty = true
	if ch.Gone {
		c.Gone = ch.At
		return
	}
	if ch.Claim.Acknowledged == "" {
		b.wg.Go(func() { b.acknowledge(ctx, ch.Release, c) })
	}
}

func (b *claims) acknowledge(ctx context.Context, ref release.Ref, c *claim) {
	err := kube.AcknowledgeLease(ctx, b.client, ref, b.identity)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		c.Acked, b.dirty = true, true
		return
	}
	if !b.told && ctx.Err() == nil {
		b.told = true
		b.logger.Warn("missing: patch leases.coordination.k8s.io: fairlead helm sends metrics and snapshots of its own", "reason", kube.Why(err))
	}
}

// of returns the claim under which an operation was done, nil for none, and
// whether it is the claimed operation itself.
func (b *claims) of(op release.Operation) (c *claim, main bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range slices.Backward(b.by[release.Ref{Namespace: op.Namespace, Name: op.Release}]) {
		if under, main := c.of(op); under {
			return c, main
		}
	}
	return nil, false
}

// leave keeps an ended operation for the case that its wrapper never tells it.
// It returns false when that is so already.
func (b *claims) leave(c *claim, s story, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.expired(now) {
		return false
	}
	c.open = append(c.open, s)
	return true
}

// expire returns what is to be told of claims whose wrappers went without a
// word, and forgets old claims. silent are releases under an expired claim that
// are still pending.
func (b *claims) expire(now time.Time) (left []story, silent []release.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ref, list := range b.by {
		for _, c := range list {
			if c.expired(now) {
				left = append(left, c.open...)
				c.open = nil
				silent = append(silent, ref)
			}
			if !c.Gone.IsZero() {
				c.open = nil
			}
		}
		list = slices.DeleteFunc(list, func(c *claim) bool { return !c.Gone.IsZero() && now.Sub(c.Gone) > claimMemory })
		if len(list) == 0 {
			delete(b.by, ref)
		} else {
			b.by[ref] = list
		}
	}
	return left, silent
}

// counted reports whether the wrapper of a claim leaves counting to us.
func (b *claims) counted(c *claim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.Acked
}

// remembered returns the claims for the checkpoint.
func (b *claims) remembered() map[string][]rememberClaim {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty = false
	out := make(map[string][]rememberClaim, len(b.by))
	for ref, list := range b.by {
		for _, c := range list {
			out[ref.String()] = append(out[ref.String()], rememberClaim{Claim: c.Claim, Seen: c.Seen, Gone: c.Gone, Acked: c.Acked})
		}
	}
	return out
}
