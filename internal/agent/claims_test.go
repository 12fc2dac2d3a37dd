package agent

import (
	"log/slog"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func second(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

func TestClaimOf(t *testing.T) {
	held := claim{Claim: kube.Claim{Command: "upgrade", TraceParent: traceparent, Acquired: second(0), Duration: 30 * time.Second}, Seen: second(0)}
	bound := held
	bound.OperationID = "u2/deploy"
	back := held
	back.Gone = second(20)
	skewed := held
	skewed.Acquired = second(-600) // the wrapper's clock
	for _, c := range []struct {
		reason      string
		claim       claim
		op          release.Operation
		under, main bool
	}{
		{"the operation it names", bound, release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Start: second(1)}, true, true},
		{"not bound yet: the command fits", held, release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Start: second(1)}, true, true},
		{"upgrade --install of a new release", held, release.Operation{ID: "u1/deploy", Kind: release.KindInstall, Start: second(1)}, true, true},
		{"the record was seen before the Lease", held, release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Start: second(-1)}, true, true},
		{"another clock", skewed, release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Start: second(1)}, true, true},
		{"its rollback is beside it", bound, release.Operation{ID: "u3/rollback", Kind: release.KindRollback, Start: second(9)}, true, false},
		{"left pending long before", held, release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Start: second(-900)}, false, false},
		{"after it was given back", back, release.Operation{ID: "u4/deploy", Kind: release.KindUpgrade, Start: second(60)}, false, false},
	} {
		if under, main := c.claim.of(c.op); under != c.under || main != c.main {
			t.Errorf("%s: under %v, main %v; want %v, %v", c.reason, under, main, c.under, c.main)
		}
	}
}

func TestExpiredClaimHandsItsOperationsBack(t *testing.T) {
	ref := release.Ref{Namespace: "shop", Name: "web"}
	b := &claims{by: map[release.Ref][]*claim{}}
	c := &claim{Claim: kube.Claim{Command: "upgrade", TraceParent: traceparent, Duration: 30 * time.Second, OperationID: "u2/deploy"}, Seen: second(0), Renewed: second(0)}
	b.by[ref] = []*claim{c}
	op := release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Namespace: "shop", Release: "web", Start: second(1), State: release.StateSucceeded}
	if got, main := b.of(op); got != c || !main {
		t.Fatalf("claim %v, main %v", got, main)
	}
	s := place(op, c, true)
	if s.op.TraceID != "0af7651916cd43dd8448eb211c80319c" || s.op.SpanID != "b7ad6b7169203331" {
		t.Errorf("in trace %s, span %s", s.op.TraceID, s.op.SpanID)
	}
	if !b.leave(c, s, second(5)) {
		t.Fatal("a living wrapper tells its own operation")
	}
	if left, silent := b.expire(second(29)); len(left) != 0 || len(silent) != 0 {
		t.Errorf("before it expired: %v, %v", left, silent)
	}
	left, silent := b.expire(second(31))
	if len(left) != 1 || left[0].op.ID != op.ID || len(silent) != 1 {
		t.Errorf("expired: %d left, %d silent", len(left), len(silent))
	}
	if left, _ := b.expire(second(32)); len(left) != 0 {
		t.Error("told twice")
	}
	c.Gone = second(33)
	b.expire(second(33).Add(claimMemory + time.Second))
	if len(b.by) != 0 {
		t.Error("a claim is remembered for ever")
	}
}

func TestPlaceFollowsFromTheIdentity(t *testing.T) {
	deploy := release.Operation{ID: "u2/deploy", Kind: release.KindUpgrade, Command: "upgrade"}
	rollback := release.Operation{ID: "u3/rollback", Kind: release.KindRollback, ParentID: "u2/deploy", Automatic: true}
	a, again, child := place(deploy, nil, false), place(deploy, nil, false), place(rollback, nil, false)
	if a.op.TraceID != again.op.TraceID || a.op.SpanID != again.op.SpanID || a.op.TraceID != emit.TraceIDOf("u2/deploy").String() {
		t.Errorf("%+v, then %+v", a.op, again.op)
	}
	if child.op.TraceID != a.op.TraceID || child.parent.SpanID().String() != a.op.SpanID || child.op.SpanID == a.op.SpanID {
		t.Errorf("the rollback stands at %s/%s below %s", child.op.TraceID, child.op.SpanID, child.parent.SpanID())
	}
}

func TestCheckpoint(t *testing.T) {
	k := newKeeper(Options{Logger: slog.New(slog.DiscardHandler)})
	ref := release.Ref{Namespace: "shop", Name: "web"}
	k.now.Releases[ref.String()] = release.Told{Revision: 7, UID: "u7"}
	k.now.Releases["gone/web"] = release.Told{Revision: 1, UID: "u1"}
	k.now.Claims = map[string][]rememberClaim{ref.String(): {{Claim: kube.Claim{TraceParent: traceparent}, Acked: true}}}
	k.now.Events = second(9)
	data, err := k.encode()
	if err != nil {
		t.Fatal(err)
	}
	next, b := newKeeper(Options{}), &claims{by: map[release.Ref][]*claim{}}
	if err := next.decode(data, b); err != nil {
		t.Fatal(err)
	}
	if told := next.recall(ref); told == nil || told.Revision != 7 {
		t.Errorf("remembered %v", told)
	}
	if rest := next.rest(nil); len(rest) != 1 || rest[0].Namespace != "gone" {
		t.Errorf("releases whose records are gone: %v", rest)
	}
	if rest := next.rest(nil); len(rest) != 0 {
		t.Errorf("asked again: %v", rest)
	}
	if len(b.by[ref]) != 1 || !b.by[ref][0].Acked {
		t.Errorf("claims %v", b.by)
	}
	if next.missed(release.Event{Last: second(9)}) || !next.missed(release.Event{Last: second(10)}) {
		t.Error("events are missed from the newest one sent on")
	}
	if err := next.decode([]byte("not gzip"), b); err == nil {
		t.Error("rubbish was read")
	}
}

func TestCheckpointFitsAConfigMap(t *testing.T) {
	k := newKeeper(Options{})
	for i := range 60_000 {
		id := emit.TraceIDOf(string(rune(i)) + "x").String() // as random as a UID
		k.now.Releases["namespace-"+id[:6]+"/release-"+id[6:12]] = release.Told{Revision: i % 10, UID: id}
	}
	data, err := k.encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > kube.MaxCheckpoint {
		t.Errorf("%d bytes", len(data))
	}
	next := newKeeper(Options{})
	if err := next.decode(data, &claims{}); err != nil || next.before.Since.IsZero() || len(next.before.Releases) < 5000 {
		t.Errorf("%d releases, since %s (%v)", len(next.before.Releases), next.before.Since, err)
	}
}

func TestBadConfig(t *testing.T) {
	for want, c := range map[string]Config{
		`--storage "sql"`:   {Storage: "sql"},
		`--metrics "maybe"`: {Metrics: "maybe"},
		`--namespace ""`:    {Namespaces: []string{""}},
	} {
		if err := c.Validate(); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
