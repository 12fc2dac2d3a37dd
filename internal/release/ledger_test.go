package release

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a small language: each line is what was observed at a second.
type sight struct {
	at       int
	revision int
	status   string // "" = deleted
	uid      string // default u<revision>
	initial  bool
	body     *Record
}

var ledgerEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func second(n int) time.Time { return ledgerEpoch.Add(time.Duration(n) * time.Second) }

func (s sight) observation(ref Ref) Observation {
	r := Record{Ref: ref, Revision: s.revision, Status: s.status, UID: s.uid, Created: second(s.at), Modified: second(s.at)}
	if s.body != nil {
		body := *s.body
		body.Ref, body.Revision, body.Status, body.UID, body.Created, body.Modified = r.Ref, r.Revision, r.Status, r.UID, r.Created, r.Modified
		if body.LastDeployed.IsZero() {
			body.LastDeployed = second(s.at)
		}
		r = body
	}
	if r.UID == "" {
		r.UID = fmt.Sprint("u", s.revision)
	}
	return Observation{At: second(s.at), Initial: s.initial, Deleted: s.status == "", Record: &r}
}

func line(op Operation) string {
	text := fmt.Sprintf("%s %s %d %s", op.ID, op.Kind, op.Revision, op.State)
	if op.State.Done() {
		text += fmt.Sprintf(" in %s", op.Duration())
	}
	if op.PreviousRevision != nil {
		text += fmt.Sprintf(" from %d", *op.PreviousRevision)
	}
	if op.RollbackTo > 0 {
		text += fmt.Sprintf(" to %d", op.RollbackTo)
	}
	if op.Automatic {
		text += " by " + op.ParentID
	}
	if op.Historic {
		text += " historic"
	}
	if op.Cause != "" {
		text += ": " + op.Cause
	}
	return text
}

