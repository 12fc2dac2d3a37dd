package helm

import (
	"strings"
	"testing"
	"time"
)

func TestStuck(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := now.Add(-90 * time.Minute)
	rec := func(revision int, status string) Record {
		return Record{Name: "web", Namespace: "shop", Revision: revision, Status: status, LastDeployed: at}
	}
	cases := []struct {
		reason  string
		records []Record
		set     func(*StuckLock)
		want    string // "" = not stuck
	}{
		{"a release at rest", []Record{rec(2, "deployed"), rec(1, "superseded")}, nil, ""},
		{"no release", nil, nil, ""},
		{"a failed one is no lock", []Record{rec(3, "failed"), rec(2, "deployed")}, nil, ""},
		{"an upgrade left behind", []Record{rec(2, "deployed"), rec(3, "pending-upgrade"), rec(1, "superseded")}, nil,
			"revision 3 of shop/web is pending-upgrade since 2026-03-01 10:30:00 UTC (1h30m); when no other helm is at work on it, free it with: helm rollback web 2 --namespace shop"},
		{"who left it is known", []Record{rec(2, "deployed"), rec(3, "pending-upgrade")}, func(s *StuckLock) { s.LeftBy = "pipeline deploy, run 42" },
			"revision 3 of shop/web is pending-upgrade since 2026-03-01 10:30:00 UTC (1h30m), left there by pipeline deploy, run 42; when no other helm is at work on it, free it with: helm rollback web 2 --namespace shop"},
		{"it is still at work", []Record{rec(2, "deployed"), rec(3, "pending-upgrade")}, func(s *StuckLock) { s.LeftBy, s.Running = "pipeline deploy", true },
			"revision 3 of shop/web is pending-upgrade since 2026-03-01 10:30:00 UTC (1h30m), held by pipeline deploy; that operation is still running: wait for it to end"},
		{"a first install has nothing to go back to", []Record{rec(1, "pending-install")}, nil,
			"revision 1 of shop/web is pending-install since 2026-03-01 10:30:00 UTC (1h30m); when no other helm is at work on it, free it with: helm uninstall web --namespace shop"},
		{"a rollback left behind: what once worked", []Record{rec(1, "superseded"), rec(2, "failed"), rec(3, "pending-rollback")}, nil,
			"revision 3 of shop/web is pending-rollback since 2026-03-01 10:30:00 UTC (1h30m); when no other helm is at work on it, free it with: helm rollback web 1 --namespace shop"},
		{"an uninstall left behind is finished", []Record{rec(1, "superseded"), rec(2, "uninstalling")}, nil,
			"revision 2 of shop/web is uninstalling since 2026-03-01 10:30:00 UTC (1h30m); when no other helm is at work on it, free it with: helm uninstall web --namespace shop"},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			lock, stuck := Stuck(c.records, now)
			if stuck != (c.want != "") {
				t.Fatalf("stuck: %v", stuck)
			}
			if !stuck {
				return
			}
			if c.set != nil {
				c.set(&lock)
			}
			if got := lock.Sentence(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	lock := StuckLock{Release: "web", Namespace: "shop", Revision: 2, Status: "pending-upgrade", LastDeployed: 1, Now: now, Since: now.Add(-75 * time.Hour)}
	if got := lock.Sentence(); !strings.Contains(got, "(3 days)") {
		t.Error(got)
	}
	lock.Since = time.Time{}
	if got := lock.Sentence(); strings.Contains(got, "since") {
		t.Error(got)
	}
}
