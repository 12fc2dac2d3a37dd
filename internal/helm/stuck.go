package helm

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

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
	// LastDeployed is the revision that is deployed, or else the newest that
	// once was; 0 = none.
	LastDeployed int
}

// Sentence says who holds the release, since when, and how to recover.
func (s StuckLock) Sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "revision %d of %s/%s is %s", s.Revision, s.Namespace, s.Release, s.Status)
	if !s.Since.IsZero() {
		fmt.Fprintf(&b, " since %s", s.Since.UTC().Format("2006-01-02 15:04:05 MST"))
		if age := s.Now.Sub(s.Since); age > 0 {
			fmt.Fprintf(&b, " (%s)", roundedAge(age))
		}
	}
	if s.LeftBy != "" {
		verb := "left there by"
		if s.Running {
			verb = "held by"
		}
		fmt.Fprintf(&b, ", %s %s", verb, s.LeftBy)
	}
	if s.Running {
		b.WriteString("; that operation is still running: wait for it to end")
		return b.String()
	}
	fmt.Fprintf(&b, "; when no other helm is at work on it, free it with: helm %s", strings.Join(s.RecoveryArgs(), " "))
	return b.String()
}

// RecoveryArgs returns the arguments of the helm command that frees the release:
// a rollback to the last revision that worked, or, without one, an uninstall.
func (s StuckLock) RecoveryArgs() []string {
	if s.Status == "uninstalling" || s.LastDeployed == 0 {
		return []string{VerbUninstall, s.Release, "--namespace", s.Namespace}
	}
	return []string{VerbRollback, s.Release, strconv.Itoa(s.LastDeployed), "--namespace", s.Namespace}
}

// Stuck tells from a release's records, in any order, whether another operation
// holds it: the newest one is pending. now is for the age only.
func Stuck(records []Record, now time.Time) (StuckLock, bool) {
	var newest Record
	deployed, superseded := 0, 0
	for _, r := range records {
		if r.Revision > newest.Revision {
			newest = r
		}
		switch r.Status {
		case "deployed":
			deployed = max(deployed, r.Revision)
		case "superseded":
			superseded = max(superseded, r.Revision)
		}
	}
	if deployed == 0 {
		deployed = superseded
	}
	if !newest.IsPending() {
		return StuckLock{}, false
	}
	return StuckLock{
		Release: newest.Name, Namespace: newest.Namespace, Revision: newest.Revision, Status: newest.Status,
		Since: newest.LastDeployed, Now: now, LastDeployed: deployed,
	}, true
}

// roundedAge is an age in at most two units.
func roundedAge(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}
