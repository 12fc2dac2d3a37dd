package release

import (
	"fmt"
	"testing"
	"time"
)

// TestLedgerSkew tells a release's life with clocks of the API server and of Helm
// that differ from ours, from its beginning and from any point of it: nothing
// lasts less than nothing, nothing is in the future, and what was seen to happen
// after something else is told so.
func TestLedgerSkew(t *testing.T) {
	ref := Ref{Namespace: "shop", Name: "web"}
	life := []sight{
		{at: 1, revision: 1, status: "pending-install"}, {at: 3, revision: 1, status: "deployed"},
		{at: 5, revision: 2, status: "pending-upgrade"}, {at: 9, revision: 2, status: "failed"},
		{at: 10, revision: 3, status: "pending-rollback"}, {at: 12, revision: 3, status: "deployed"},
		{at: 14, revision: 4, status: "pending-upgrade"}, // and its Helm was killed
		{at: 20, revision: 5, status: "pending-rollback"}, {at: 21, revision: 5, status: "deployed"},
		{at: 30, revision: 5, status: "uninstalling"}, {at: 33, revision: 5, status: "uninstalled"},
	}
	words := map[int]string{1: "Install complete", 2: `Upgrade "web" failed: x`, 3: "Rollback to 1", 4: "Preparing upgrade", 5: "Rollback to 3"}
	for _, api := range []time.Duration{0, -10 * time.Minute, 10 * time.Minute} {
		for _, helm := range []time.Duration{0, -10 * time.Minute, 10 * time.Minute} {
			for there := range len(life) + 1 {
				t.Run(fmt.Sprintf("API %s, Helm %s, %d there", api, helm, there), func(t *testing.T) {
					l := NewLedger(ref, Memory{}, nil)
					began, created := map[int]time.Time{}, map[int]time.Time{}
					observe := func(s sight, at time.Time, initial bool) {
						if began[s.revision].IsZero() {
							began[s.revision], created[s.revision] = second(s.at).Add(helm), second(s.at).Add(api)
						}
						r := Record{Ref: ref, Revision: s.revision, Status: s.status, UID: fmt.Sprint("u", s.revision), Description: words[s.revision],
							FirstDeployed: second(-100), LastDeployed: began[s.revision], Created: created[s.revision], Modified: second(s.at).Add(api)}
						l.Observe(Observation{At: at, Initial: initial, Record: &r})
					}
					var last Operation // seen while it ran
					tell := func(now time.Time) {
						ops, _, _ := l.Due(now)
						for _, op := range ops {
							if op.Start.After(now) || op.End.After(now) {
								t.Errorf("at %s, %s is told from %s to %s: in the future", now.Format(time.TimeOnly), op.ID, op.Start, op.End)
							}
							if op.State.Done() && op.End.Before(op.Start) {
								t.Errorf("%s lasted %s", op.ID, op.End.Sub(op.Start))
							}
							if op.State == StateRunning {
								if op.Start.Before(last.Start) {
									t.Errorf("%s began at %s, before %s at %s", op.ID, op.Start, last.ID, last.Start)
								}
								if there == 0 {
									last = op // all of it was seen
								}
							}
							if there == 0 && op.State.Done() && op.Duration() > 10*time.Second {
								t.Errorf("%s, all of which was seen, lasted %s", op.ID, op.Duration())
							}
						}
					}
					state := map[int]sight{}
					for _, s := range life[:there] {
						if began[s.revision].IsZero() {
							began[s.revision], created[s.revision] = second(s.at).Add(helm), second(s.at).Add(api)
						}
						state[s.revision] = s
					}
					now := second(0)
					if there > 0 {
						now = second(life[there-1].at)
					}
					for _, s := range state {
						observe(s, now, true)
					}
					tell(now)
					for _, s := range life[there:] {
						observe(s, second(s.at), false)
						tell(second(s.at))
					}
				})
			}
		}
	}
}
