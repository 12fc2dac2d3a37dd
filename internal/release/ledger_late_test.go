package release

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLedgerWaitsForRecords reads records late, or never: labels alone tell what
// goes on, but not what an operation was that had ended before.
func TestLedgerWaitsForRecords(t *testing.T) {
	ref := Ref{Namespace: "shop", Name: "web"}
	install := &Record{FirstDeployed: second(-50), LastDeployed: second(-50), Chart: "app", Description: "Install complete"}
	there := sight{at: -50, revision: 1, status: "deployed", initial: true}
	unreadable := func(s sight) Observation {
		o := s.observation(ref)
		o.Record.Unreadable = true
		return o
	}
	l := NewLedger(ref, Memory{}, nil)
	told := func(at int) (got []string, more bool) {
		ops, _, more := l.Due(second(at))
		for _, op := range ops {
			got = append(got, line(op))
		}
		return got, more
	}
	l.Observe(there.observation(ref))
	for _, at := range []int{0, 4, 60, 3600} {
		if got, more := told(at); got != nil || !more {
			t.Fatalf("after %d s without its body: told %v, more %v", at, got, more)
		}
	}
	if _, ok := l.Told(); ok {
		t.Error("counts as told before it was")
	}
	there.body = install
	l.Observe(there.observation(ref))
	got, more := told(3601)
	if diff := cmp.Diff([]string{"u1/deploy install 1 succeeded in 0s from 0"}, got); diff != "" || more {
		t.Errorf("its body came an hour late: more %v, (-want +got):\n%s", more, diff)
	}

	l = NewLedger(ref, Memory{}, nil)
	there.body = nil
	l.Observe(unreadable(there))
	if got, more := told(0); got != nil || more {
		t.Errorf("a record that cannot be read: told %v, more %v", got, more)
	}
	next := sight{at: 10, revision: 2, status: "pending-upgrade"}
	l.Observe(next.observation(ref))
	if got, more := told(10); got != nil || !more {
		t.Errorf("at once, without the body: told %v, more %v", got, more)
	}
	l.Observe(unreadable(next))
	if got, _ := told(11); cmp.Diff([]string{"u2/deploy upgrade 2 running from 1"}, got) != "" {
		t.Errorf("by its labels alone: %v", got)
	}
}

// TestLedgerOrdersWithinASecond tells two revisions that were created in one
// second, of which the API server says no more, apart by Helm's own times.
func TestLedgerOrdersWithinASecond(t *testing.T) {
	ref := Ref{Namespace: "shop", Name: "web"}
	l := NewLedger(ref, Memory{}, nil)
	for revision, status := range map[int]string{1: "superseded", 2: "deployed"} {
		s := sight{at: -50, revision: revision, status: status, initial: true, body: &Record{
			FirstDeployed: second(-50), LastDeployed: second(-50).Add(time.Duration(revision) * 300 * time.Millisecond), Chart: "app",
		}}
		o := s.observation(ref)
		o.At = second(0) // when the observer listed them
		l.Observe(o)
	}
	ops, _, _ := l.Due(second(0))
	if len(ops) != 2 {
		t.Fatalf("%d operations, want 2", len(ops))
	}
	for i, op := range ops {
		if want := second(-50).Add(time.Duration(i+1) * 300 * time.Millisecond); op.Revision != i+1 || !op.Start.Equal(want) {
			t.Errorf("revision %d began at %s, want revision %d at %s", op.Revision, op.Start, i+1, want)
		}
	}
}
