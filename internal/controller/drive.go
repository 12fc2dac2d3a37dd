package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fairlead.dev/fairlead/internal/traffic"
)

const (
	// driveEvery is how often Drive looks at the latest: it has no watches.
	driveEvery = time.Second
	// drivePatience is for how long reconciling may fail in a row.
	drivePatience = 5 * time.Minute
)

// Drive drives one CanaryRelease until ctx ends, from a process that is no
// controller: `rollout run` in a pipeline. It reads the cluster past any cache,
// at least once a second. c may keep the CanaryRelease where it likes. An error
// means that reconciling failed for minutes.
func Drive(ctx context.Context, config *rest.Config, c client.Client, key client.ObjectKey, o Options) error {
	o = o.withDefaults()
	o.Workers = 1
	log.SetLogger(o.Logger)
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("drive %s: %w", key, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: clients.EventsV1()})
	defer broadcaster.Shutdown()
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("drive %s: %w", key, err)
	}
	woken := make(chan struct{}, 1)
	wake := func(types.NamespacedName) {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	r := newReconciler(c, c, broadcaster.NewRecorder(c.Scheme(), "fairlead-rollout-run"), wake, o)
	r.watch = func(traffic.Kind) error { return nil }
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, part := range []func(context.Context) error{r.looks.Start, r.tell.Start} {
		wg.Go(func() { _ = part(ctx) }) // ends with ctx and never otherwise
	}
	var failing time.Time
	said := ""
	for {
		result, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: key})
		wait := driveEvery
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failing = time.Time{}
			if result.RequeueAfter > 0 && result.RequeueAfter < wait {
				wait = result.RequeueAfter
			}
		default:
			if failing.IsZero() {
				failing = r.now()
			}
			if err.Error() != said {
				said = err.Error()
				o.Logger.Error(err, "looking again")
			}
			if r.now().Sub(failing) > drivePatience {
				return fmt.Errorf("drive %s: %w", key, errors.Join(errors.New("failed for "+drivePatience.String()), err))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		case <-time.After(wait):
		}
	}
}
