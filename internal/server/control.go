package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/steer"
	"fairlead.dev/fairlead/internal/web"
)

// control is what the pages can ask of rollouts, in one cluster.
type control struct{ cluster client.Client }

// answerWithin bounds a request of a page: a person waits for it.
const answerWithin = 15 * time.Second

// Approve lets the rollout go past a step, counted from 1.
func (c control) Approve(ctx context.Context, namespace, name, rolloutID string, step int) error {
	return c.ask(ctx, namespace, name, rolloutID, steer.Wishes["approve"].At(step))
}

// Pause keeps the canary's weight, or lets it go on.
func (c control) Pause(ctx context.Context, namespace, name, rolloutID string, paused bool) error {
	verb := "resume"
	if paused {
		verb = "pause"
	}
	return c.ask(ctx, namespace, name, rolloutID, steer.Wishes[verb])
}

// Abort gives all traffic back to stable.
func (c control) Abort(ctx context.Context, namespace, name, rolloutID string) error {
	return c.ask(ctx, namespace, name, rolloutID, steer.Wishes["abort"])
}

func (c control) ask(ctx context.Context, namespace, name, rolloutID string, wish steer.Wish) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := steer.Ask(ctx, c.cluster, client.ObjectKey{Namespace: namespace, Name: name}, wish.Of(rolloutID), time.Now)
	var refused *steer.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused), apierrors.IsConflict(err):
		return web.WithStatus(http.StatusConflict, err)
	case apierrors.IsNotFound(err):
		return web.WithStatus(http.StatusNotFound, fmt.Errorf("there is no rollout %q in namespace %s of the cluster that this server was given", name, namespace))
	default:
		return web.WithStatus(http.StatusBadGateway, fmt.Errorf("the cluster did not do it: %w", err))
	}
}
