package kube

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaderOptions are the options of [Lead].
type LeaderOptions struct {
	Namespace, Name string // of the Lease
	Identity        string // of this process
	// Changed, when set, is told who leads.
	Changed func(identity string)
}

// Durations of the election: another process takes over within 15 s of a
// leader's sudden end, and at once when it ends in order.
const (
	leaderLease = 15 * time.Second
	leaderRenew = 10 * time.Second
	leaderRetry = 2 * time.Second
)

// Lead runs run while this process is the leader, and waits for its turn
// otherwise. run's context ends when the leadership is lost; Lead then tries for
// it again. It returns when ctx ends, or with run's error.
func Lead(ctx context.Context, c *Client, opts LeaderOptions, run func(context.Context) error) error {
	for ctx.Err() == nil {
		// The Lease is given back when run has ended, not when ctx does.
		term, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		var started atomic.Bool
		stop := context.AfterFunc(ctx, func() {
			if !started.Load() {
				cancel()
			}
		})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: opts.Namespace, Name: opts.Name},
				Client:     c.typed.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: opts.Identity},
			},
			LeaseDuration: leaderLease, RenewDeadline: leaderRenew, RetryPeriod: leaderRetry,
			ReleaseOnCancel: true, Name: opts.Name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(leading context.Context) {
					started.Store(true)
					work, done := context.WithCancel(leading)
					defer context.AfterFunc(ctx, done)()
					defer done()
					ended <- run(work)
					cancel()
				},
				OnStoppedLeading: func() {},
				OnNewLeader:      opts.Changed,
			},
		})
		if err != nil {
			cancel()
			return fmt.Errorf("elect a leader with the Lease %s/%s: %w", opts.Namespace, opts.Name, err)
		}
		elector.Run(term)
		cancel()
		stop()
		if !started.Load() {
			continue
		}
		// Whoever leads next must not find this term's work still going on.
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}
