package helm

import "time"

// The verbs that are recorded, by their canonical names.
const (
	VerbInstall   = "install"
	VerbUpgrade   = "upgrade"
	VerbRollback  = "rollback"
	VerbUninstall = "uninstall"
	VerbTest      = "test"
)

// Invocation is a command line of helm, understood. The zero value of a field
// means that the command line does not say.
type Invocation struct {
	// Major is the Helm version by whose flags Args were read: 3 or 4.
	Major int
	// Args are the arguments as typed, without the program's name.
	Args []string

	// Verb is the canonical name of the command ("uninstall" for "del");
	// "" when there is none.
	Verb string
	// Positional are the words after the verb that are no flags.
	Positional []string
	// Problem says why the command line could not be understood, "" when it
	// could. Such a command line is passed through: Helm itself will refuse it,
	// or knows a flag that we do not.
	Problem string

	// Release is the release's name; "" when Helm generates it.
	Release string
	// Releases are all names: uninstall takes several.
	Releases []string
	// Chart is the chart argument of install and upgrade.
	Chart string
	// Revision is the second argument of rollback; 0 = the one before.
	Revision int

	// GenerateName is set by --generate-name; the name is in the new Secret.
	GenerateName bool
	// NameTemplate is the value of --name-template.
	NameTemplate string
	// Install is upgrade's --install.
	Install bool
	// Atomic is --atomic or --rollback-on-failure: Helm rolls back by itself.
	Atomic bool
	// Wait is helm.wait: "true", "false", "watcher", "hookOnly" or "legacy".
	// Helm 3 has true and false only; Helm 4 without --wait is hookOnly.
	Wait string
	// WaitForJobs is --wait-for-jobs.
	WaitForJobs bool
	// NoHooks is --no-hooks.
	NoHooks bool
	// KeepHistory is uninstall's --keep-history.
	KeepHistory bool
	// Timeout is --timeout or its default of 5 minutes.
	Timeout time.Duration
	// DryRun is set when nothing will be changed.
	DryRun bool
	// Help is set when Helm will only print its help.
	Help bool
	// Output is the value of -o, "" for the default table.
	Output string
	// ChartVersion is the value of --version.
	ChartVersion string

	// flags are all flags in the order typed.
	flags []flagUse
}

// Recorded reports whether this is an operation on a release that is recorded:
// a real install, upgrade, rollback, uninstall or test. Dry runs, help and
// command lines that could not be understood are not.
func (inv Invocation) Recorded() bool {
	switch inv.Verb {
	case VerbInstall, VerbUpgrade, VerbRollback, VerbUninstall, VerbTest:
		return !inv.DryRun && !inv.Help && inv.Problem == ""
	}
	return false
}
