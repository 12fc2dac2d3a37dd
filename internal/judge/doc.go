// Package judge brings a source of samples and the pure judge together: a
// [Session] freezes the stable track's history, fetches what is new and folds
// it. [Handler] offers that over HTTP to those who have a rollout controller
// of their own: Flagger and Argo Rollouts.
package judge
