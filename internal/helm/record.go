package helm

import (
	"errors"
	"strings"
	"time"
)

// Record is what Helm stored about one revision of a release, without values,
// chart contents and rendered manifests, which may hold secrets.
type Record struct {
	Name      string
	Namespace string
	Revision  int
	// Status is Helm's word: deployed, failed, superseded, uninstalled,
	// uninstalling, pending-install, pending-upgrade, pending-rollback, unknown.
	Status      string
	Description string

	FirstDeployed time.Time
	LastDeployed  time.Time // when the operation that made this revision began
	Deleted       time.Time // zero unless uninstalled

	ChartName, ChartVersion, AppVersion string

	// RollbackRevision is the revision that this one returned to; 0 when it is
	// no rollback, or Helm 3 wrote it (then see [Record.RollbackTarget]).
	RollbackRevision int

	Labels map[string]string
	Hooks  []Hook
	// Objects are the rendered objects, hooks not among them.
	Objects []Object
	// Truncated is set when there were more than [MaxObjects] objects or hooks.
	Truncated bool
}

// Object names one rendered Kubernetes object.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string // "" = the release's, or cluster-scoped
	Name       string
}

// Hook is one hook of a release and how it ran last.
type Hook struct {
	Object
	Path   string
	Events []string // pre-install, post-upgrade, test, ...
	Weight int

	Phase     string // Running, Succeeded, Failed, Unknown; "" = never ran
	Started   time.Time
	Completed time.Time
}

// MaxObjects bounds the objects, and the hooks, of one record. A release
// Secret holds 1 MiB at most, so real ones stay far below.
const MaxObjects = 5000

// DecodeRecord decodes the `release` field of a release Secret or ConfigMap:
// base64 of gzip of JSON (what the API's JSON and a client's Secret.Data hold
// differ by one layer of base64; both are read, as is JSON without gzip).
// It keeps only what [Record] has.
func DecodeRecord(data []byte) (Record, error) { return Record{}, errors.New("not implemented") }

// RollbackTarget returns the revision that a rollback's record returned to, 0
// when it is no rollback: Helm 3 says it in the description only.
func (r Record) RollbackTarget() int { return r.RollbackRevision }

// IsPending reports whether an operation is at work on the release or was left
// in the middle.
func (r Record) IsPending() bool {
	return strings.HasPrefix(r.Status, "pending-") || r.Status == "uninstalling"
}
