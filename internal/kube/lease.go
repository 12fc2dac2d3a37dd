package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"

	"fairlead.dev/fairlead/internal/release"
)

// Annotations of a Lease. They are how the wrapper and the agent speak to one
// another, so their names are an interface.
const (
	AnnotationTraceParent  = "fairlead.dev/traceparent"
	AnnotationOperationID  = "fairlead.dev/operation-id"
	AnnotationCommand      = "fairlead.dev/command"
	AnnotationAcknowledged = "fairlead.dev/acknowledged-by"
)

// ErrClaimed is returned when another living holder has the claim.
var ErrClaimed = errors.New("the release's Lease is held by another operation")

// defaultLeaseDuration is how long an agent waits for a wrapper that says
// nothing before it closes the operation itself: long enough for a renewal to
// be lost twice.
const defaultLeaseDuration = 30 * time.Second

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

// Held reports whether the claim holds at that moment. The clocks of the
// machines concerned may differ: an agent had better count from when it saw the
// Lease renewed.
func (c Claim) Held(now time.Time) bool { return now.Before(c.Renewed.Add(c.Duration)) }

// LeaseName returns the name of a release's Lease: fairlead-helm-<release>.
// Helm's names have at most 53 characters, so it fits.
func LeaseName(releaseName string) string { return "fairlead-helm-" + releaseName }

// Lease is a held claim. It renews itself until Release.
type Lease struct {
	client *Client
	opts   LeaseOptions
	left   Claim
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu makes requests about the Lease one after the other.
	mu   sync.Mutex
	cur  *coordinationv1.Lease // as last read or written; its UID stays the same
	opID string
}

// ClaimLease claims an operation of a release: it creates the Lease, or takes
// over one that expired. A Lease that another holder keeps alive is left alone:
// the error is [ErrClaimed]. Without permission the error is the API's own
// (apierrors.IsForbidden). Nobody's operation may fail over a Lease. Release
// must be called.
func ClaimLease(ctx context.Context, c *Client, opts LeaseOptions) (*Lease, error) {
	opts.Duration = orDefault(opts.Duration, defaultLeaseDuration)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &Lease{client: c, opts: opts, opID: opts.OperationID}
	if err := l.acquire(ctx); err != nil {
		return nil, fmt.Errorf("claim the Lease %s/%s: %w", opts.Release.Namespace, LeaseName(opts.Release.Name), err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.wg.Go(func() { l.keep(run) })
	return l, nil
}

func (l *Lease) acquire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.timeout)
	defer cancel()
	leases := l.leases()
	now := metav1.NewMicroTime(l.opts.Now())
	annotations := map[string]string{
		AnnotationTraceParent: l.opts.TraceParent, AnnotationOperationID: l.opts.OperationID, AnnotationCommand: l.opts.Command,
	}
	spec := coordinationv1.LeaseSpec{
		HolderIdentity: ptr.To(l.opts.Holder), LeaseDurationSeconds: ptr.To(int32(l.opts.Duration / time.Second)),
		AcquireTime: &now, RenewTime: &now,
	}
	made, err := leases.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: LeaseName(l.opts.Release.Name), Annotations: annotations,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "fairlead"},
		},
		Spec: spec,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		old, getErr := leases.Get(ctx, LeaseName(l.opts.Release.Name), metav1.GetOptions{})
		if getErr != nil {
			return getErr
		}
		claim := claimOf(old)
		held := claim.Held(l.opts.Now())
		if held && claim.Holder != l.opts.Holder {
			return fmt.Errorf("%w (%s)", ErrClaimed, claim.Holder)
		}
		if !held {
			l.left = claim
		}
		old.Annotations, old.Spec = annotations, spec
		// The resource version makes two takers of an expired Lease one.
		made, err = leases.Update(ctx, old, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return ErrClaimed
		}
	}
	if err != nil {
		return err
	}
	l.cur = made
	return nil
}

func (l *Lease) leases() coordinationclient.LeaseInterface {
	return l.client.typed.CoordinationV1().Leases(l.opts.Release.Namespace)
}

// Left returns the claim that was there before this one and had expired: whoever
// made it went without a word. The zero Claim means that there was none.
func (l *Lease) Left() Claim { return l.left }

// keep renews the Lease every third of its duration.
func (l *Lease) keep(ctx context.Context) {
	tick := time.NewTicker(l.opts.Duration / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.renew(ctx) // an expired claim is the agent's to close
		}
	}
}

// attempts bounds how often a request is made again because the Lease changed:
// the agent's acknowledgement may come between.
const attempts = 3

