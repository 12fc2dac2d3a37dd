package release

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// failedUpgrade are the facts of the usual case that is rolled back.
func failedUpgrade() RollbackFacts {
	return RollbackFacts{Mode: RollbackOn, Kind: KindUpgrade, Failed: true, ErrorType: ErrorNotReady, Known: true,
		Revision: 4, Latest: 4, Status: "failed", Deployed: 3, DeployedExists: true}
}

func failedInstall() RollbackFacts {
	return RollbackFacts{Mode: RollbackOn, Kind: KindInstall, Failed: true, ErrorType: ErrorNotReady, Known: true,
		Revision: 1, Latest: 1, Status: "failed"}
}

func TestAutoRollback(t *testing.T) {
	cases := []struct {
		reason string
		facts  RollbackFacts
		change func(*RollbackFacts)
		want   RollbackAction
		to     int
		says   string
	}{
		{"a failed upgrade goes back to what was deployed when it began", failedUpgrade(), nil, RollbackToTarget, 3, "revision 4 failed, revision 3 was deployed before it"},
		{"not to the revision before it, which may have failed too", failedUpgrade(), func(f *RollbackFacts) { f.Deployed = 1 }, RollbackToTarget, 1, "revision 1 was deployed"},
		{"a failed first install is uninstalled", failedInstall(), nil, RollbackByRemoval, 0, "nothing to roll back to"},
		{"the same, asked for by name", failedInstall(), func(f *RollbackFacts) { f.Mode = RollbackUninstall }, RollbackByRemoval, 0, "nothing to roll back to"},
		{"or kept", failedInstall(), func(f *RollbackFacts) { f.Mode = RollbackKeep }, RollbackNone, 0, "kept for inspection"},
		{"keep is about first installs only", failedUpgrade(), func(f *RollbackFacts) { f.Mode = RollbackKeep }, RollbackToTarget, 3, ""},
		{"uninstall is about first installs only", failedUpgrade(), func(f *RollbackFacts) { f.Mode = RollbackUninstall }, RollbackToTarget, 3, ""},
		{"off", failedUpgrade(), func(f *RollbackFacts) { f.Mode = RollbackOff }, RollbackNone, 0, "is off"},
		{"not asked for", failedUpgrade(), func(f *RollbackFacts) { f.Mode = "" }, RollbackNone, 0, "is off"},
		{"a mode that nobody knows changes nothing", failedUpgrade(), func(f *RollbackFacts) { f.Mode = "yes" }, RollbackNone, 0, `mode "yes" is not known`},
		{"success", failedUpgrade(), func(f *RollbackFacts) { f.Failed, f.Status = false, "deployed" }, RollbackNone, 0, "succeeded"},
		{"a dry run", failedUpgrade(), func(f *RollbackFacts) { f.DryRun = true }, RollbackNone, 0, "dry run"},
		{"cancelled", failedUpgrade(), func(f *RollbackFacts) { f.Cancelled = true }, RollbackNone, 0, "cancelled"},
		{"cancelled, as the error says", failedUpgrade(), func(f *RollbackFacts) { f.ErrorType = ErrorCancelled }, RollbackNone, 0, "cancelled"},
		{"another operation holds the release", failedUpgrade(), func(f *RollbackFacts) { f.ErrorType = ErrorLock }, RollbackNone, 0, "another operation"},
		{"Helm does it itself", failedUpgrade(), func(f *RollbackFacts) { f.Atomic = true }, RollbackNone, 0, "Helm rolls back itself"},
		{"Helm did it itself, though no flag was seen", failedUpgrade(), func(f *RollbackFacts) { f.ErrorType = ErrorRolledBack }, RollbackNone, 0, "Helm rolls back itself"},
		{"a template error makes no revision: going back would downgrade a healthy release", failedUpgrade(), func(f *RollbackFacts) { f.Revision, f.Latest = 0, 3 }, RollbackNone, 0, "nothing has changed"},
		{"the records cannot be read", failedUpgrade(), func(f *RollbackFacts) { f.Known = false }, RollbackNone, 0, "could not be read"},
		{"somebody else went on", failedUpgrade(), func(f *RollbackFacts) { f.Latest = 5 }, RollbackNone, 0, "revision 5 is newer"},
		{"left pending by a kill", failedUpgrade(), func(f *RollbackFacts) { f.Status = "pending-upgrade" }, RollbackNone, 0, "revision 4 is pending-upgrade, not failed"},
		{"deployed after all (a failing command behind it)", failedUpgrade(), func(f *RollbackFacts) { f.Status = "deployed" }, RollbackNone, 0, "is deployed, not failed"},
		{"the target was pruned from the history", failedUpgrade(), func(f *RollbackFacts) { f.DeployedExists = false }, RollbackNone, 0, "no longer in the history"},
		{"an upgrade of a release that never worked", failedUpgrade(), func(f *RollbackFacts) { f.Deployed, f.DeployedExists = 0, false }, RollbackNone, 0, "no revision was deployed before"},
		{"a target that is not older is none", failedUpgrade(), func(f *RollbackFacts) { f.Deployed = 4 }, RollbackNone, 0, "is not older"},
		{"an install over a kept history goes back to nothing: only a first revision is removed", failedInstall(), func(f *RollbackFacts) { f.Revision, f.Latest = 4, 4 }, RollbackNone, 0, "history"},
		{"a failed rollback", failedUpgrade(), func(f *RollbackFacts) { f.Kind = KindRollback }, RollbackNone, 0, "this is a rollback"},
		{"a failed uninstall", failedUpgrade(), func(f *RollbackFacts) { f.Kind = KindUninstall }, RollbackNone, 0, "this is an uninstall"},
		{"a failed test", failedUpgrade(), func(f *RollbackFacts) { f.Kind = KindTest }, RollbackNone, 0, "this is a test"},
		{"nothing known at all", RollbackFacts{Mode: RollbackOn, Failed: true}, nil, RollbackNone, 0, ""},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			f := c.facts
			if c.change != nil {
				c.change(&f)
			}
			got := AutoRollback(f)
			if diff := cmp.Diff(RollbackDecision{Action: c.want, Revision: c.to, Reason: got.Reason}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !strings.Contains(got.Reason, c.says) || got.Reason == "" {
				t.Errorf("reason %q, want a word of %q", got.Reason, c.says)
			}
		})
	}
}

