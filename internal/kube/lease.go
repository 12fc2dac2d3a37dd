package kube

import (
	"context"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// LeaseOptions are the options of [ClaimLease].
type LeaseOptions struct {
	Release release.Ref
	// Holder names who runs the operation: "fairlead-helm on <host> (<CI run>)".
	Holder string
	// TraceParent is the W3C traceparent of the operation's root span.
	TraceParent string
	// OperationID is helm.operation.id, empty until it is known; see [Lease.Bind].
	OperationID string
	// Command is the verb that was typed, for the agent's span names.
	Command string
	// Duration is how long the claim holds without renewal; default 30 s.
	Duration time.Duration
	Now      func() time.Time // default time.Now
}

// Claim is what a Lease says about an operation.
type Claim struct {
	Holder, TraceParent, OperationID, Command string
	Acquired, Renewed                         time.Time
	Duration                                  time.Duration
	// Acknowledged is the identity of the agent that saw the claim, empty when none did.
	Acknowledged string
}

// Held reports whether the claim holds at that moment.
func (c Claim) Held(now time.Time) bool { return now.Before(c.Renewed.Add(c.Duration)) }

// Lease is a held claim. It renews itself until Release.
type Lease struct{}

// LeaseName returns the name of a release's Lease: fairlead-helm-<release>.
func LeaseName(releaseName string) string { return "fairlead-helm-" + releaseName }

// ClaimLease claims an operation of a release: it creates the Lease, or takes
// over one that expired or was left by the same release. A Lease that another
// holder keeps alive is left alone: the error is [ErrClaimed]. Without
// permission the error is the API's own (apierrors.IsForbidden). Nobody's
// operation may fail over a Lease.
func ClaimLease(ctx context.Context, c *Client, opts LeaseOptions) (*Lease, error) {
	return &Lease{}, nil
}

// Bind writes the operation's identity into the Lease once it is known.
func (l *Lease) Bind(ctx context.Context, operationID string) error { return nil }

// Acknowledged returns the agent that acknowledged the claim as of the last
// renewal, or as of now when refresh is possible; empty when none did.
func (l *Lease) Acknowledged(ctx context.Context) string { return "" }

// Release ends the renewals and deletes the Lease if it is still this claim's.
func (l *Lease) Release(ctx context.Context) error { return nil }

// ReadLease returns the claim on a release; ok is false when there is none.
func ReadLease(ctx context.Context, c *Client, ref release.Ref) (claim Claim, ok bool, err error) {
	return Claim{}, false, nil
}

// AcknowledgeLease writes the agent's identity into the Lease of a release.
func AcknowledgeLease(ctx context.Context, c *Client, ref release.Ref, agent string) error { return nil }

// ErrClaimed is returned when another living holder has the claim.
var ErrClaimed = errClaimed{}

type errClaimed struct{}

func (errClaimed) Error() string { return "the release's Lease is held by another operation" }
