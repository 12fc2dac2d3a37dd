package rollouts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/rollout"
)

// Look is what one record said, without its verdict and explanation.
type Look struct {
	At             time.Time        `json:"at"`
	Phase          rollout.Phase    `json:"phase"`
	Reason         rollout.Reason   `json:"reason,omitempty"`
	Message        string           `json:"message,omitempty"`
	Paused         bool             `json:"paused,omitempty"`
	Step           int              `json:"step"`
	Weight         int              `json:"weight"`
	WeightObserved *int             `json:"weightObserved,omitempty"`
	TrafficShare   *float64         `json:"trafficShare,omitempty"`
	Decision       rollout.Decision `json:"decision,omitempty"`
	DecisionReason string           `json:"decisionReason,omitempty"`
	AnalysisError  string           `json:"analysisError,omitempty"`
}

func lookOf(r rollout.Record) Look {
	return Look{
		At: r.At, Phase: r.Phase, Reason: r.Reason, Message: clip(r.Message), Paused: r.Paused, Step: r.Step, Weight: r.Weight,
		WeightObserved: r.WeightObserved, TrafficShare: r.TrafficShare,
		Decision: r.Decision, DecisionReason: r.DecisionReason, AnalysisError: clip(r.AnalysisError),
	}
}

// maxText bounds a sentence in the log: the whole one is in the record.
const maxText = 1000

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && s[cut]&0xC0 == 0x80 { // within a rune
		cut--
	}
	return s[:cut] + "…"
}

// same reports whether nothing changed from a to b that the log tells.
func same(a, b Look) bool {
	return a.Phase == b.Phase && a.Step == b.Step && a.Weight == b.Weight && a.Reason == b.Reason && a.Decision == b.Decision
}

// ConsumeLogs records the rollout records among logs and passes over everything
// else. When it returns nil all of them are committed. Records may come twice
// and in any order. Those that cannot be read are not an error of the batch:
// they are returned as rejected, for the caller to log.
func (s *Store) ConsumeLogs(ctx context.Context, ld plog.Logs) (rejected []error, err error) {
	var records []received
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() != rollout.RecordEvent {
					continue
				}
				body := rec.Body().AsString()
				r, err := rollout.DecodeRecord([]byte(body))
				if err != nil {
					rejected = append(rejected, err)
					continue
				}
				records = append(records, received{r, body})
			}
		}
	}
	if len(records) == 0 {
		return rejected, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		w := writer{ctx: ctx, tx: tx, maxLooks: s.maxLooks}
		for _, r := range records {
			if err := w.put(r); err != nil {
				return fmt.Errorf("record rollout %s: %w", r.ID, err)
			}
		}
		return w.forget(s.maxRollouts)
	})
	if err == nil {
		s.News.Tell()
	}
	return rejected, err
}

// received is a record with its JSON as it came.
type received struct {
	rollout.Record
	body string
}

type writer struct {
	ctx      context.Context
	tx       *sql.Tx
	maxLooks int
}

func (w writer) exec(query string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

// put keeps the record if it is the latest, and its look. Of two records of one
// instant the one whose JSON sorts last stays, so that order does not matter.
func (w writer) put(r received) error {
	ended := 0
	if r.Phase.Ended() {
		ended = 1
	}
	if err := w.complete(&r); err != nil {
		return err
	}
	err := w.exec(`INSERT INTO rollouts (id, cluster, namespace, name, service, ended, at_ns, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
	  ON CONFLICT DO UPDATE SET cluster = excluded.cluster, namespace = excluded.namespace, name = excluded.name, service = excluded.service,
	  ended = excluded.ended, at_ns = excluded.at_ns, record = excluded.record
	  WHERE (excluded.at_ns, excluded.record) > (rollouts.at_ns, rollouts.record)`,
		r.ID, r.Cluster, r.Namespace, r.Name, r.Service, ended, r.At.UnixNano(), r.body)
	if err != nil {
		return err
	}
	look, err := json.Marshal(lookOf(r.Record))
	if err != nil {
		return err
	}
	var old string
	err = w.tx.QueryRowContext(w.ctx, "SELECT look FROM looks WHERE id = ? AND at_ns = ?", r.ID, r.At.UnixNano()).Scan(&old)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case old >= string(look):
		return nil
	default:
		return w.exec("UPDATE looks SET look = ? WHERE id = ? AND at_ns = ?", string(look), r.ID, r.At.UnixNano())
	}
	if err := w.exec("INSERT INTO looks (id, at_ns, look) VALUES (?, ?, ?)", r.ID, r.At.UnixNano(), string(look)); err != nil {
		return err
	}
	if err := w.exec("UPDATE rollouts SET looks = looks + 1 WHERE id = ?", r.ID); err != nil {
		return err
	}
	var n int
	if err := w.tx.QueryRowContext(w.ctx, "SELECT looks FROM rollouts WHERE id = ?", r.ID).Scan(&n); err != nil {
		return err
	}
	if n > w.maxLooks {
		return w.thin(r.ID, n)
	}
	return nil
}

