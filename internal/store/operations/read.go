package operations

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/sqlite"
)

// Status is what a release is now.
type Status string

// The statuses of a release.
const (
	StatusDeployed    Status = "deployed"    // the last operation went well
	StatusFailed      Status = "failed"      // the last operation failed or was cancelled
	StatusRunning     Status = "running"     // an operation runs, or was left behind
	StatusUninstalled Status = "uninstalled" // the release is gone
)

// Release is what the operations of one release say about it now.
type Release struct {
	Cluster, Namespace, Name string

	Status                              Status
	Revision                            int // the newest; 0 = not known
	ChartName, ChartVersion, AppVersion string

	LastDeploy          time.Time     // end of the last deploy that went well; zero = none
	LastDuration        time.Duration // of the last deploy that ended
	ConsecutiveFailures int
	PendingSince        time.Time // start of the operation that runs; zero = none
	Last                release.Operation

	// Deploys, FailedDeploys, Rollbacks and FailedRollbacks are the counters'
	// values since the store has known the release.
	Deploys, FailedDeploys, Rollbacks, FailedRollbacks int64
}

// historyWindow is how many of a release's newest operations its state is read
// from: Helm keeps ten revisions by default, and more consecutive failures
// than this need no exact number.
const historyWindow = 100

// Release returns the state of one release, or ErrNotFound.
func (s *Store) Release(ctx context.Context, cluster, namespace, name string) (Release, error) {
	ops, err := s.query(ctx, "WHERE namespace = ? AND release = ? AND cluster = ? ORDER BY start_ns DESC, key LIMIT ?", namespace, name, cluster, historyWindow)
	if err != nil {
		return Release{}, err
	}
	if len(ops) == 0 {
		return Release{}, fmt.Errorf("release %s/%s: %w", namespace, name, ErrNotFound)
	}
	r := Summarise(ops)
	r.Cluster, r.Namespace, r.Name = cluster, namespace, name
	if err := s.addCounts(ctx, &r); err != nil {
		return Release{}, err
	}
	return r, nil
}

// addCounts reads the counters of a release into it.
func (s *Store) addCounts(ctx context.Context, r *Release) error {
	rows, err := s.db.QueryContext(ctx, "SELECT name, success, count FROM counters WHERE cluster = ? AND namespace = ? AND release = ?", r.Cluster, r.Namespace, r.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var metric, success string
		var n int64
		if err := rows.Scan(&metric, &success, &n); err != nil {
			return err
		}
		r.addCount(metric, success, n)
	}
	return rows.Err()
}

func (r *Release) addCount(metric, success string, n int64) {
	switch metric {
	case release.MetricDeployCount:
		r.Deploys += n
		if success == "false" {
			r.FailedDeploys += n
		}
	case release.MetricRollbackCount:
		r.Rollbacks += n
		if success == "false" {
			r.FailedRollbacks += n
		}
	}
}

// Summarise reads the state of a release from its operations, newest first,
// of which there must be one. The counters stay 0.
func Summarise(ops []release.Operation) Release {
	r := Release{Last: ops[0], ConsecutiveFailures: release.ConsecutiveFailures(ops)}
	for _, op := range ops {
		if op.Kind == release.KindTest {
			continue // says nothing about the release itself
		}
		if r.Status == "" {
			r.Status = statusAfter(op)
			if !op.State.Done() || op.Extra[release.AttrLeftPending] != "" {
				r.PendingSince = op.Start
			}
		}
		if r.Status == StatusUninstalled {
			break
		}
		r.Revision = max(r.Revision, op.Revision)
		if r.ChartName == "" {
			r.ChartName, r.ChartVersion, r.AppVersion = op.ChartName, op.ChartVersion, op.AppVersion
		}
		if op.Kind.Deploy() && op.State.Done() {
			if r.LastDuration == 0 {
				r.LastDuration = op.Duration()
			}
			if r.LastDeploy.IsZero() && op.Succeeded() {
				r.LastDeploy = op.End
			}
		}
		if op.Kind == release.KindUninstall && op.Succeeded() {
			break // what came before was another release of this name
		}
	}
	if r.Status == "" {
		r.Status = StatusDeployed
	}
	return r
}

func statusAfter(op release.Operation) Status {
	switch {
	case !op.State.Done():
		return StatusRunning
	case op.Kind == release.KindUninstall && op.Succeeded():
		return StatusUninstalled
	case op.Succeeded():
		return StatusDeployed
	default:
		return StatusFailed
	}
}

// ReleaseFilter selects releases; empty fields select all.
type ReleaseFilter struct {
	Cluster, Namespace string
	Contains           string // part of the name
	Uninstalled        bool   // also those that are gone
	After              string // the Cursor of the last release of the page before
	Limit              int    // 1 to MaxPage; 0 = DefaultPage
}

// DefaultPage and MaxPage bound what one call returns.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// Cursor names a release's place in the order of [Store.Releases].
func (r Release) Cursor() string { return strings.Join([]string{r.Namespace, r.Name, r.Cluster}, "/") }

