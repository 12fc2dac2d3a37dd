package kube

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// FindLock tells who holds a release that Helm calls locked ("another operation
// is in progress"), since when, and whether they are still at work. ok is false
// when its newest record is not pending. driver is as in WatchOptions. It makes
// two requests.
func FindLock(ctx context.Context, c *Client, ref release.Ref, driver string) (lock release.Lock, ok bool, err error) {
	records, err := ListRecords(ctx, c, RecordQuery{Namespace: ref.Namespace, Release: ref.Name, Driver: driver})
	if err != nil {
		return lock, false, fmt.Errorf("find the lock of release %s: %w", ref, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	claim, claimed, err := ReadLease(ctx, c, ref)
	if err != nil {
		claimed = false // without permission the record must do
	}
	lock, ok = lockOf(records, claim, claimed, time.Now())
	return lock, ok, nil
}

// lockOf reads the lock from a release's records and the claim on it.
func lockOf(records []release.Record, claim Claim, claimed bool, now time.Time) (lock release.Lock, ok bool) {
	var newest release.Record
	for _, r := range records {
		if r.Revision > newest.Revision {
			newest = r
		}
		if (r.Status == "deployed" || r.Status == "superseded") && r.Revision > lock.LastDeployed {
			lock.LastDeployed = r.Revision
		}
	}
	if !newest.Pending() {
		return release.Lock{}, false
	}
	lock.Ref, lock.Revision, lock.Status = newest.Ref, newest.Revision, newest.Status
	lock.Since, lock.Holder = newest.Created, newest.Manager
	if newest.Status == "uninstalling" && !newest.Modified.IsZero() {
		lock.Since = newest.Modified
	}
	if claimed {
		lock.Holder, lock.Alive = claim.Holder, claim.Held(now)
	}
	return lock, true
}
