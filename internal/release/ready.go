package release

// ReadyRule is a rule by which a workload counts as ready.
type ReadyRule string

// The rules. They differ while old pods go away and where a rolling update may
// leave pods unavailable.
const (
	// ReadyWatcher is the rule of Helm 4's default waiter (kstatus): every pod is
	// of the new template and available, and the old ones are gone.
	ReadyWatcher ReadyRule = "watcher"
	// ReadyLegacy is the rule of Helm 3 and of Helm 4's --wait=legacy: new pods
	// are ready, less those that the rolling update allows to be missing.
	ReadyLegacy ReadyRule = "legacy"
)