// renew renews the claim with what is known.
func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.timeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for range attempts {
		next := l.cur.DeepCopy()
		if next.Annotations == nil {
			next.Annotations = make(map[string]string)
		}
		next.Annotations[AnnotationOperationID] = l.opID
		now := metav1.NewMicroTime(l.opts.Now())
		next.Spec.RenewTime = &now
		made, err := l.leases().Update(ctx, next, metav1.UpdateOptions{})
		if err == nil {
			l.cur = made
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		if err := l.read(ctx); err != nil {
			return err
		}
	}
	return errors.New("renew the Lease: it changes all the time")
}

// read reads the Lease as it is now; [ErrClaimed] means that it expired and
// somebody else took it over. The caller holds the mutex.
func (l *Lease) read(ctx context.Context) error {
	cur, err := l.leases().Get(ctx, LeaseName(l.opts.Release.Name), metav1.GetOptions{})
	if err != nil {
		return err
	}
	if !l.owns(cur) {
		return ErrClaimed
	}
	l.cur = cur
	return nil
}

// Bind writes the operation's identity into the Lease once it is known.
func (l *Lease) Bind(ctx context.Context, operationID string) error {
	l.mu.Lock()
	l.opID = operationID
	l.mu.Unlock()
	return l.renew(ctx)
}

// Acknowledged returns the agent that acknowledged the claim, asking once more
// when none had at the last renewal; empty when none did.
func (l *Lease) Acknowledged(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, l.client.timeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur.Annotations[AnnotationAcknowledged] == "" && l.read(ctx) != nil {
		return ""
	}
	return l.cur.Annotations[AnnotationAcknowledged]
}

// Release ends the renewals and deletes the Lease if it is still this claim's.
// It returns the agent that had acknowledged the claim by then, empty when none
// had, or when the claim was lost.
func (l *Lease) Release(ctx context.Context) (acknowledgedBy string, err error) {
	l.cancel()
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, l.client.timeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := func(err error) error {
		return fmt.Errorf("release the Lease %s/%s: %w", l.opts.Release.Namespace, LeaseName(l.opts.Release.Name), err)
	}
	for range attempts {
		// What changed since it was last read, an acknowledgement, is a conflict.
		err := l.leases().Delete(ctx, l.cur.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &l.cur.UID, ResourceVersion: &l.cur.ResourceVersion},
		})
		if err == nil {
			return l.cur.Annotations[AnnotationAcknowledged], nil
		}
		if apierrors.IsConflict(err) {
			if err = l.read(ctx); err == nil {
				continue
			}
		}
		if apierrors.IsNotFound(err) || errors.Is(err, ErrClaimed) {
			return "", nil
		}
		return "", failed(err)
	}
	return "", failed(errors.New("it changes all the time"))
}

// owns reports whether a Lease is this claim.
func (l *Lease) owns(cur *coordinationv1.Lease) bool {
	return cur.UID == l.cur.UID && ptr.Deref(cur.Spec.HolderIdentity, "") == l.opts.Holder &&
		cur.Annotations[AnnotationTraceParent] == l.opts.TraceParent
}

// ReadLease returns the claim on a release; ok is false when there is none.
func ReadLease(ctx context.Context, c *Client, ref release.Ref) (claim Claim, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	l, err := c.typed.CoordinationV1().Leases(ref.Namespace).Get(ctx, LeaseName(ref.Name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Claim{}, false, nil
	}
	if err != nil {
		return Claim{}, false, fmt.Errorf("read the Lease %s/%s: %w", ref.Namespace, LeaseName(ref.Name), err)
	}
	return claimOf(l), true, nil
}

// AcknowledgeLease writes the agent's identity into the Lease of a release. It
// changes nothing else, so it does not collide with a renewal.
func AcknowledgeLease(ctx context.Context, c *Client, ref release.Ref, agent string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, AnnotationAcknowledged, agent)
	_, err := c.typed.CoordinationV1().Leases(ref.Namespace).Patch(ctx, LeaseName(ref.Name), types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("acknowledge the Lease %s/%s: %w", ref.Namespace, LeaseName(ref.Name), err)
	}
	return nil
}

func claimOf(l *coordinationv1.Lease) Claim {
	c := Claim{
		Holder: ptr.Deref(l.Spec.HolderIdentity, ""), TraceParent: l.Annotations[AnnotationTraceParent],
		OperationID: l.Annotations[AnnotationOperationID], Command: l.Annotations[AnnotationCommand],
		Acknowledged: l.Annotations[AnnotationAcknowledged],
		Duration:     time.Duration(ptr.Deref(l.Spec.LeaseDurationSeconds, 0)) * time.Second,
	}
	if l.Spec.AcquireTime != nil {
		c.Acquired = l.Spec.AcquireTime.UTC()
	}
	if l.Spec.RenewTime != nil {
		c.Renewed = l.Spec.RenewTime.UTC()
	}
	return c
}
