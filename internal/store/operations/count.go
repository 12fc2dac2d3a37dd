package operations

import (
	"encoding/json"
	"sort"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// count adds an ended deploy or rollback to its counter, once, and starts the
// counters of a release at 0 when it is first seen.
func (w *writer) count(key string, op release.Operation) error {
	rk := releaseKey{op.Cluster, op.Namespace, op.Release}
	w.changed[rk] = true
	if op.Kind == release.KindUninstall && op.Succeeded() {
		w.gone[rk] = true
	}
	if err := w.startCounters(rk); err != nil {
		return err
	}
	name := counterOf(op.Kind)
	if name == "" || !op.State.Done() || op.Historic {
		return nil
	}
	counted, err := w.text("SELECT counted FROM operations WHERE key = ?", key)
	if err != nil || counted != "" {
		return err
	}
	success := successLabel(op.Succeeded())
	if err := w.add(name, rk, success, op.Duration()); err != nil {
		return err
	}
	return w.exec("UPDATE operations SET counted = ? WHERE key = ?", success, key)
}

// counterOf returns the counter that operations of kind k belong to, "" for none.
func counterOf(k release.Kind) string {
	switch {
	case k.Deploy():
		return release.MetricDeployCount
	case k == release.KindRollback:
		return release.MetricRollbackCount
	default:
		return ""
	}
}

func successLabel(ok bool) string {
	if ok {
		return "true"
	}
	return "false"
}

// zeroLead is how long before its first record a counter's 0 is dated, so that
// increase() and rate() see the first operation: one usual scrape interval.
const zeroLead = 15 * time.Second

// startCounters creates the four counters of a release at 0.
func (w *writer) startCounters(rk releaseKey) error {
	sinceNS := w.nowNS - int64(zeroLead)
	empty, err := json.Marshal(make([]int64, len(release.DurationBounds)+1))
	if err != nil {
		return err
	}
	for _, name := range []string{release.MetricDeployCount, release.MetricRollbackCount} {
		for _, success := range []string{"true", "false"} {
			err := w.exec(`INSERT INTO counters (name, cluster, namespace, release, success, count, sum, buckets, since_ns, last_ns)
			  VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, ?) ON CONFLICT DO NOTHING`,
				name, rk.cluster, rk.namespace, rk.release, success, string(empty), sinceNS, sinceNS)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) add(name string, rk releaseKey, success string, d time.Duration) error {
	where := []any{name, rk.cluster, rk.namespace, rk.release, success}
	var text string
	err := w.tx.QueryRowContext(w.ctx,
		"SELECT buckets FROM counters WHERE name = ? AND cluster = ? AND namespace = ? AND release = ? AND success = ?", where...).Scan(&text)
	if err != nil {
		return err
	}
	var buckets []int64
	if err := json.Unmarshal([]byte(text), &buckets); err != nil {
		return err
	}
	buckets[sort.SearchFloat64s(release.DurationBounds, d.Seconds())]++
	changed, err := json.Marshal(buckets)
	if err != nil {
		return err
	}
	return w.exec("UPDATE counters SET count = count + 1, sum = sum + ?, buckets = ?, last_ns = ? WHERE name = ? AND cluster = ? AND namespace = ? AND release = ? AND success = ?",
		append([]any{d.Seconds(), string(changed), w.nowNS}, where...)...)
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
