package operations

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/release"
)

// maxSnapshotBytes bounds a stored failure snapshot; agents send far less.
const maxSnapshotBytes = 1 << 20

// ConsumeLogs records the operations and snapshots among logs and passes over
// everything else. When it returns nil all of them are committed. Records may
// come twice and in any order. Records that cannot be read are not an error of
// the batch: they are returned as rejected, for the caller to count and log.
func (s *Store) ConsumeLogs(ctx context.Context, ld plog.Logs) (rejected []error, err error) {
	seen, snaps, bad := fromLogs(ld)
	return bad, s.record(ctx, seen, snaps)
}

// ConsumeTraces records the operations among spans of the spec's names and
// passes over everything else. When it returns nil all of them are committed.
func (s *Store) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return s.record(ctx, fromTraces(td), nil)
}

func (s *Store) record(ctx context.Context, seen []sighting, snaps []snapshot) error {
	if len(seen) == 0 && len(snaps) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := writer{ctx: ctx, nowNS: s.now().UnixNano(), changed: map[releaseKey]bool{}, gone: map[releaseKey]bool{}}
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		w.tx = tx
		for _, one := range seen {
			if err := w.sighting(one); err != nil {
				return fmt.Errorf("record operation of release %s/%s: %w", one.op.Namespace, one.op.Release, err)
			}
		}
		for _, one := range snaps {
			if err := w.snapshot(one); err != nil {
				return fmt.Errorf("record snapshot of operation %s: %w", one.id, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k := range w.changed {
		s.changed[k] = true
		delete(s.gone, k)
	}
	for k := range w.gone {
		s.gone[k] = true
	}
	for _, x := range s.indexes {
		x.changed(w.changed)
	}
	if len(s.changed) > 0 {
		select {
		case s.notify <- struct{}{}:
		default:
		}
	}
	return nil
}

// writer records sightings in one transaction.
type writer struct {
	ctx           context.Context
	tx            *sql.Tx
	nowNS         int64
	changed, gone map[releaseKey]bool
}

func (w *writer) sighting(s sighting) error {
	key, err := w.key(s.op)
	if err != nil {
		return err
	}
	if key == "" {
		return nil // neither an id nor a span: nothing to join it by
	}
	if err := w.put(key, s.source, s.op); err != nil {
		return err
	}
	return w.fold(key)
}

// key returns the key of the operation, and moves what was recorded under its
// root span to its id when that becomes known.
func (w *writer) key(op release.Operation) (string, error) {
	span := spanKey(op.TraceID, op.SpanID)
	if span == "" {
		return op.ID, nil
	}
	known, err := w.text("SELECT key FROM aliases WHERE span = ?", span)
	if err != nil {
		return "", err
	}
	switch {
	case op.ID == "" && known != "":
		return known, nil
	case op.ID == "" || op.ID == span:
		if known != "" {
			return known, nil
		}
		return span, w.alias(span, span)
	case known == "" || known == op.ID:
		return op.ID, w.alias(span, op.ID)
	case known == span:
		if err := w.move(span, op.ID); err != nil {
			return "", err
		}
		return op.ID, w.alias(span, op.ID)
	default:
		// The span is the root of another operation already (one trace for a
		// deploy and its rollback, say): the id decides.
		return op.ID, nil
	}
}

func (w *writer) alias(span, key string) error {
	return w.exec("INSERT INTO aliases (span, key) VALUES (?, ?) ON CONFLICT (span) DO UPDATE SET key = excluded.key", span, key)
}

// move joins all that is recorded under the key from to the key to.
func (w *writer) move(from, to string) error {
	ops, err := w.sightings(from)
	if err != nil {
		return err
	}
	for source, op := range ops {
		if err := w.put(to, source, op); err != nil {
			return err
		}
	}
	counted, err := w.text("SELECT counted FROM operations WHERE key = ?", from)
	if err != nil {
		return err
	}
	if err := w.exec("DELETE FROM sightings WHERE key = ?", from); err != nil {
		return err
	}
	if err := w.exec("DELETE FROM operations WHERE key = ?", from); err != nil {
		return err
	}
	if err := w.exec("UPDATE OR REPLACE snapshots SET key = ? WHERE key = ?", to, from); err != nil {
		return err
	}
	if counted == "" {
		return nil
	}
	// It was counted under its span: it must not be counted again under its id.
	if err := w.fold(to, foldUncounted); err != nil {
		return err
	}
	return w.exec("UPDATE operations SET counted = ? WHERE key = ? AND counted = ''", counted, to)
}

func (w *writer) put(key, source string, op release.Operation) error {
	old, err := w.text("SELECT op FROM sightings WHERE key = ? AND source = ?", key, source)
	if err != nil {
		return err
	}
	if old != "" {
		var was release.Operation
		if err := json.Unmarshal([]byte(old), &was); err != nil {
			return fmt.Errorf("read sighting %s by %s: %w", key, source, err)
		}
		op = release.Latest(was, op)
	}
	text, err := json.Marshal(op)
	if err != nil {
		return err
	}
	return w.exec("INSERT INTO sightings (key, source, op) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET op = excluded.op", key, source, string(text))
}

func (w *writer) sightings(key string) (map[string]release.Operation, error) {
	rows, err := w.tx.QueryContext(w.ctx, "SELECT source, op FROM sightings WHERE key = ?", key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ops := map[string]release.Operation{}
	for rows.Next() {
		var source, text string
		if err := rows.Scan(&source, &text); err != nil {
			return nil, err
		}
		var op release.Operation
		if err := json.Unmarshal([]byte(text), &op); err != nil {
			return nil, fmt.Errorf("read sighting %s by %s: %w", key, source, err)
		}
		ops[source] = op
	}
	return ops, rows.Err()
}

type foldOption int

const foldUncounted foldOption = iota

// fold joins the sightings under key to the operation, writes it, and counts it
// when it has ended and was not counted before.
func (w *writer) fold(key string, options ...foldOption) error {
	ops, err := w.sightings(key)
	if err != nil {
		return err
	}
	all := make([]release.Operation, 0, len(ops))
	for _, op := range ops {
		all = append(all, op)
	}
	op := release.Fold(all...)
	if op.ID == "" {
		op.ID = key
	}
	if op.Namespace == "" {
		if op.Namespace, err = w.text("SELECT namespace FROM operations WHERE trace_id = ? AND release = ? AND namespace <> '' LIMIT 1", op.TraceID, op.Release); err != nil {
			return err
		}
	}
	if _, failed := ops[sourceFailed]; failed && len(ops) == 1 {
		return nil // only its failure is known yet: the span of the operation follows
	}
	text, err := json.Marshal(op)
	if err != nil {
		return err
	}
	err = w.exec(`INSERT INTO operations (key, trace_id, cluster, namespace, release, kind, state, start_ns, end_ns, op)
	  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET trace_id = excluded.trace_id, cluster = excluded.cluster,
	  namespace = excluded.namespace, release = excluded.release, kind = excluded.kind, state = excluded.state,
	  start_ns = excluded.start_ns, end_ns = excluded.end_ns, op = excluded.op`,
		key, op.TraceID, op.Cluster, op.Namespace, op.Release, string(op.Kind), string(op.State), unixNano(op.Start), unixNano(op.End), string(text))
	if err != nil {
		return err
	}
	if op.Namespace == "" || len(options) > 0 {
		return nil // counted once the namespace is known
	}
	if err := w.objects(op); err != nil {
		return err
	}
	if err := w.count(key, op); err != nil {
		return err
	}
	return w.foldWaiting(op)
}

// foldWaiting folds the operations of the same trace that waited for op's namespace.
func (w *writer) foldWaiting(op release.Operation) error {
	if op.TraceID == "" {
		return nil
	}
	keys, err := w.texts("SELECT key FROM operations WHERE trace_id = ? AND release = ? AND namespace = ''", op.TraceID, op.Release)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := w.fold(k); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) snapshot(s snapshot) error {
	key := s.id
	if key == "" {
		known, err := w.text("SELECT key FROM aliases WHERE span = ?", s.span)
		if err != nil {
			return err
		}
		if key = known; key == "" {
			key = s.span
		}
	}
	if key == "" {
		return nil
	}
	if len(s.body) > maxSnapshotBytes {
		s.body = s.body[:maxSnapshotBytes]
	}
	// The first one is kept: a later one shows what a rollback has left.
	return w.exec("INSERT INTO snapshots (key, at_ns, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at_ns = excluded.at_ns, body = excluded.body WHERE excluded.at_ns < snapshots.at_ns",
		key, unixNano(s.at), s.body)
}

func (w *writer) exec(query string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

// text returns the one text that the query selects, "" when there is no row.
func (w *writer) text(query string, args ...any) (string, error) {
	var v string
	err := w.tx.QueryRowContext(w.ctx, query, args...).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// texts returns the texts that the query selects.
func (w *writer) texts(query string, args ...any) ([]string, error) {
	rows, err := w.tx.QueryContext(w.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
