package release

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLedgerPast removes the records of a release with a long history in
// different orders: what was let go of is still there, and told once.
func TestLedgerPast(t *testing.T) {
	const revisions = 6
	ref := Ref{Namespace: "shop", Name: "web"}
	for _, c := range []struct {
		reason string
		remove []int
		want   []string
	}{
		{"history is pruned", []int{1, 2, 3, 4, 5}, nil},
		{"the newest is removed by hand, and the one before it is the newest", []int{6}, nil},
		{"all go, oldest first", []int{1, 2, 3, 4, 5, 6}, []string{"u6/uninstall uninstall 6 succeeded in 0s from 6"}},
		{"all go, newest first", []int{6, 5, 4, 3, 2, 1}, []string{"u6/uninstall uninstall 6 succeeded in 0s from 6"}},
		{"all go, in no order", []int{3, 6, 1, 5, 2, 4}, []string{"u6/uninstall uninstall 6 succeeded in 0s from 6"}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			l := NewLedger(ref, Memory{None: true, Since: second(0)}, nil)
			for n := 1; n <= revisions; n++ {
				s := sight{at: -100 + n, revision: n, status: "superseded", initial: true}
				if n == revisions {
					s.status, s.body = "deployed", &Record{Chart: "app", FirstDeployed: second(-99), Description: "Upgrade complete"}
				}
				l.Observe(s.observation(ref))
			}
			l.Due(second(0))
			if got := len(l.past); got != revisions-1 {
				t.Fatalf("%d records are in the past, want %d", got, revisions-1)
			}
			var got []string
			for i, n := range c.remove {
				l.Observe(sight{at: 10 + i, revision: n}.observation(ref))
				ops, _, _ := l.Due(second(20))
				for _, op := range ops {
					got = append(got, line(op))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if gone := len(c.remove) == revisions; l.Gone() != gone {
				t.Errorf("gone %v, want %v", l.Gone(), gone)
			}
			if left := revisions - len(c.remove); left > 0 {
				newest := slices.Max(slices.DeleteFunc([]int{1, 2, 3, 4, 5, 6}, func(n int) bool { return slices.Contains(c.remove, n) }))
				if e := l.newest(); e == nil || e.revision != newest || e.uid != fmt.Sprint("u", newest) {
					t.Errorf("the newest is %+v, want revision %d", e, newest)
				}
			}
		})
	}
}

// TestLedgerPastOfAnUpgrade upgrades a release whose history was let go of.
func TestLedgerPastOfAnUpgrade(t *testing.T) {
	ref := Ref{Namespace: "shop", Name: "web"}
	l := NewLedger(ref, Memory{}, &Told{Revision: 2, UID: "u2"})
	body := &Record{Chart: "app", FirstDeployed: second(-99), Description: "Upgrade complete"}
	var got []string
	for _, s := range []sight{
		{at: -3, revision: 1, status: "superseded", initial: true},
		{at: -2, revision: 2, status: "deployed", initial: true, body: body},
		{at: 1, revision: 3, status: "pending-upgrade", body: body},
		{at: 2, revision: 2, status: "superseded", body: body},
		{at: 2, revision: 3, status: "deployed", body: body},
		{at: 3, revision: 1}, // pruned
		{at: 4, revision: 2, status: "superseded", body: body}, // written again
		{at: 5, revision: 4, status: "pending-upgrade", body: body},
		{at: 6, revision: 3, status: "superseded", body: body},
		{at: 6, revision: 4, status: "deployed", body: body},
	} {
		l.Observe(s.observation(ref))
		if s.initial && s.revision == 1 {
			continue // all that was there comes first
		}
		ops, _, _ := l.Due(second(s.at))
		for _, op := range ops {
			got = append(got, line(op))
		}
	}
	want := []string{"u3/deploy upgrade 3 running from 2", "u3/deploy upgrade 3 succeeded in 1s from 2", "u4/deploy upgrade 4 running from 3", "u4/deploy upgrade 4 succeeded in 1s from 3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if len(l.entries) != 1 || len(l.past) != 2 {
		t.Errorf("%d entries, %d in the past", len(l.entries), len(l.past))
	}
}