// Releases returns releases in the order of namespace, name and cluster. Fewer
// than the limit means that there are no more.
func (s *Store) Releases(ctx context.Context, f ReleaseFilter) ([]Release, error) {
	keys, err := s.releaseKeys(ctx, f)
	if err != nil {
		return nil, err
	}
	limit := pageSize(f.Limit)
	var out []Release
	for _, k := range keys {
		r, err := s.Release(ctx, k.cluster, k.namespace, k.release)
		if err != nil {
			return nil, err
		}
		if r.Status == StatusUninstalled && !f.Uninstalled {
			continue
		}
		if out = append(out, r); len(out) == limit {
			break
		}
	}
	return out, nil
}

// releaseKeys returns the releases after the filter's cursor, in order.
func (s *Store) releaseKeys(ctx context.Context, f ReleaseFilter) ([]releaseKey, error) {
	after := strings.SplitN(f.After, "/", 3)
	for len(after) < 3 {
		after = append(after, "")
	}
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT namespace, release, cluster FROM operations
	  WHERE namespace <> '' AND (? = '' OR cluster = ?) AND (? = '' OR namespace = ?) AND instr(release, ?) > 0
	  AND (namespace, release, cluster) > (?, ?, ?) ORDER BY namespace, release, cluster`,
		f.Cluster, f.Cluster, f.Namespace, f.Namespace, f.Contains, after[0], after[1], after[2])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []releaseKey
	for rows.Next() {
		var k releaseKey
		if err := rows.Scan(&k.namespace, &k.release, &k.cluster); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// OperationFilter selects operations; zero fields select all.
type OperationFilter struct {
	Cluster, Namespace, Release string
	Kind                        release.Kind
	State                       release.State
	Revision                    int
	TraceID                     string
	Since, Until                time.Time // of the start: Since <= start < Until
	Limit                       int       // 1 to MaxPage; 0 = DefaultPage
}

// Operations returns operations, newest start first. For the next page set
// Until to the start of the last one.
func (s *Store) Operations(ctx context.Context, f OperationFilter) ([]release.Operation, error) {
	var where sqlite.Where
	where.Add(true, "namespace <> ''")
	where.Add(f.Namespace != "", "namespace = ?", f.Namespace)
	where.Add(f.Release != "", "release = ?", f.Release)
	where.Add(f.Cluster != "", "cluster = ?", f.Cluster)
	where.Add(f.Kind != "", "kind = ?", string(f.Kind))
	where.Add(f.State != "", "state = ?", string(f.State))
	where.Add(f.TraceID != "", "trace_id = ?", f.TraceID)
	where.Add(f.Revision > 0, "json_extract(op, '$.Revision') = ?", f.Revision)
	where.Add(!f.Since.IsZero(), "start_ns >= ?", unixNano(f.Since))
	where.Add(!f.Until.IsZero(), "start_ns < ?", unixNano(f.Until))
	return s.query(ctx, where.String()+" ORDER BY start_ns DESC, key LIMIT ?", where.Args(pageSize(f.Limit))...)
}

// Operation returns one operation by its id, or ErrNotFound.
func (s *Store) Operation(ctx context.Context, id string) (release.Operation, error) {
	ops, err := s.query(ctx, "WHERE key = ?", id)
	if err == nil && len(ops) == 0 {
		// It may have been known by its root span before it got its id.
		ops, err = s.query(ctx, "WHERE key = (SELECT key FROM aliases WHERE span = ?)", id)
	}
	if err != nil {
		return release.Operation{}, err
	}
	if len(ops) == 0 {
		return release.Operation{}, fmt.Errorf("operation %s: %w", id, ErrNotFound)
	}
	return ops[0], nil
}

// Snapshot returns the JSON of the state of the cluster when the operation
// failed, and when it was taken, or ErrNotFound.
func (s *Store) Snapshot(ctx context.Context, id string) (body string, at time.Time, err error) {
	var ns int64
	err = s.db.QueryRowContext(ctx, "SELECT body, at_ns FROM snapshots WHERE key = ?", id).Scan(&body, &ns)
	if errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, fmt.Errorf("snapshot of operation %s: %w", id, ErrNotFound)
	}
	return body, time.Unix(0, ns).UTC(), err
}

// Knows reports whether the store has a record of the release in any cluster.
func (s *Store) Knows(ctx context.Context, namespace, name string) (bool, error) {
	return s.exists(ctx, "SELECT 1 FROM operations WHERE namespace = ? AND release = ? LIMIT 1", namespace, name)
}

// exists reports whether the query has a row.
func (s *Store) exists(ctx context.Context, query string, args ...any) (bool, error) {
	var one int
	err := s.db.QueryRowContext(ctx, query, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// query returns the operations that the clause selects. The clause is a
// constant of this package; values come as args.
func (s *Store) query(ctx context.Context, clause string, args ...any) ([]release.Operation, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT op, namespace FROM operations "+clause, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []release.Operation
	for rows.Next() {
		var text, namespace string
		if err := rows.Scan(&text, &namespace); err != nil {
			return nil, err
		}
		var op release.Operation
		if err := json.Unmarshal([]byte(text), &op); err != nil {
			return nil, fmt.Errorf("read operation: %w", err)
		}
		op.Namespace = namespace
		out = append(out, op)
	}
	return out, rows.Err()
}
