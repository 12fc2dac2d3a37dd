package helm

import "time"

// StuckLock is what is known of a release that another operation holds in a
// pending status.
type StuckLock struct {
	Release, Namespace string
	Revision           int
	Status             string    // pending-install, pending-upgrade, pending-rollback, uninstalling
	Since              time.Time // zero = not known
	Now                time.Time
	// LeftBy names who began it, as far as known (a pipeline, a user); "" = not known.
	LeftBy string
	// Running is set when that operation is known to be still at work (its Lease is renewed).
	Running bool
	// LastDeployed is the newest revision that is deployed or superseded; 0 = none.
	LastDeployed int
}

// Sentence says who holds the release, since when, and how to recover.
func (s StuckLock) Sentence() string { return "" }

// RecoveryArgs returns the arguments of the helm command that frees the release.
func (s StuckLock) RecoveryArgs() []string { return nil }