// complete puts what only earlier records said into the later one of r and the
// record that is kept: the newest verdict and explanation, which records of what
// comes after the last look leave out, and stable's version from before it became
// the canary's. When the kept one is the later, it is completed in place.
func (w writer) complete(r *received) error {
	var kept string
	err := w.tx.QueryRowContext(w.ctx, "SELECT record FROM rollouts WHERE id = ?", r.ID).Scan(&kept)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := rollout.DecodeRecord([]byte(kept))
	if err != nil {
		return err
	}
	if before.At.After(r.At) {
		body, err := with(kept, before, r.Record)
		if err != nil || body == kept {
			return err
		}
		return w.exec("UPDATE rollouts SET record = ? WHERE id = ?", body, r.ID)
	}
	r.body, err = with(r.body, r.Record, before)
	return err
}

// with returns the later record's JSON with what it lacks from the earlier one.
func with(body string, later, earlier rollout.Record) (string, error) {
	set := map[string]any{}
	if len(earlier.Verdict) > 0 && (len(later.Verdict) == 0 || lookedAt(earlier.Verdict).After(lookedAt(later.Verdict))) {
		set["verdict"] = earlier.Verdict
	}
	if len(earlier.Explanation) > 0 && len(later.Explanation) == 0 {
		set["explanation"] = earlier.Explanation
	}
	if later.StableVersion == later.CanaryVersion && earlier.StableVersion != "" {
		set["stableVersion"] = earlier.StableVersion
	}
	if len(set) == 0 {
		return body, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		return "", err
	}
	for name, value := range set {
		text, err := json.Marshal(value)
		if err != nil {
			return "", err
		}
		fields[name] = text
	}
	out, err := json.Marshal(fields)
	if err != nil || len(out) > rollout.MaxRecordBytes {
		return body, err // without what would make it too large
	}
	return string(out), nil
}

// lookedAt is when a verdict was reached; zero for none.
func lookedAt(verdict json.RawMessage) time.Time {
	var v struct {
		At time.Time `json:"at"`
	}
	_ = json.Unmarshal(verdict, &v) // no time, then
	return v.At
}

// thin removes a quarter of the looks of a rollout: first those between two that
// say the same, then the oldest.
func (w writer) thin(id string, n int) error {
	looks, err := readLooks(w.ctx, w.tx, id)
	if err != nil {
		return err
	}
	remove := n - w.maxLooks*3/4
	gone := map[int]bool{}
	for i := 1; i+1 < len(looks) && len(gone) < remove; i++ {
		if same(looks[i-1], looks[i]) && same(looks[i], looks[i+1]) {
			gone[i] = true
		}
	}
	for i := 0; i < len(looks) && len(gone) < remove; i++ {
		gone[i] = true
	}
	for i := range gone {
		if err := w.exec("DELETE FROM looks WHERE id = ? AND at_ns = ?", id, looks[i].At.UnixNano()); err != nil {
			return err
		}
	}
	return w.exec("UPDATE rollouts SET looks = looks - ? WHERE id = ?", len(gone), id)
}

// forget removes the rollouts beyond the bound: those that ended, the oldest
// first, then those that were not heard of for the longest time.
func (w writer) forget(keep int) error {
	var n int
	if err := w.tx.QueryRowContext(w.ctx, "SELECT count(*) FROM rollouts").Scan(&n); err != nil || n <= keep {
		return err
	}
	const oldest = "SELECT id FROM rollouts ORDER BY ended DESC, at_ns LIMIT ?"
	if err := w.exec("DELETE FROM looks WHERE id IN ("+oldest+")", n-keep); err != nil {
		return err
	}
	return w.exec("DELETE FROM rollouts WHERE id IN ("+oldest+")", n-keep)
}