// TestAutoRollbackIsSafe walks all combinations of facts and checks what must
// never happen, whatever the rules say.
func TestAutoRollbackIsSafe(t *testing.T) {
	bools := []bool{false, true}
	acted := 0
	for _, mode := range []RollbackMode{"", RollbackOff, RollbackOn, RollbackUninstall, RollbackKeep, "other"} {
		for _, kind := range []Kind{"", KindInstall, KindUpgrade, KindRollback, KindUninstall, KindTest} {
			for _, errorType := range []ErrorType{"", ErrorLock, ErrorCancelled, ErrorRolledBack, ErrorNotReady, ErrorTemplate} {
				for _, status := range []string{"", "failed", "deployed", "pending-install", "pending-upgrade", "uninstalled", "superseded"} {
					for revision := range 4 {
						for deployed := range 4 {
							for latest := range 5 {
								for bits := range 64 {
									bit := func(n int) bool { return bools[bits>>n&1] }
									f := RollbackFacts{Mode: mode, Kind: kind, ErrorType: errorType, Status: status, Revision: revision, Deployed: deployed, Latest: latest,
										Failed: bit(0), Cancelled: bit(1), DryRun: bit(2), Atomic: bit(3), Known: bit(4), DeployedExists: bit(5)}
									d := AutoRollback(f)
									if d.Action == RollbackNone {
										continue
									}
									acted++
									if why := unsafe(f, d); why != "" {
										t.Fatalf("%s: %+v decides %+v", why, f, d)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	if acted == 0 {
		t.Error("it never acts")
	}
}

func unsafe(f RollbackFacts, d RollbackDecision) string {
	switch {
	case f.Mode != RollbackOn && f.Mode != RollbackUninstall && f.Mode != RollbackKeep:
		return "nobody asked for it"
	case !f.Failed || f.DryRun || f.Cancelled || f.Atomic || !f.Known:
		return "it acts although it must not"
	case f.ErrorType == ErrorLock || f.ErrorType == ErrorCancelled || f.ErrorType == ErrorRolledBack:
		return "it acts on a " + string(f.ErrorType)
	case f.Revision == 0 || f.Status != "failed" || f.Latest > f.Revision:
		return "there is no failed revision on top"
	case d.Action == RollbackToTarget && (d.Revision != f.Deployed || d.Revision == 0 || d.Revision >= f.Revision || !f.DeployedExists):
		return fmt.Sprintf("revision %d is no target", d.Revision)
	case d.Action == RollbackByRemoval && (f.Kind != KindInstall || f.Deployed != 0 || f.Mode == RollbackKeep || f.Revision != 1 || d.Revision != 0):
		return "it removes something that is no failed first install"
	}
	return ""
}