func TestLedger(t *testing.T) {
	install := &Record{FirstDeployed: second(0), LastDeployed: second(0), Chart: "app", Description: "Install complete"}
	upgrade := &Record{FirstDeployed: second(-100), Chart: "app", Description: "Upgrade complete"}
	failed := &Record{FirstDeployed: second(-100), Chart: "app", Description: `Upgrade "web" failed: context deadline exceeded`}
	back := &Record{FirstDeployed: second(-100), Chart: "app", Description: "Rollback to 1", RollbackTo: 1}
	backFailed := &Record{FirstDeployed: second(-100), Chart: "app", Description: `Rollback "web" failed: no`}
	v1 := sight{at: -50, revision: 1, status: "deployed", initial: true, body: install}

	for _, c := range []struct {
		reason string
		told   *Told
		memory Memory
		sights []sight
		want   []string
		then   *Told // what is to be remembered
	}{
		{
			reason: "an install from beginning to end",
			sights: []sight{{at: 1, revision: 1, status: "pending-install", body: install}, {at: 4, revision: 1, status: "deployed", body: install}},
			want:   []string{"u1/deploy install 1 running from 0", "u1/deploy install 1 succeeded in 3s from 0"},
			then:   &Told{Revision: 1, UID: "u1"},
		},
		{
			reason: "superseding the revision before, and writing it again, is no operation",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 2, status: "pending-upgrade", body: upgrade}, {at: 5, revision: 1, status: "superseded"}, {at: 5, revision: 2, status: "deployed"}},
			want:   []string{"u2/deploy upgrade 2 running from 1", "u2/deploy upgrade 2 succeeded in 4s from 1"},
			then:   &Told{Revision: 2, UID: "u2"},
		},
		{
			reason: "a failed upgrade, and the rollback that the same Helm began",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 2, status: "pending-upgrade", body: failed}, {at: 9, revision: 2, status: "failed", body: failed},
				{at: 9, revision: 3, status: "pending-rollback", body: back}, {at: 11, revision: 3, status: "deployed", body: back}},
			want: []string{"u2/deploy upgrade 2 running from 1", "u2/deploy upgrade 2 failed in 8s from 1: context deadline exceeded",
				"u3/rollback rollback 3 running from 1 to 1 by u2/deploy", "u3/rollback rollback 3 succeeded in 2s from 1 to 1 by u2/deploy"},
			then: &Told{Revision: 3, UID: "u3"},
		},
		{
			reason: "a rollback by hand, later, that fails keeps its target",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 2, status: "pending-rollback", body: back}, {at: 3, revision: 2, status: "failed", body: backFailed}},
			want:   []string{"u2/rollback rollback 2 running from 1 to 1", "u2/rollback rollback 2 failed in 2s from 1 to 1: no"},
			then:   &Told{Revision: 2, UID: "u2"},
		},
		{
			reason: "an install that Helm undid is a failure and a removal that belongs to it",
			sights: []sight{{at: 1, revision: 1, status: "pending-install", body: install}, {at: 8, revision: 1, status: "uninstalling"}, {at: 9, revision: 1}},
			want: []string{"u1/deploy install 1 running from 0", "u1/deploy install 1 failed in 7s from 0: the install was undone by Helm itself",
				"u1/uninstall uninstall 1 running by u1/deploy", "u1/uninstall uninstall 1 succeeded in 1s by u1/deploy"},
		},
		{
			reason: "pruned history is no uninstall",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 2, status: "pending-upgrade", body: upgrade}, {at: 2, revision: 1, status: "superseded"}, {at: 2, revision: 2, status: "deployed"}, {at: 3, revision: 1}},
			want:   []string{"u2/deploy upgrade 2 running from 1", "u2/deploy upgrade 2 succeeded in 1s from 1"},
			then:   &Told{Revision: 2, UID: "u2"},
		},
		{
			reason: "an uninstall",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 1, status: "uninstalling"}, {at: 4, revision: 1}},
			want:   []string{"u1/uninstall uninstall 1 running from 1", "u1/uninstall uninstall 1 succeeded in 3s from 1"},
		},
		{
			reason: "an uninstall that keeps the history, which is pruned later",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 1, status: "uninstalling"}, {at: 2, revision: 1, status: "uninstalled"}, {at: 90, revision: 1}},
			want:   []string{"u1/uninstall uninstall 1 running from 1", "u1/uninstall uninstall 1 succeeded in 1s from 1"},
		},
		{
			reason: "the namespace goes while an upgrade runs",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 2, status: "pending-upgrade", body: upgrade}, {at: 7, revision: 2}, {at: 7, revision: 1}},
			want: []string{"u2/deploy upgrade 2 running from 1",
				"u2/deploy upgrade 2 cancelled in 6s from 1: its record was removed while it was pending-upgrade", "u2/uninstall uninstall 2 succeeded in 0s"},
		},
		{
			reason: "what was left pending ends when somebody goes on, at its last sign of life",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{v1, {at: 1, revision: 2, status: "pending-upgrade", body: upgrade}, {at: 900, revision: 3, status: "pending-rollback", body: back}, {at: 902, revision: 3, status: "deployed", body: back}},
			want: []string{"u2/deploy upgrade 2 running from 1", "u2/deploy upgrade 2 cancelled in 0s from 1: it was left pending-upgrade, and another operation took over",
				"u3/rollback rollback 3 running from 1 to 1", "u3/rollback rollback 3 succeeded in 2s from 1 to 1"},
			then: &Told{Revision: 3, UID: "u3"},
		},
		{
			reason: "at the very first start the newest revision is told as history",
			memory: Memory{None: true, Since: second(0)},
			sights: []sight{{at: -90, revision: 1, status: "superseded", initial: true}, {at: -50, revision: 2, status: "deployed", initial: true, body: upgrade}},
			want:   []string{"u2/deploy upgrade 2 succeeded in 0s from 1 historic"},
			then:   &Told{Revision: 2, UID: "u2"},
		},
		{
			reason: "what runs at the very first start is no history",
			memory: Memory{None: true, Since: second(0)},
			sights: []sight{{at: -50, revision: 1, status: "pending-install", initial: true, body: install}, {at: 4, revision: 1, status: "deployed"}},
			want:   []string{"u1/deploy install 1 running from 0", "u1/deploy install 1 succeeded in 54s from 0"},
			then:   &Told{Revision: 1, UID: "u1"},
		},
		{
			reason: "what happened while the observer was away is told, and nothing before that",
			told:   &Told{Revision: 1, UID: "u1"},
			sights: []sight{{at: -50, revision: 1, status: "superseded", initial: true}, {at: -20, revision: 2, status: "failed", initial: true, body: failed},
				{at: -10, revision: 3, status: "deployed", initial: true, body: upgrade}},
			want: []string{"u2/deploy upgrade 2 failed in 0s from 1: context deadline exceeded", "u3/deploy upgrade 3 succeeded in 0s from 1"},
			then: &Told{Revision: 3, UID: "u3"},
		},
		{
			reason: "uninstalled while the observer was away",
			told:   &Told{Revision: 4, UID: "u4"},
			want:   []string{"u4/uninstall uninstall 4 succeeded in 0s from 4"},
		},
		{
			reason: "uninstalled and installed anew while the observer was away",
			told:   &Told{Revision: 4, UID: "u4"},
			sights: []sight{{at: -20, revision: 1, status: "deployed", initial: true, body: install}},
			want:   []string{"u1/deploy install 1 succeeded in 0s from 0", "u4/uninstall uninstall 4 succeeded in 0s from 4"},
			then:   &Told{Revision: 1, UID: "u1"},
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			ref := Ref{Namespace: "shop", Name: "web"}
			l := NewLedger(ref, c.memory, c.told)
			var got []string
			due := func(at time.Time) {
				ops, _, _ := l.Due(at)
				for _, op := range ops {
					got = append(got, line(op))
				}
			}
			for _, s := range c.sights { // all that was there comes first
				if s.initial {
					l.Observe(s.observation(ref))
				}
			}
			due(second(0))
			for _, s := range c.sights {
				if !s.initial {
					l.Observe(s.observation(ref))
					due(second(s.at))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			var then *Told
			if told, ok := l.Told(); ok {
				then = &told
			}
			if diff := cmp.Diff(c.then, then); diff != "" {
				t.Errorf("remembered (-want +got):\n%s", diff)
			}
			if ops, _, more := l.Due(second(2000)); len(ops) > 0 || more {
				t.Errorf("told twice: %v", ops)
			}
		})
	}
}

