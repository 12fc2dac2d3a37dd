package release

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOperationOfARecord(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wrote := began.Add(7 * time.Second)
	record := func(change func(*Record)) Record {
		r := Record{
			Ref: Ref{Namespace: "shop", Name: "web"}, Revision: 2, Status: "deployed", Description: "Upgrade complete",
			Chart: "app", Version: "1.2.0", AppVersion: "v2", UID: "u", Created: began, LastDeployed: began, Modified: wrote,
		}
		change(&r)
		return r
	}
	operation := func(change func(*Operation)) Operation {
		op := Operation{
			ID: "u/deploy", Kind: KindUpgrade, State: StateSucceeded, Namespace: "shop", Release: "web", Revision: 2,
			ChartName: "app", ChartVersion: "1.2.0", AppVersion: "v2", Start: began, End: wrote,
		}
		change(&op)
		return op
	}
	for _, c := range []struct {
		reason string
		record Record
		newest bool
		want   Operation
	}{
		{"an upgrade that is the newest", record(func(*Record) {}), true, operation(func(*Operation) {})},
		{"a first revision is an install", record(func(r *Record) { r.Revision = 1 }), true,
			operation(func(o *Operation) { o.Kind, o.Revision = KindInstall, 1 })},
		{"superseded: written again since, so its end is not known", record(func(r *Record) { r.Status = "superseded" }), false,
			operation(func(o *Operation) { o.End = time.Time{} })},
		{"deployed, but a later upgrade failed and wrote it again", record(func(*Record) {}), false,
			operation(func(o *Operation) { o.End = time.Time{} })},
		{"failed: nothing writes it again", record(func(r *Record) { r.Status, r.Description = "failed", "Upgrade \"web\" failed:\n  timed out" }), false,
			operation(func(o *Operation) { o.State, o.Cause = StateFailed, `Upgrade "web" failed: timed out` })},
		{"at work", record(func(r *Record) { r.Status = "pending-upgrade" }), true,
			operation(func(o *Operation) { o.State, o.End = StateRunning, time.Time{} })},
		{"a rollback", record(func(r *Record) { r.RollbackTo = 1 }), true,
			operation(func(o *Operation) { o.ID, o.Kind, o.RollbackTo = "u/rollback", KindRollback, 1 })},
		{"a failed rollback of Helm 3, which names no target", record(func(r *Record) { r.Status, r.Description = "failed", `Rollback "web" failed: timed out` }), true,
			operation(func(o *Operation) {
				o.ID, o.Kind, o.State, o.Cause = "u/rollback", KindRollback, StateFailed, `Rollback "web" failed: timed out`
			})},
		{"uninstalled with its history kept", record(func(r *Record) { r.Status = "uninstalled" }), true,
			operation(func(o *Operation) { o.ID, o.Kind, o.Start = "u/uninstall", KindUninstall, wrote })},
	} {
		if diff := cmp.Diff(c.want, c.record.Operation(c.newest)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.reason, diff)
		}
	}
}
