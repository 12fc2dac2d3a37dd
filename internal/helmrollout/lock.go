package helmrollout

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A job that was killed holds its Lease for leaseDuration; another waits a
// little longer than that before it says who is in the way.
const (
	leaseDuration = 15 * time.Second
	lockWithin    = 2 * leaseDuration
)

// LeaseLock returns a Lock: a Lease beside the rollout, held under identity.
func LeaseLock(c kubernetes.Interface, identity string, say func(string, ...any)) func(context.Context, client.ObjectKey) (context.Context, func(), error) {
	return func(ctx context.Context, key client.ObjectKey) (context.Context, func(), error) {
		locked, cancel := context.WithCancelCause(ctx)
		got := make(chan struct{})
		var last atomic.Pointer[string]
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: key.Namespace, Name: "fairlead-rollout-" + key.Name},
				Client:     c.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
			},
			LeaseDuration: leaseDuration, RenewDeadline: leaseDuration * 2 / 3, RetryPeriod: leaseDuration / 8, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { close(got) },
				OnStoppedLeading: func() { cancel(fmt.Errorf("the Lease fairlead-rollout-%s is somebody else's now", key.Name)) },
				OnNewLeader: func(who string) {
					if who != identity && who != "" {
						last.Store(&who)
						say("waiting for %s, which drives this rollout, or did until it was killed", who)
					}
				},
			},
		})
		if err != nil {
			cancel(err)
			return ctx, nil, err
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			elector.Run(locked)
		}()
		unlock := func() {
			cancel(nil)
			<-done
		}
		select {
		case <-got:
			return locked, unlock, nil
		case <-ctx.Done():
			unlock()
			return ctx, nil, ctx.Err()
		case <-time.After(lockWithin):
			unlock()
			if last.Load() == nil {
				return ctx, nil, fmt.Errorf("could not get the Lease fairlead-rollout-%s in namespace %s within %s: are create, get and update of leases allowed?", key.Name, key.Namespace, lockWithin)
			}
			return ctx, nil, fmt.Errorf("%s drives rollout %s: wait for it, or end it", *last.Load(), key)
		}
	}
}