// TestLedgerKilledAtAnyPoint cuts a release's life at every observation and lets
// another ledger go on from what the first one remembered: together they tell
// each operation's end exactly once.
func TestLedgerKilledAtAnyPoint(t *testing.T) {
	ref := Ref{Namespace: "shop", Name: "web"}
	body := func(words string, to int) *Record {
		return &Record{FirstDeployed: second(-100), Description: words, RollbackTo: to, Chart: "app"}
	}
	life := []sight{
		{at: 1, revision: 1, status: "pending-install", body: body("Initial install underway", 0)}, {at: 2, revision: 1, status: "deployed", body: body("Install complete", 0)},
		{at: 3, revision: 2, status: "pending-upgrade", body: body("Preparing upgrade", 0)}, {at: 4, revision: 2, status: "failed", body: body(`Upgrade "web" failed: x`, 0)},
		{at: 4, revision: 3, status: "pending-rollback", body: body("Rollback to 1", 1)}, {at: 5, revision: 1, status: "superseded", body: body("Install complete", 0)},
		{at: 5, revision: 3, status: "deployed", body: body("Rollback to 1", 1)},
		{at: 7, revision: 4, status: "pending-upgrade", body: body("Preparing upgrade", 0)}, {at: 8, revision: 3, status: "superseded", body: body("Rollback to 1", 1)},
		{at: 8, revision: 4, status: "deployed", body: body("Upgrade complete", 0)},
	}
	for killed := range len(life) + 1 {
		for back := killed; back <= len(life); back++ {
			ended := map[string]int{}
			tell := func(l *Ledger, at time.Time) {
				ops, _, _ := l.Due(at)
				for _, op := range ops {
					if op.Historic {
						t.Errorf("killed at %d, back at %d: %s is historic", killed, back, op.ID)
					}
					if op.State.Done() {
						ended[fmt.Sprintf("%d %s", op.Revision, op.State)]++
					}
				}
			}
			first := NewLedger(ref, Memory{}, nil)
			state := map[int]sight{} // what the cluster has
			for _, s := range life[:killed] {
				first.Observe(s.observation(ref))
				tell(first, second(s.at))
				state[s.revision] = s
			}
			for _, s := range life[killed:back] {
				state[s.revision] = s
			}
			var told *Told
			if x, ok := first.Told(); ok {
				told = &x
			}
			next := NewLedger(ref, Memory{}, told)
			for _, s := range state {
				s.initial = true
				next.Observe(s.observation(ref))
			}
			tell(next, second(50))
			for _, s := range life[back:] {
				s.at += 100
				next.Observe(s.observation(ref))
				tell(next, second(s.at))
			}
			want := map[string]int{"1 succeeded": 1, "2 failed": 1, "3 succeeded": 1, "4 succeeded": 1}
			if diff := cmp.Diff(want, ended); diff != "" {
				t.Errorf("killed at %d, back at %d (-want +got):\n%s", killed, back, diff)
			}
		}
	}
}
